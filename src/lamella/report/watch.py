"""`create_app`: run folders as web pages that follow them live."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import FastAPI, Header, Query, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import StreamingResponse

from lamella.doctor.catalogue import chosen
from lamella.report import page
from lamella.report.feed import Feed, Names
from lamella.report.live import Runs
from lamella.report.markup import tag
from lamella.report.texts import Words
from lamella.report.watch_page import changing_part, document, message

_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",  # the page itself has the rest
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_MOST_RUNS = 16


def create_app(
    folders: Sequence[str | Path] = ("runs",),
    *,
    language: str | None = None,
    max_clients: int = 64,
    hosts: Sequence[str] | None = None,
) -> FastAPI:
    """An ASGI application that shows the runs under some folders, live.

    `/` lists them, `/runs?run=A&run=B` shows some, side by side if several; `/events` sends a page's main part anew
    whenever one of its runs changed. It only reads, and only while somebody watches.

    Args:
        folders: Where the runs are; they need not be there yet.
        language: `"en"` or `"zh"`; by default `LAMELLA_LANG`, else the system's.
        max_clients: How many pages are followed at once; what is more is answered 503, and asks again by itself.
        hosts: Under which names it may be asked for; any by default. For a server that only this machine shall
            reach, `("127.0.0.1", "localhost")`: then no page of the web can read it by a name of its own.

    Raises:
        ArgumentError: A language that there are no texts in.

    Example:
        >>> app = create_app(["runs"])  # uvicorn.run(app)
    """
    language = chosen(language)
    runs = Runs(folders)
    feed = Feed(runs, lambda names: changing_part(runs, names, language))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        feed.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.feed = feed
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts or "*"), www_redirect=False)
    _add_routes(app, feed, language, max_clients)
    return app


def _add_routes(app: FastAPI, feed: Feed, language: str, max_clients: int) -> None:
    say = Words(language)

    async def shown(names: Names) -> Response:
        version, view = await feed.view(names)
        events = "events?" + urlencode([("run", name) for name in names])
        return _html(document(view, names, language, events, version))

    def refused(status: int, key: str, **values: Any) -> Response:
        main = tag("main", message(say(key, **values)), tag("a", say("watch.back"), href="."), id="report")
        return _html(page.document(main, "Lamella", language), status)

    @app.api_route("/", methods=["GET", "HEAD"])
    async def all_runs() -> Response:
        await feed.knows(())
        return await shown(())

    @app.api_route("/runs", methods=["GET", "HEAD"])
    async def some_runs(run: Annotated[list[str], Query()] = []) -> Response:  # noqa: B006  (FastAPI copies it)
        names = tuple(dict.fromkeys(run))
        if not names:
            return refused(400, "watch.none_ticked")
        if len(names) > _MOST_RUNS:
            return refused(400, "watch.too_many", most=_MOST_RUNS)
        return await shown(names) if await feed.knows(names) else refused(404, "watch.unknown")

    @app.get("/events")
    async def events(
        run: Annotated[list[str], Query()] = [],  # noqa: B006
        seen: str | None = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        names = tuple(dict.fromkeys(run))
        if feed.clients >= max_clients:
            return Response(status_code=503, headers={**_HEADERS, "Retry-After": "5"})
        if len(names) > _MOST_RUNS or not await feed.knows(names):
            return Response(status_code=404, headers=_HEADERS)
        return StreamingResponse(feed.follow(names, last_event_id or seen), 200, _HEADERS, "text/event-stream")

    @app.exception_handler(HTTPException)
    async def not_there(request: Request, error: HTTPException) -> Response:
        return refused(error.status_code, "watch.unknown")


def _html(page: str, status: int = 200) -> Response:
    return Response(page, status, _HEADERS, "text/html; charset=utf-8")
