"""Masks: files whose pixels say the class of each pixel of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lamella.errors import DataError, ShapeError
from lamella.utils.image import pillow
from lamella.vision.pictures import decoded, fit, upright


def read_mask(source: Any) -> np.ndarray:
    """The numbers in a mask (height, width): a palette's indices or greys; or its colours (height, width, 3).

    A colour picture of which all channels are alike is a grey one.

    Args:
        source: A path, bytes, an open file, a Pillow image, or an array or tensor of whole numbers.

    Raises:
        DataError: As `lamella.vision.pictures.read_image`.
        ShapeError: An array of another shape.

    Example:
        >>> read_mask(np.eye(2, dtype="int64")).tolist()
        [[1, 0], [0, 1]]
    """
    if isinstance(source, torch.Tensor):
        source = source.detach().cpu().numpy()
    if not isinstance(source, np.ndarray):
        return _grey(decoded(source, _numbers))
    if source.ndim == 3 and source.shape[2] == 1:
        source = source[..., 0]
    if not (source.ndim == 2 or (source.ndim == 3 and source.shape[2] == 3)) or 0 in source.shape:
        raise ShapeError(f"A mask is an array (height, width) or (height, width, 3); got shape {source.shape}.")
    if source.dtype.kind not in "biu" and not np.array_equal(source, np.rint(source)):
        raise DataError(f"A mask holds whole numbers; got {source.dtype} values with fractions.")
    return _grey(source.astype("int64"))


def _numbers(image: Any) -> np.ndarray:
    image = upright(image)
    if image.mode in ("P", "L", "1") or image.mode.startswith("I"):
        return np.array(image)
    return np.array(image.convert("L" if image.mode == "LA" else "RGB"))


def _grey(mask: np.ndarray) -> np.ndarray:
    alike = mask.ndim == 3 and (mask[..., :1] == mask).all()
    return mask[..., 0] if alike else mask


def to_classes(mask: np.ndarray, values: Sequence[Any] | None, classes: int, ignore_class: int | None) -> np.ndarray:
    """The class of each pixel.

    Args:
        mask: What `read_mask` gave.
        values: For each class its grey, of which the nearest counts (so edges smoothed by JPEG do no harm), or its
            colour; None where the mask has class numbers.
        classes: How many classes there are.
        ignore_class: A further number that stays as it is: pixels without a class.

    Raises:
        DataError: A pixel that is of no class.

    Example:
        >>> to_classes(np.array([[0, 250, 255]]), (0, 255), 2, None).tolist()
        [[0, 1, 1]]
    """
    if values is None:
        found = mask.astype("int64") if mask.ndim == 2 else None
        if found is None:
            raise DataError("the mask has colours: pass the colour of each class as `values`, as [(0, 0, 0), ...]")
        wrong = (found < 0) | (found >= classes)
        if ignore_class is not None:
            wrong &= found != ignore_class
        if wrong.any():
            raise DataError(
                f"the mask has {_listed(np.unique(found[wrong]))} in it, but {classes} classes from 0. If that is the "
                f"grey of a class, pass `values`, as (0, 255); if it is no class, pass `ignore_class`"
            )
        return _small(found)
    wanted = np.asarray(values, "int64")
    if wanted.ndim == 1:
        if mask.ndim != 2:
            raise DataError("the mask has colours, but `values` are greys: pass the colour of each class")
        order = np.argsort(wanted)
        edges = (wanted[order][1:] + wanted[order][:-1]) / 2
        found = order[np.searchsorted(edges, mask)]
        if ignore_class is not None:
            found = np.where(mask == ignore_class, ignore_class, found)
        return _small(found)
    colours = np.repeat(mask[..., None], 3, 2) if mask.ndim == 2 else mask
    codes, known = (each.astype("int64") @ np.array([65536, 256, 1]) for each in (colours, wanted))
    order = np.argsort(known)
    place = np.searchsorted(known[order], codes).clip(max=len(known) - 1)
    wrong = known[order][place] != codes
    if wrong.any():
        strange = np.unique(colours[wrong], axis=0)
        raise DataError(f"the mask has colours of no class: {_listed([tuple(map(int, each)) for each in strange])}")
    return _small(order[place])


def _listed(values: Any) -> str:
    return ", ".join(str(each) for each in values[:4]) + (", ..." if len(values) > 4 else "")


def _small(mask: np.ndarray) -> np.ndarray:
    """In bytes where they do: masks stay in memory."""
    return mask.astype("uint8") if mask.min() >= 0 and mask.max() < 256 else mask.astype("int32")


def letterbox_mask(mask: np.ndarray, size: tuple[int, int], fill: int) -> np.ndarray:
    """A mask fitted into a size as `letterbox` fits its picture; each pixel takes the nearest class.

    Example:
        >>> letterbox_mask(np.ones((2, 4), "uint8"), (4, 4), fill=0).tolist()
        [[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]
    """
    (height, width), _, (top, left) = fit(mask.shape, size)
    image_module = pillow()
    if (height, width) != mask.shape:
        kind = mask.dtype
        picture = image_module.fromarray(mask if kind == np.uint8 else mask.astype("int32"))
        mask = np.array(picture.resize((width, height), image_module.Resampling.NEAREST)).astype(kind)
    frame = np.full(size, fill, np.promote_types(mask.dtype, np.min_scalar_type(fill)))
    frame[top : top + height, left : left + width] = mask
    return frame
