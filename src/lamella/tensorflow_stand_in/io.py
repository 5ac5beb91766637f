"""`tf.io`: files and pictures."""

from __future__ import annotations

import csv
import glob
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError, DataError
from lamella.tensorflow_stand_in import gfile
from lamella.tensorflow_stand_in.tensors import constant
from lamella.utils.image import pillow

__all__ = [
    "decode_bmp",
    "decode_csv",
    "decode_gif",
    "decode_image",
    "decode_jpeg",
    "decode_png",
    "gfile",
    "read_file",
    "write_file",
]

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def fitting_files(patterns: Any, refusal: str) -> list[str]:
    """The paths that fit a pattern such as `data/*.csv`, or several, sorted.

    Raises:
        ArgumentError: There is none; the message begins with `refusal`.
    """
    several = [patterns] if isinstance(patterns, (str, Path)) else list(patterns)
    paths = sorted({path for pattern in several for path in glob.glob(str(pattern))})
    if not paths:
        raise ArgumentError(f"{refusal} {patterns!r}.")
    return paths


def read_file(filename: Any, name: str | None = None) -> bytes:
    """The bytes of a file."""
    return Path(filename.decode("utf-8") if isinstance(filename, bytes) else str(filename)).read_bytes()


def write_file(filename: Any, contents: bytes | str, name: str | None = None) -> None:
    """Writes a file, and the folders that it is in."""
    path = Path(filename)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents.encode("utf-8") if isinstance(contents, str) else contents)


def decode_image(
    contents: bytes,
    channels: int | None = 0,
    dtype: Any = torch.uint8,
    expand_animations: bool = True,
    name: str | None = None,
) -> torch.Tensor:
    """A picture (height, width, channels) of the bytes of a file; the first one of an animation.

    Raises:
        ArgumentError: Another number of channels than 0 (those of the file), 1, 3 and 4.
        DataError: No picture, or a damaged one.
    """
    if channels and channels not in _MODES:
        raise ArgumentError(f"`channels` must be 0, 1, 3 or 4; got {channels}.")
    try:
        with pillow().open(io.BytesIO(contents)) as picture:
            mode = _MODES.get(channels or 0)
            if mode is None:
                mode = picture.mode if picture.mode in _MODES.values() else "RGB"
            pixels = np.array(picture.convert(mode))
    except OSError as error:
        raise DataError(f"The bytes are no picture that can be read: {error}") from error
    found = torch.from_numpy(pixels if pixels.ndim == 3 else pixels[..., None])
    return found if dtype is torch.uint8 else found.to(dtype) / 255.0


def decode_jpeg(contents: bytes, channels: int = 0, name: str | None = None, **kwargs: Any) -> torch.Tensor:
    """`decode_image`, as TensorFlow calls it for JPEG."""
    return decode_image(contents, channels)


def decode_png(contents: bytes, channels: int = 0, dtype: Any = torch.uint8, name: str | None = None) -> torch.Tensor:
    """`decode_image`, as TensorFlow calls it for PNG."""
    return decode_image(contents, channels, dtype)


def decode_csv(
    records: Any,
    record_defaults: Any,
    field_delim: str = ",",
    na_value: str = "",
    name: str | None = None,
    **kwargs: Any,
) -> list[Any]:
    """The fields of one line of a table, or of several, each in the type of its default.

    Args:
        records: A line, or several.
        record_defaults: For each field the value that stands for a missing one (in a list or tensor), whose type the
            field has; an empty one for a field that must be there.
        field_delim: What stands between fields.
        na_value: What stands for a missing one, besides nothing.
        name: TensorFlow's argument: it changes nothing here.
        **kwargs: TensorFlow's further arguments: they change nothing here.

    Raises:
        DataError: Another number of fields, or no value where one must be.
    """
    single = isinstance(records, (str, bytes))
    lines = [each.decode("utf-8") if isinstance(each, bytes) else each for each in ([records] if single else records)]
    rows = list(csv.reader(lines, delimiter=field_delim))
    if any(len(row) != len(record_defaults) for row in rows):
        counts = sorted({len(row) for row in rows})
        raise DataError(f"decode_csv: there are {len(record_defaults)} defaults, but lines of {counts} fields.")
    columns = zip(*rows, strict=True)
    fields = [field_values(column, default, na_value) for column, default in zip(columns, record_defaults, strict=True)]
    return [field[0] for field in fields] if single else fields


def field_values(texts: Sequence[str], default: Any, na_value: str) -> Any:
    """The values of one field of several rows, in the type of its default."""
    default = default if isinstance(default, (torch.Tensor, torch.dtype)) else constant(default)
    kind = default if isinstance(default, torch.dtype) else getattr(default, "dtype", None)
    rest = [] if isinstance(default, torch.dtype) else np.asarray(default).reshape(-1).tolist()
    if not rest and any(text in ("", na_value) for text in texts):
        raise DataError("decode_csv: a field without a default is missing.")
    values = [rest[0] if text in ("", na_value) else text for text in texts]
    if not isinstance(kind, torch.dtype):
        return values
    return torch.tensor([float(value) if kind.is_floating_point else int(value) for value in values], dtype=kind)


decode_bmp = decode_gif = decode_jpeg
