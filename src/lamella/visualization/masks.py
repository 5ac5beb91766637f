"""`draw_segmentation_masks`, under Keras's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamella.errors import ArgumentError, DTypeError, ShapeError
from lamella.visualization.boxes import array_of, checked_images


def draw_segmentation_masks(
    images: Any,
    segmentation_masks: Any,
    num_classes: int | None = None,
    color_mapping: Mapping[int, Sequence[int]] | None = None,
    alpha: float = 0.8,
    blend: bool = True,
    ignore_index: int = -1,
    data_format: str | None = None,
) -> np.ndarray:
    """Pictures with masks laid over them, each class in its colour.

    Args:
        images: (batch, height, width, 3), values from 0 to 255.
        segmentation_masks: (batch, height, width) or (batch, height, width, 1), whole numbers: the class of each pixel.
        num_classes: Classes from this number on are not drawn; None draws all.
        color_mapping: Red, green and blue (0 to 255) of each class from 0 to `num_classes` - 1; Keras's palette by
            default, in which class 0 is black.
        alpha: How much of the colour is seen, from 0 to 1.
        blend: False for the plain colour.
        ignore_index: The class of pixels that stay as they are, such as 0 for the background.
        data_format: `"channels_last"` or `"channels_first"`, of pictures and masks; the global one by default.

    Returns:
        uint8, (batch, height, width, 3).

    Raises:
        ArgumentError: A class without a colour.
        DTypeError: Masks that are no whole numbers.
        ShapeError: Pictures or masks of other shapes.

    Example:
        >>> masks = np.array([[[0, 1]]])
        >>> draw_segmentation_masks(np.zeros((1, 1, 2, 3)), masks, color_mapping={0: (9, 9, 9), 1: (100, 0, 50)})
        array([[[[ 7,  7,  7],
                 [80,  0, 40]]]], dtype=uint8)
    """
    pictures, first = checked_images(images, data_format)
    masks = array_of(segmentation_masks)
    if masks.dtype.kind not in "iu":
        raise DTypeError(f"`segmentation_masks` must have an integer data type; got {masks.dtype}.")
    if masks.ndim == 4:
        masks = (masks.transpose(0, 2, 3, 1) if first else masks)[..., 0]
    if masks.shape != pictures.shape[:3] or pictures.shape[3] != 3:
        raise ShapeError(
            f"`images` must be (batch, height, width, 3), and `segmentation_masks` (batch, height, width) or "
            f"(batch, height, width, 1); got {np.shape(images)} and {np.shape(segmentation_masks)}."
        )
    count = int(masks.max(initial=-1)) + 1 if num_classes is None else num_classes
    if color_mapping is None:
        colours = np.arange(count)[:, None] * np.array([2**25 - 1, 2**15 - 1, 2**21 - 1]) % 255  # Keras's palette
    else:
        missing = [i for i in range(count) if i not in color_mapping]
        if missing:
            raise ArgumentError(f"`color_mapping` has no colour for the classes {missing}.")
        colours = np.array([color_mapping[i] for i in range(count)]).reshape(-1, 3)
    result = pictures.astype("float32")
    seen = (masks >= 0) & (masks < count) & (masks != ignore_index)
    share = np.float32(alpha if blend else 1)
    result[seen] = result[seen] * (1 - share) + colours[masks[seen]].astype("float32") * share
    return result.clip(0, 255).astype("uint8")
