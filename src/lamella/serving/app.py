"""`create_app`: a model as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from time import perf_counter
from typing import Any

import torch
from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from lamella.errors import ArgumentError
from lamella.serving.batching import Batcher
from lamella.serving.body import read_body, read_samples
from lamella.serving.errors import RequestError
from lamella.serving.json_body import JsonBody
from lamella.serving.runner import Runner
from lamella.serving.signature import Signature, signature_of
from lamella.serving.telemetry import Telemetry
from lamella.serving.values import values_of

_PATHS = {
    "/": "GET, the page to try the model",
    "/predict": "POST, predictions",
    "/schema": "GET, what /predict takes",
    "/health": "GET, whether the process lives",
    "/ready": "GET, whether it takes requests",
    "/metrics": "GET, for Prometheus",
    "/openapi.json": "GET, the same for programs",
}
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
}


def create_app(
    model: Any,
    *,
    class_names: Sequence[str] | None = None,
    pixel_range: tuple[float, float] = (0, 255),
    max_batch: int = 32,
    max_wait_ms: float = 2.0,
    max_queue: int = 1024,
    max_samples: int = 256,
    max_body: int = 8 * 2**20,
    max_length: int = 1024,
    timeout: float = 10.0,
    threads: int | None = None,
) -> FastAPI:
    """An ASGI application that answers with the predictions of a model.

    `POST /predict` takes `{"inputs": [sample, ...]}`, by name where there are several inputs, pictures also in
    base64, as `multipart/form-data` or as one file; it answers `{"outputs": [...]}`, and the likeliest `"classes"`
    where their names are known. `/schema` says what it takes. Also: `/health`, `/ready`, `/metrics` (Prometheus),
    `/openapi.json` and, at `/`, a page to try the model by hand. Requests that wait at the same time are computed
    together.

    Args:
        model: A functional or sequential model, or a classifier of texts (`lamella.language`). Models of other kinds
            can be wrapped: `lamella.Model(x, model(x))`.
        class_names: The names of the classes; by default the model's own, if it has any.
        pixel_range: What the model takes for black and for white: picture files become numbers in this range.
        max_batch: The most samples that the model sees at once; 1 for no batching.
        max_wait_ms: How long the first request of a batch waits for others, in milliseconds.
        max_queue: The most samples that wait; what finds no room is answered 503, with Retry-After.
        max_samples: The most samples in a request.
        max_body: The most bytes in a request.
        max_length: The most items along an axis that the model leaves open; a text may have 1000 times as many letters.
        timeout: The most seconds to read a body (else 408), and to get its answer (else 504).
        threads: The CPU threads of the model; torch's number by default. It holds for the whole process.

    Raises:
        ArgumentError: A model that does not say what it takes; class names that do not fit; limits out of range.

    Example:
        >>> import lamella
        >>> model = lamella.Sequential([lamella.Input((4,)), lamella.layers.Dense(3, "softmax")])
        >>> app = create_app(model, class_names=["setosa", "versicolor", "virginica"])  # uvicorn.run(app)
    """
    limits: dict[str, float] = {"max_batch": max_batch, "max_queue": max_queue, "max_samples": max_samples}
    limits |= {"max_body": max_body, "max_length": max_length, "timeout": timeout, "threads": threads or 1}
    for name, value in limits.items():
        if not value > 0:
            raise ArgumentError(f"create_app: `{name}` must be above 0; got {value!r}.")
    if not 0 <= max_wait_ms <= 60_000 or pixel_range[0] == pixel_range[1]:
        raise ArgumentError(
            f"create_app: `max_wait_ms` must be from 0 to 60,000, and `pixel_range` two different numbers; got "
            f"{max_wait_ms!r} and {pixel_range!r}."
        )
    signature = signature_of(model, class_names)
    runner = Runner(model, signature, max_batch)
    telemetry = Telemetry(lambda: batcher.samples_waiting)
    batcher = Batcher(
        runner,
        max_batch,
        max_wait_ms / 1000,
        max_queue,
        timeout,
        start_thread=lambda: None if threads is None else torch.set_num_threads(threads),
        observe=telemetry.batch,
    )
    reader = JsonBody(signature.inputs, max_samples, max_length)
    service = _Service(model.name, signature, reader, batcher, telemetry, max_body, pixel_range)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await batcher.run_in_thread(runner.warm_up)
        yield
        service.draining = True
        await batcher.close()

    app = FastAPI(title=model.name, lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.service = service
    app.add_middleware(_Watched, telemetry=telemetry)
    _add_errors(app)
    _add_routes(app, service)
    return app


@dataclass
class _Service:
    """What the routes of one application share."""

    name: str
    signature: Signature
    reader: JsonBody
    batcher: Batcher
    telemetry: Telemetry
    max_body: int
    pixel_range: tuple[float, float]
    draining: bool = False

    @property
    def ready(self) -> bool:
        return not self.draining and self.batcher.alive

    async def predict(self, request: Request) -> dict[str, Any]:
        body = await read_body(request, self.max_body, self.batcher.timeout)
        given = await read_samples(request, body, self.reader)
        work = (self.signature.inputs, given, self.pixel_range, self.reader.max_length)
        heavy = len(body) >= 65_536 or isinstance(given[0][0], (str, bytes))  # others go on meanwhile
        values = await asyncio.to_thread(values_of, *work) if heavy else values_of(*work)
        return await self.batcher.answer(values)

    def schema(self) -> dict[str, Any]:
        return describe(self.name, self.signature) | {
            "limits": {
                "samples": self.reader.max_samples,
                "bytes": self.max_body,
                "length": self.reader.max_length,
                "seconds": self.batcher.timeout,
            },
            "request": self.reader.schema(),
        }


def describe(name: str, signature: Signature) -> dict[str, Any]:
    """A signature as plain data.

    Args:
        name: The model's name.
        signature: What it takes and gives.
    """
    return {
        "model": name,
        "inputs": [
            {"name": each.name, "kind": each.kind, "shape": each.shape, "dtype": each.dtype, "picture": each.picture}
            for each in signature.inputs
        ],
        "outputs": [{"name": each.name, "shape": each.shape, "scores": each.scores} for each in signature.outputs],
        "classes": signature.class_names,
    }


def _add_routes(app: FastAPI, service: _Service) -> None:
    content: dict[str, Any] = {"application/json": {"schema": service.reader.schema()}}
    if any(each.picture for each in service.signature.inputs):
        content["multipart/form-data"] = {"schema": {"type": "object"}}
    body = {"content": content, "required": True}

    @app.post("/predict", openapi_extra={"requestBody": body}, response_model=None)
    async def predict(request: Request) -> Response:
        return _json(await service.predict(request))

    @app.get("/schema", response_model=None)
    async def schema() -> Response:
        return _json(service.schema())

    @app.api_route("/health", methods=["GET", "HEAD"], response_model=None, include_in_schema=False)
    async def health() -> Response:
        return _json({"status": "ok" if service.batcher.alive else "failed"}, 200 if service.batcher.alive else 500)

    @app.api_route("/ready", methods=["GET", "HEAD"], response_model=None, include_in_schema=False)
    async def ready() -> Response:
        return _json({"ready": service.ready}, 200 if service.ready else 503)

    @app.get("/metrics", response_model=None, include_in_schema=False)
    async def metrics() -> Response:
        return Response(service.telemetry.text(), media_type=CONTENT_TYPE_LATEST)

    page = files("lamella.serving").joinpath("page.html").read_bytes()

    @app.api_route("/", methods=["GET", "HEAD"], response_model=None, include_in_schema=False)
    async def try_it() -> Response:
        return Response(page, media_type="text/html; charset=utf-8", headers=_PAGE_HEADERS)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestError)
    async def told(request: Request, error: RequestError) -> Response:
        return _json(error.body(), error.status, error.headers)

    @app.exception_handler(HTTPException)
    async def not_there(request: Request, error: HTTPException) -> Response:
        path = request.url.path[:80]
        if error.status_code == 405:
            kind, message = "wrong_method", f"{request.method} does not go with {path}: {_PATHS.get(path, 'GET')}."
        else:
            known = ", ".join(_PATHS)
            kind, message = "not_found", f"There is nothing at {path}. There is: {known}."
        return _json(RequestError(error.status_code, kind, message, path).body(), error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        told = RequestError(500, "internal", "The server failed on this request; its log says why.")
        return _json(told.body(), 500)


def _json(content: Any, status: int = 200, headers: Any = None) -> Response:
    return Response(to_json(content), status, headers, "application/json")


_Message = MutableMapping[str, Any]


class _Watched:
    """Counts the requests and times those to /predict."""

    def __init__(self, app: Any, telemetry: Telemetry) -> None:
        self.app = app
        self.telemetry = telemetry

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500
        start = perf_counter()

        async def watched(message: _Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            path = scope["path"] if scope["path"] in _PATHS else "other"
            self.telemetry.requests.labels(path, str(status)).inc()
            if path == "/predict":
                self.telemetry.seconds.observe(perf_counter() - start)
