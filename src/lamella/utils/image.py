"""Images in files and arrays, by Pillow."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella.engine.dtypes import floatx
from lamella.engine.image_data_format import checked_data_format
from lamella.errors import ArgumentError, ShapeError

_MODES = {"grayscale": ("L", "I;16", "I"), "rgb": ("RGB",), "rgba": ("RGBA",)}
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def pillow() -> Any:
    """Pillow's `PIL.Image`.

    Raises:
        ImportError: It is not installed; the message says how to install it.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("Images need the package Pillow: pip install pillow (or lamella[vision]).") from error
    return Image


def load_img(
    path: str | os.PathLike[str] | bytes | io.BytesIO,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """Reads an image file.

    Args:
        path: The file, or its bytes in a `BytesIO`.
        color_mode: `"grayscale"`, `"rgb"` or `"rgba"`.
        target_size: (height, width) to resize to; None to leave it as it is.
        interpolation: `"nearest"`, `"bilinear"`, `"bicubic"`, `"lanczos"`, `"box"` or `"hamming"`.
        keep_aspect_ratio: Whether what does not fit the target's shape is cut off rather than squeezed.

    Returns:
        A `PIL.Image`.

    Raises:
        ArgumentError: Another `color_mode` or `interpolation`.
        TypeError: Neither a path nor a `BytesIO`.

    Example:
        >>> import numpy as np, os, tempfile
        >>> file = os.path.join(tempfile.mkdtemp(), "a.png")
        >>> save_img(file, np.zeros((4, 6, 3)))
        >>> load_img(file, target_size=(2, 3)).size
        (3, 2)
    """
    image_module = pillow()
    if not isinstance(path, (str, bytes, os.PathLike, io.BytesIO)):
        raise TypeError(f"load_img: `path` must be a path or a BytesIO; got {path!r}.")
    if color_mode not in _MODES:
        raise ArgumentError(f"load_img: `color_mode` must be one of {', '.join(_MODES)}; got {color_mode!r}.")
    with image_module.open(path) as opened:
        opened.load()  # reads all of it
        image = opened if opened.mode in _MODES[color_mode] else opened.convert(_MODES[color_mode][0])
    if target_size is None:
        return image
    height, width = target_size
    if image.size == (width, height):
        return image
    if interpolation not in _INTERPOLATIONS:
        raise ArgumentError(
            f"load_img: `interpolation` must be one of {', '.join(_INTERPOLATIONS)}; got {interpolation!r}."
        )
    resample = getattr(image_module.Resampling, interpolation.upper())
    if not keep_aspect_ratio:
        return image.resize((width, height), resample)
    own_width, own_height = image.size
    crop_height = min(own_height, own_width * height // width)
    crop_width = min(own_width, own_height * width // height)
    top, left = (own_height - crop_height) // 2, (own_width - crop_width) // 2
    return image.resize((width, height), resample, box=(left, top, left + crop_width, top + crop_height))


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """A `PIL.Image` as an array with three axes.

    Args:
        img: The image.
        data_format: `"channels_last"` or `"channels_first"`.
        dtype: The data type; `floatx()` by default.

    Example:
        >>> from PIL import Image
        >>> img_to_array(Image.new("RGB", (5, 3))).shape
        (3, 5, 3)
    """
    first = checked_data_format(data_format) == "channels_first"
    array = np.asarray(img, dtype=dtype or floatx())
    if array.ndim == 2:
        return array[None] if first else array[..., None]
    if array.ndim != 3:
        raise ShapeError(f"img_to_array: an image has 2 or 3 axes; got shape {array.shape}.")
    return array.transpose(2, 0, 1) if first else array


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """An array with three axes as a `PIL.Image`.

    Args:
        x: The array, with 1, 3 or 4 channels.
        data_format: `"channels_last"` or `"channels_first"`.
        scale: Whether the values are spread from 0 to 255.
        dtype: The data type to compute in; `floatx()` by default.

    Raises:
        ShapeError: Another number of axes or channels.

    Example:
        >>> array_to_img(np.zeros((3, 5, 1))).mode
        'L'
    """
    image_module = pillow()
    first = checked_data_format(data_format) == "channels_first"
    array = np.asarray(x.detach().cpu() if isinstance(x, torch.Tensor) else x, dtype=dtype or floatx())
    if array.ndim != 3:
        raise ShapeError(f"array_to_img: one image has three axes; got shape {array.shape}.")
    if first:
        array = array.transpose(1, 2, 0)
    if scale:
        array = array - array.min()
        largest = array.max()
        array = array / (largest if largest != 0 else 1) * 255
    channels = array.shape[2]
    if channels == 1:
        deep = array.max() > 255
        return image_module.fromarray(array[:, :, 0].astype("int32" if deep else "uint8"))
    if channels not in (3, 4):
        raise ShapeError(f"array_to_img: an image has 1, 3 or 4 channels; got {channels} (shape {array.shape}).")
    return image_module.fromarray(np.ascontiguousarray(array.astype("uint8")))


def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Writes an array to an image file.

    Args:
        path: The file, or an open file.
        x: The array, with three axes.
        data_format: `"channels_last"` or `"channels_first"`.
        file_format: The format; by default that of the file's ending.
        scale: Whether the values are spread from 0 to 255.
        **kwargs: For `PIL.Image.save`.
    """
    if file_format is None and isinstance(path, (str, os.PathLike)):
        file_format = Path(path).suffix[1:].lower()
    if file_format and file_format.lower() == "jpg":
        file_format = "jpeg"
    image = array_to_img(x, data_format, scale)
    if image.mode == "RGBA" and file_format == "jpeg":
        warnings.warn("JPEG has no transparency: the image is saved as RGB.", stacklevel=2)
        image = image.convert("RGB")
    image.save(path, format=file_format, **kwargs)


def smart_resize(
    x: Any, size: tuple[int, int], interpolation: str = "bilinear", data_format: str = "channels_last"
) -> Any:
    """Resizes images without distortion: the middle of each, in the target's shape, is cut out and resized.

    Args:
        x: One image or a batch; a tensor gives a tensor, an array an array.
        size: (height, width).
        interpolation: `"bilinear"`, `"nearest"`, `"bicubic"`, `"lanczos3"` or `"lanczos5"`.
        data_format: `"channels_last"` or `"channels_first"`.

    Example:
        >>> smart_resize(np.zeros((10, 20, 3), "float32"), (5, 5)).shape
        (5, 5, 3)
    """
    from lamella.engine.image import resize  # loaded only where it is used

    if len(size) != 2:
        raise ArgumentError(f"smart_resize: `size` must be (height, width); got {size!r}.")
    images = torch.as_tensor(np.asarray(x)) if not isinstance(x, torch.Tensor) else x
    if images.ndim not in (3, 4):
        raise ShapeError(f"smart_resize: needs one image or a batch of them; got shape {tuple(images.shape)}.")
    rows, columns = (-3, -2) if checked_data_format(data_format) == "channels_last" else (-2, -1)
    height, width = images.shape[rows], images.shape[columns]
    crop_height = max(min(height, int(width * size[0] / size[1])), 1)
    crop_width = max(min(width, int(height * size[1] / size[0])), 1)
    images = images.narrow(rows, int((height - crop_height) / 2), crop_height)
    images = images.narrow(columns, int((width - crop_width) / 2), crop_width)
    resized = resize(images, tuple(size), interpolation=interpolation, data_format=data_format)
    return resized if isinstance(x, torch.Tensor) else resized.numpy()
