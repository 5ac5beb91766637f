"""`image_dataset_from_directory`: images in folders, a folder for each class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from lamella.backend import image_data_format
from lamella.errors import ArgumentError
from lamella.utils.directory import dataset_from_directory
from lamella.utils.image import load_img

_FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
_INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5")


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: int | tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str | None = None,
    verbose: bool = True,
) -> Any:
    """Batches of images with their classes, from a folder with a folder for each class. `fit` takes them.

    Args:
        directory: The folder.
        labels: `"inferred"` (from the folders), None, or a class number for each file, in the order of their paths.
        label_mode: `"int"` (batch,) int32, `"categorical"` (batch, classes) or `"binary"` (batch, 1) float32; None.
        class_names: The classes to use, in an order of one's own.
        color_mode: `"grayscale"`, `"rgb"` or `"rgba"`: 1, 3 or 4 channels.
        batch_size: Images in a batch; None for one by one.
        image_size: (height, width) that all are resized to.
        shuffle: Whether each epoch has a new order; else they are sorted by name.
        seed: A seed for these orders.
        validation_split: The share of images to hold back.
        subset: `"training"`, `"validation"` or `"both"` parts of that split.
        interpolation: `"bilinear"`, `"nearest"`, `"bicubic"`, `"area"`, `"lanczos3"` or `"lanczos5"`.
        follow_links: Whether to go into linked folders.
        crop_to_aspect_ratio: Whether what does not fit `image_size`'s shape is cut off rather than squeezed.
        pad_to_aspect_ratio: Whether images are padded to that shape rather than squeezed.
        data_format: `"channels_last"` or `"channels_first"`.
        format: Kept for Keras's signature; batches are torch tensors.
        verbose: Whether to print what was found.

    Returns:
        A stream of `(images, labels)`: images float32 from 0 to 255, (batch, height, width, channels). It has
        `class_names` and `file_paths`. With `subset="both"` two of them.

    Raises:
        ArgumentError: Arguments that do not go together.
        DataError: No such folder, no images in it, or (while iterating) a file that is damaged: the error names it.

    Example:
        >>> import numpy as np, os, tempfile
        >>> from lamella.utils import save_img
        >>> folder = tempfile.mkdtemp()
        >>> for name in ("cats", "dogs"):
        ...     os.mkdir(os.path.join(folder, name))
        ...     save_img(os.path.join(folder, name, "1.png"), np.zeros((8, 8, 3)))
        >>> data = image_dataset_from_directory(folder, image_size=(4, 4), verbose=False)
        >>> images, labels = next(iter(data))
        >>> images.shape, data.class_names
        (torch.Size([2, 4, 4, 3]), ['cats', 'dogs'])
    """
    if color_mode not in _CHANNELS:
        raise ArgumentError(f"`color_mode` must be one of {', '.join(_CHANNELS)}; got {color_mode!r}.")
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    if not isinstance(size, (list, tuple)) or len(size) != 2:
        raise ArgumentError(f"`image_size` must be (height, width); got {image_size!r}.")
    if interpolation.lower() not in _INTERPOLATIONS:
        raise ArgumentError(f"`interpolation` must be one of {', '.join(_INTERPOLATIONS)}; got {interpolation!r}.")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ArgumentError("Give `crop_to_aspect_ratio` or `pad_to_aspect_ratio`, not both.")
    load = partial(
        _load,
        color_mode=color_mode,
        size=(int(size[0]), int(size[1])),
        interpolation=interpolation.lower(),
        crop=crop_to_aspect_ratio,
        pad=pad_to_aspect_ratio,
        data_format=data_format or image_data_format(),
    )
    return dataset_from_directory(
        "image",
        _FORMATS,
        load,
        directory,
        labels,
        label_mode,
        class_names,
        batch_size,
        shuffle,
        seed,
        validation_split,
        subset,
        follow_links,
        verbose,
    )


def _load(
    path: str, color_mode: str, size: tuple[int, int], interpolation: str, crop: bool, pad: bool, data_format: str
) -> torch.Tensor:
    from lamella.engine.image import resize  # loaded only where it is used

    pixels = torch.from_numpy(np.array(load_img(path, color_mode), dtype="float32"))
    image = pixels[..., None] if pixels.ndim == 2 else pixels
    if tuple(image.shape[:2]) != size:
        if interpolation == "area":
            image = torch.nn.functional.interpolate(image.permute(2, 0, 1)[None], size, mode="area")[0].permute(1, 2, 0)
        else:
            image = resize(image, size, interpolation=interpolation, crop_to_aspect_ratio=crop, pad_to_aspect_ratio=pad)
    return image.permute(2, 0, 1).contiguous() if data_format == "channels_first" else image
