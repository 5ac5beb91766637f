"""Bodies of requests: read within limits of size and time, JSON, forms or picture files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from lamella.serving.errors import RequestError
from lamella.serving.json_body import JsonBody

_LINGER = 2.0
"""For so many seconds what is over the limit is read and thrown away: a client that still sends would not see our
answer."""

_PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp")


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The whole body, whether or not its length was told.

    Raises:
        RequestError: 413 for more than `limit` bytes, 408 for one that does not come within `seconds`, 400 for a client
            that went away.
    """
    told = request.headers.get("content-length")
    if told is not None and told.isdigit() and int(told) > limit:
        if "expect" not in request.headers:
            await _throw_away(request)
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    break
                chunks.append(chunk)
    except TimeoutError:
        raise RequestError(
            408,
            "slow_body",
            f"The body did not come within {seconds:g} s. Send it faster.",
            "body",
            {"Connection": "close"},
        ) from None
    except ClientDisconnect:
        raise RequestError(400, "disconnected", "The client went away before the end of the body.", "body") from None
    if size > limit:
        await _throw_away(request)
        raise _too_large(limit)
    return b"".join(chunks)


async def _throw_away(request: Request) -> None:
    try:
        async with asyncio.timeout(_LINGER):
            while (message := await request.receive())["type"] == "http.request" and message.get("more_body"):
                pass
    except TimeoutError:
        pass


def _too_large(limit: int) -> RequestError:
    return RequestError(
        413,
        "too_large",
        f"Expected a body of at most {limit:,} bytes; found a larger one. Send fewer or smaller samples.",
        "body",
        {"Connection": "close"},
    )


async def read_samples(request: Request, body: bytes, reader: JsonBody) -> list[list[Any]]:
    """The samples of each input: JSON, `multipart/form-data`, or one picture file.

    Raises:
        RequestError: 400 or 422 for a body that cannot be read, 415 for one of another type.
    """
    header = request.headers.get("content-type", "")
    kind = header.partition(";")[0].strip().lower()
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestError(
            415, "wrong_content_type", "Expected a body as it is; found Content-Encoding. Send it uncompressed.", "body"
        )
    if kind == "application/json":
        return await _maybe_in_thread(reader.read, body)
    pictures = any(each.picture for each in reader.inputs)
    if kind in _PICTURES and pictures and len(reader.inputs) == 1:
        return [[body]]
    if kind == "multipart/form-data" and pictures:
        return await _read_form(request, body, reader)
    allowed = "application/json" + (", multipart/form-data" if pictures else "")
    if pictures and len(reader.inputs) == 1:
        allowed += " or a picture such as image/png"
    raise RequestError(
        415,
        "wrong_content_type",
        f"Expected the header Content-Type: {allowed}; found {kind[:80]!r}. With curl: -H 'Content-Type: "
        f"application/json'.",
        "header Content-Type",
    )


async def _maybe_in_thread(read: Any, body: bytes) -> Any:
    """Large bodies are parsed aside: the others go on meanwhile."""
    return read(body) if len(body) < 65_536 else await asyncio.to_thread(read, body)


async def _read_form(request: Request, body: bytes, reader: JsonBody) -> list[list[Any]]:
    """A file is one picture, a text field the JSON of all samples of an input; each has the name of its input.

    With one input alone, files may have any name.
    """
    form = await _parsed(request, body)
    names = [each.name for each in reader.inputs]
    given: list[list[Any]] = [[] for _ in names]
    for name, value in form:
        if len(names) == 1 and isinstance(value, bytes):
            number = 0
        elif name in names:
            number = names.index(name)
        else:
            raise RequestError(
                422,
                "unknown_field",
                f"The form has a field {name[:80]!r}: expected {' and '.join(map(repr, names))}. Rename it or leave it "
                f"out.",
                f"form.{name[:80]}",
            )
        if isinstance(value, str):
            given[number] += reader.read_input(value, number)
        elif reader.inputs[number].picture:
            given[number].append(value)
        else:
            raise RequestError(
                422, "wrong_type", f"form.{name}: expected JSON; found a file. Send it as a text field.", f"form.{name}"
            )
    for name, samples in zip(names, given, strict=True):
        if not 1 <= len(samples) <= reader.max_samples or len({isinstance(each, list) for each in samples}) > 1:
            raise RequestError(
                422,
                "wrong_shape",
                f"form.{name}: expected 1 to {reader.max_samples} samples of one kind; found {len(samples)}. Add a "
                f"file or a field of that name.",
                f"form.{name}",
            )
    return given


async def _parsed(request: Request, body: bytes) -> list[tuple[str, str | bytes]]:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = MultiPartParser(request.headers, stream(), max_files=1000, max_fields=100, max_part_size=len(body))
        boundary = request.headers["content-type"].partition("boundary=")[2].partition(";")[0].strip().strip('"')
        if f"--{boundary}--".encode("latin-1") not in body:  # the parser would take a half form for a whole one
            raise MultiPartException("its last boundary is missing")
        form = await parser.parse()
        try:
            return [
                (name, await value.read() if isinstance(value, UploadFile) else value)
                for name, value in form.multi_items()
            ]
        finally:
            await form.close()
    except (MultiPartException, KeyError, ValueError) as error:
        told = getattr(error, "message", str(error))
        raise RequestError(
            400, "bad_form", f"The body is no multipart/form-data: {told}. Let your HTTP library make it.", "body"
        ) from None
