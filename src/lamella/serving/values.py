"""From what a request gave to arrays that the model takes: numbers, and pictures of any size and form."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamella.errors import LamellaError
from lamella.serving.errors import RequestError
from lamella.serving.signature import ModelInput
from lamella.utils.image import pillow
from lamella.vision.pictures import read_image, resize

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MAX_PIXELS = 25_000_000


@dataclass(frozen=True)
class Values:
    """The samples of one request.

    Attributes:
        columns: For each input an array (samples, ...), or a list of texts.
        samples: How many there are.
        key: Requests of one key can be joined.
    """

    columns: list[Any]
    samples: int
    key: Hashable


def values_of(
    inputs: Sequence[ModelInput], given: Sequence[list[Any]], pixel_range: tuple[float, float], max_length: int
) -> Values:
    """Arrays of what was read from a request.

    Args:
        inputs: The model's inputs.
        given: For each its samples: nested lists, base64 or the bytes of pictures, or texts.
        pixel_range: What black and white are for the model.
        max_length: The most pixels of a side that the model leaves open.

    Raises:
        RequestError: 422 for other numbers of samples, samples of different shapes, pictures that are none, numbers
            too large for the input's data type.
    """
    counts = [len(samples) for samples in given]
    if len(set(counts)) != 1:
        told = ", ".join(f"{each.name}: {count}" for each, count in zip(inputs, counts, strict=True))
        raise RequestError(
            422,
            "wrong_shape",
            f"All inputs need the same number of samples; found {told}. Send one of each a sample.",
            "inputs",
        )
    alone = len(inputs) == 1
    columns = [
        _column(each, samples, "inputs" if alone else f"inputs.{each.name}", pixel_range, max_length)
        for each, samples in zip(inputs, given, strict=True)
    ]
    key = tuple(column.shape[1:] for column in columns if isinstance(column, np.ndarray))
    return Values(columns, counts[0], key)


def _column(
    each: ModelInput, samples: list[Any], where: str, pixel_range: tuple[float, float], max_length: int
) -> np.ndarray | list[str]:
    if each.kind == "text":
        return samples
    dtype = "float32" if each.dtype == "bfloat16" else each.dtype
    if isinstance(samples[0], (str, bytes)):
        pictures = [
            _picture(each, sample, f"{where}[{row}]", pixel_range, max_length) for row, sample in enumerate(samples)
        ]
        return _stacked(pictures, where).astype(dtype, copy=False)
    try:
        numbers = np.array(samples, "float64" if "float" in dtype else dtype)
    except ValueError:
        raise _ragged(where) from None
    with np.errstate(over="ignore"):
        column = numbers.astype(dtype, copy=False)
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        place = tuple(np.argwhere(~np.isfinite(column))[0].tolist())
        raise RequestError(
            422,
            "out_of_range",
            f"{where}: expected numbers that fit into {dtype}; found {numbers[place]:g}. Scale the data as in "
            f"training.",
            where + "".join(f"[{i}]" for i in place),
        )
    return column


def _stacked(samples: list[np.ndarray], where: str) -> np.ndarray:
    if len({sample.shape for sample in samples}) != 1:
        raise _ragged(where)
    return np.stack(samples)


def _ragged(where: str) -> RequestError:
    return RequestError(
        422,
        "wrong_shape",
        f"{where}: expected samples of one shape in a request; found different ones. Pad or resize "
        f"them, or send a request for each.",
        where,
    )


def _picture(
    each: ModelInput, file: str | bytes, where: str, pixel_range: tuple[float, float], max_length: int
) -> np.ndarray:
    """A picture file as (height, width[, channels]) in the model's size and the range of its numbers."""
    data = _from_base64(file, where) if isinstance(file, str) else file
    try:
        image = pillow().open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise RequestError(
                413,
                "too_large",
                f"{where}: expected a picture of at most {MAX_PIXELS:,} pixels; found "
                f"{image.width} x {image.height}. Send a smaller one.",
                where,
            )
        array = read_image(image, each.channels)
    except LamellaError as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(422, "bad_picture", f"{where}: {error} Send a whole file, {_FORMATS}.", where) from None
    except Exception:  # decoders meet damage with errors of any kind
        raise RequestError(
            422,
            "bad_picture",
            f"{where}: expected a picture ({_FORMATS}); found {len(data)} bytes that are none.",
            where,
        ) from None
    height, width = (own or given for own, given in zip(each.shape[:2], array.shape[:2], strict=True))
    if max(height, width) > max_length and None in each.shape[:2]:
        raise RequestError(
            422,
            "wrong_shape",
            f"{where}: expected at most {max_length} pixels a side; found {height} x {width}. Send a smaller picture.",
            where,
        )
    if array.shape[:2] != (height, width):
        array = resize(array, (height, width))
    if len(each.shape) == 2:
        array = array[..., 0]
    if pixel_range == (0, 255):
        return array
    black, white = pixel_range
    return np.float32(black) + array * np.float32((white - black) / 255)


_FORMATS = ", ".join(FORMATS)


def _from_base64(text: str, where: str) -> bytes:
    if text.startswith("data:"):  # as a browser's canvas gives it
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(
            422,
            "bad_picture",
            f"{where}: expected a picture in base64; found text that is none. Send the whole file, "
            f"encoded, without line breaks.",
            where,
        ) from None
