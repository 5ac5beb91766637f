"""`tf.io`: files and pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella.engine.strings import Bytes, Strings
from lamella.errors import ArgumentError, DataError
from lamella.tensorflow_stand_in import gfile
from lamella.tensorflow_stand_in.examples import (
    FixedLenFeature,
    FixedLenSequenceFeature,
    RaggedFeature,
    VarLenFeature,
    parse_example,
    parse_sequence_example,
    parse_single_example,
    parse_single_sequence_example,
)
from lamella.tensorflow_stand_in.records import TFRecordOptions, TFRecordWriter
from lamella.tensorflow_stand_in.tensor_bytes import (
    decode_base64,
    decode_raw,
    encode_base64,
    parse_tensor,
    serialize_tensor,
)
from lamella.tensorflow_stand_in.tensors import constant
from lamella.utils.image import pillow
from lamella.utils.record_files import as_path

__all__ = [
    "FixedLenFeature",
    "FixedLenSequenceFeature",
    "RaggedFeature",
    "TFRecordOptions",
    "TFRecordWriter",
    "VarLenFeature",
    "decode_base64",
    "decode_bmp",
    "decode_csv",
    "decode_gif",
    "decode_image",
    "decode_jpeg",
    "decode_png",
    "decode_raw",
    "encode_base64",
    "encode_jpeg",
    "encode_png",
    "extract_jpeg_shape",
    "gfile",
    "is_jpeg",
    "matching_files",
    "parse_example",
    "parse_sequence_example",
    "parse_single_example",
    "parse_single_sequence_example",
    "parse_tensor",
    "read_file",
    "serialize_tensor",
    "write_file",
]

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def fitting_files(patterns: Any, refusal: str) -> list[str]:
    """The paths that fit a pattern such as `data/*.csv`, or several, sorted.

    Raises:
        ArgumentError: There is none; the message begins with `refusal`.
    """
    paths = gfile.glob(patterns if isinstance(patterns, (str, Path)) else list(patterns))
    if not paths:
        raise ArgumentError(f"{refusal} {patterns!r}.")
    return paths


def read_file(filename: Any, name: str | None = None) -> Bytes:
    """The bytes of a file."""
    return Bytes(as_path(filename).read_bytes())


def matching_files(pattern: Any, name: str | None = None) -> Strings:
    """The paths that fit a pattern, or several, sorted; there may be none."""
    return Strings.of(gfile.glob(pattern))


def write_file(filename: Any, contents: bytes | str, name: str | None = None) -> None:
    """Writes a file, and the folders that it is in."""
    path = as_path(filename)
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


def encode_jpeg(image: Any, format: str = "", quality: int = 95, name: str | None = None, **kwargs: Any) -> Bytes:
    """The bytes of a JPEG file of a picture (height, width, 1 or 3) of uint8."""
    return _encoded(image, "JPEG", quality=quality)


def encode_png(image: Any, compression: int = -1, name: str | None = None) -> Bytes:
    """The bytes of a PNG file of a picture (height, width, 1, 3 or 4) of uint8."""
    return _encoded(image, "PNG", **({} if compression < 0 else {"compress_level": compression}))


def _encoded(image: Any, kind: str, **options: Any) -> Bytes:
    pixels = np.asarray(constant(image))
    if pixels.dtype != np.uint8 or pixels.ndim != 3:
        raise DataError(f"A picture (height, width, channels) of uint8 is needed; got {pixels.shape} {pixels.dtype}.")
    file = io.BytesIO()
    pillow().fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, kind, **options)
    return Bytes(file.getvalue())


def is_jpeg(contents: bytes, name: str | None = None) -> bool:
    """Whether the bytes begin as those of a JPEG file do."""
    return contents[:3] == b"\xff\xd8\xff"


def extract_jpeg_shape(contents: bytes, output_type: Any = torch.int32, name: str | None = None) -> torch.Tensor:
    """Height, width and number of channels of the picture in the bytes of a file."""
    with pillow().open(io.BytesIO(contents)) as picture:
        return torch.tensor([picture.height, picture.width, len(picture.getbands())], dtype=output_type)
