"""Pictures from anywhere as arrays of bytes, and fitted into a size without distortion."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.utils.image import pillow

FILL = 114
"""The grey around a picture that does not fill its frame: about the mean of photographs."""

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp"})
"""Endings of picture files, in small letters."""


def read_image(source: Any, channels: int = 3) -> np.ndarray:
    """A picture as bytes (height, width, channels), upright and without transparency.

    Grey, palette, CMYK and 16-bit pictures become what `channels` says (16 bits are scaled by 1/257). What is
    transparent is laid over white. The orientation in a file's EXIF data is applied. Of an animation, the first picture
    is taken.

    Args:
        source: A path, the bytes of a file, an open binary file, a Pillow image, or an array or tensor (height, width)
            or (height, width, 1, 3 or 4) with values from 0 to 255 (uint16: to 65535; bool: black and white).
        channels: 3 for red, green and blue; 1 for grey.

    Raises:
        DataError: No file, no picture, a damaged or truncated one, one of more pixels than
            `PIL.Image.MAX_IMAGE_PIXELS` (a decompression bomb), 32-bit values, or values outside 0..255. A file is
            named.
        ShapeError: An array of another shape.
        ArgumentError: Another number of channels.

    Example:
        >>> read_image(np.zeros((4, 6), "uint8")).shape
        (4, 6, 3)
    """
    if channels not in (1, 3):
        raise ArgumentError(f"read_image: `channels` must be 1 or 3; got {channels!r}.")
    if isinstance(source, torch.Tensor):
        source = source.detach().cpu().numpy()
    if isinstance(source, np.ndarray):
        return _in_channels(pillow().fromarray(_bytes(source)), channels)
    return decoded(source, lambda image: _in_channels(upright(_eight_bits(image)), channels))


def decoded(source: Any, use: Callable[[Any], np.ndarray]) -> np.ndarray:
    """What `use` makes of the Pillow image in a path, bytes or an open file.

    Raises:
        DataError: As `read_image`.
    """
    image_module = pillow()
    if isinstance(source, image_module.Image):
        source, name = nullcontext(source), "the Pillow image"
    elif isinstance(source, (bytes, bytearray)):
        source, name = io.BytesIO(source), "the picture's bytes"
    elif isinstance(source, (str, os.PathLike)):
        name = str(source)
        if not Path(source).is_file():
            raise DataError(f"{name}: there is no such file.")
    elif hasattr(source, "read"):
        name = str(getattr(source, "name", "the open file"))
    else:
        raise DataError(
            f"A picture is a path, bytes, an open file, a Pillow image, an array or a tensor; got "
            f"{type(source).__name__}."
        )
    try:
        with source if isinstance(source, nullcontext) else image_module.open(source) as image:
            limit = image_module.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                raise DataError(
                    f"it has {image.width} x {image.height} pixels, more than PIL.Image.MAX_IMAGE_PIXELS = {limit}. "
                    f"Raise that if the picture is to be trusted"
                )
            image.load()
            return use(image)
    except image_module.UnidentifiedImageError as error:
        raise DataError(f"{name} is no picture of a known format, or it is empty.") from error
    except DataError as error:
        raise DataError(f"{name} cannot be used: {error}.") from None
    except Exception as error:  # decoders meet damage with errors of any kind
        raise DataError(f"{name} cannot be read as a picture; it is damaged or truncated: {error}.") from error


def upright(image: Any) -> Any:
    """A Pillow image turned as the EXIF data of its file say."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _eight_bits(image: Any) -> Any:
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise DataError("it has 32-bit values of unknown range. Save it with 8 or 16 bits a channel")
    if not image.mode.startswith("I"):
        return image
    exif = image.getexif()
    image = pillow().fromarray(_bytes(np.asarray(image).astype("uint16")))  # Pillow cuts all above 255 off
    image.getexif().update(exif)
    return image


def _in_channels(image: Any, channels: int) -> np.ndarray:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = pillow().new("RGBA", image.size, "white")
        image = pillow().alpha_composite(white, image)
    mode = "RGB" if channels == 3 else "L"
    array = np.array(image if image.mode == mode else image.convert(mode))
    return array if channels == 3 else array[..., None]


def _bytes(array: np.ndarray) -> np.ndarray:
    """An array of any number type as bytes that Pillow takes: (height, width) or (height, width, 3 or 4)."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or 0 in array.shape:
        raise ShapeError(
            f"A picture is an array (height, width) or (height, width, 1, 3 or 4); got shape {array.shape}."
        )
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype == np.bool_:
        return array.astype("uint8") * np.uint8(255)
    if array.dtype == np.uint16:
        return ((array.astype("uint32") + 128) // 257).astype("uint8")
    if array.dtype.kind not in "iuf":
        raise DataError(f"A picture holds numbers; got an array of {array.dtype}.")
    if not (array.min() >= 0 and array.max() <= 255):  # so written, NaN is refused too
        raise DataError(
            f"A picture has values from 0 to 255; got {array.dtype} values from {array.min()} to {array.max()}."
        )
    return np.rint(array).astype("uint8")


def letterbox(image: np.ndarray, size: tuple[int, int], fill: int = FILL) -> tuple[np.ndarray, float, tuple[int, int]]:
    """Fits a picture into a size: its aspect is kept, and what it leaves of the frame is filled on both sides equally.

    A point (x, y) of the picture comes to (x * scale + left, y * scale + top), to within half a pixel.

    Args:
        image: Bytes (height, width, channels).
        size: The (height, width) wanted.
        fill: The value of the frame.

    Returns:
        Bytes (*size, channels); the scale; and (top, left), where the picture starts.

    Raises:
        ArgumentError: A size that is no pair of positive whole numbers.

    Example:
        >>> fitted, scale, corner = letterbox(np.zeros((10, 40, 3), "uint8"), (20, 20))
        >>> fitted.shape, scale, corner
        ((20, 20, 3), 0.5, (7, 0))
    """
    (height, width), scale, (top, left) = fit(image.shape[:2], size)
    if (height, width) != image.shape[:2]:
        image = resize(image, (height, width))
    if (height, width) == tuple(size):
        return image, scale, (0, 0)
    frame = np.full((*size, image.shape[2]), fill, "uint8")
    frame[top : top + height, left : left + width] = image
    return frame, scale, (top, left)


def fit(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[tuple[int, int], float, tuple[int, int]]:
    """How a picture of `shape` is laid into `size`: its new (height, width), the scale, and (top, left).

    Example:
        >>> fit((10, 40), (20, 20))
        ((5, 20), 0.5, (7, 0))
    """
    if len(size) != 2 or not all(isinstance(side, (int, np.integer)) and side > 0 for side in size):
        raise ArgumentError(f"A size is (height, width), whole numbers above 0; got {size!r}.")
    scale = min(size[0] / shape[0], size[1] / shape[1])
    height, width = (max(1, round(side * scale)) for side in shape[:2])
    return (height, width), scale, ((size[0] - height) // 2, (size[1] - width) // 2)


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bytes (height, width, channels) resized; what shrinks is averaged first, so nothing flickers.

    Example:
        >>> resize(np.zeros((10, 40, 1), "uint8"), (5, 20)).shape
        (5, 20, 1)
    """
    image_module = pillow()
    single = image.shape[2] == 1
    picture = image_module.fromarray(image[..., 0] if single else image)
    found = np.array(picture.resize((size[1], size[0]), image_module.Resampling.BILINEAR))
    return found[..., None] if single else found
