"""`tf.io`: files and pictures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError, DataError
from lamella.utils.image import pillow

__all__ = ["decode_bmp", "decode_gif", "decode_image", "decode_jpeg", "decode_png", "read_file", "write_file"]

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


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


decode_bmp = decode_gif = decode_jpeg
