"""`draw_bounding_boxes`, under Keras's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lamella.backend import image_data_format
from lamella.errors import ArgumentError, DataError, DTypeError, ShapeError
from lamella.utils.bounding_boxes import convert_format
from lamella.utils.image import pillow
from lamella.visualization.pen import Colour, draw_box, font_of


def array_of(values: Any) -> np.ndarray:
    """An array or tensor, on any device, as an array."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype is torch.bfloat16 else values  # which NumPy does not have
    return np.asarray(values)


def checked_images(images: Any, data_format: str | None) -> tuple[np.ndarray, bool]:
    """Pictures (batch, height, width, channels), and whether they came with the channels first.

    Raises:
        ArgumentError: An unknown `data_format`.
        ShapeError: No batch of pictures.
    """
    data_format = data_format or image_data_format()
    if data_format not in ("channels_first", "channels_last"):
        raise ArgumentError(f"`data_format` must be 'channels_first' or 'channels_last'; got {data_format!r}.")
    images = array_of(images)
    if images.ndim != 4:
        raise ShapeError(f"`images` must be a batch of pictures with 4 axes; got shape {images.shape}.")
    first = data_format == "channels_first"
    return (images.transpose(0, 2, 3, 1) if first else images), first


def to_bytes(images: np.ndarray) -> np.ndarray:
    """Pictures as uint8; floats of which none is above 1 are taken to lie between 0 and 1."""
    if images.dtype.kind == "f":
        highest = images.max(initial=0)
        images = (images * 255 if highest <= 1 else images).clip(0, 255)
    return images.astype("uint8")


def draw_bounding_boxes(
    images: Any,
    bounding_boxes: Mapping[str, Any],
    bounding_box_format: str,
    class_mapping: Mapping[int, str] | None = None,
    color: Sequence[int] = (128, 128, 128),
    line_thickness: int = 2,
    text_thickness: int | None = 1,
    font_scale: float = 1.0,
    data_format: str | None = None,
) -> np.ndarray:
    """Pictures with boxes drawn on them, by Pillow.

    Args:
        images: (batch, height, width, channels), 1 or 3 channels; floats from 0 to 1, or values from 0 to 255.
        bounding_boxes: A dict of `"boxes"` (batch, boxes, 4), `"labels"` (batch, boxes), -1 where there is none, and
            maybe `"confidences"` (batch, boxes).
        bounding_box_format: As in `lamella.utils.bounding_boxes`.
        class_mapping: Names by class; a box of a class without a name has no label.
        color: Red, green and blue, from 0 to 255.
        line_thickness: Pixels.
        text_thickness: Of the strokes of labels; that of lines, if None.
        font_scale: 1 for letters that are about 22 pixels high.
        data_format: `"channels_last"` or `"channels_first"`; the global one by default.

    Returns:
        uint8, with the shape of `images`.

    Raises:
        DTypeError: Boxes that are no dict.
        DataError: A dict without boxes or labels.
        ShapeError: Pictures that are no batch.
        ImportError: Pillow is missing.

    Example:
        >>> boxes = {"boxes": np.array([[[2.0, 2.0, 6.0, 6.0]]]), "labels": np.array([[0]])}
        >>> drawn = draw_bounding_boxes(np.zeros((1, 8, 8, 3)), boxes, "xyxy", color=(255, 0, 0), line_thickness=1)
        >>> drawn[0, 2, 2].tolist(), drawn[0, 4, 4].tolist()
        ([255, 0, 0], [0, 0, 0])
    """
    pictures, first = checked_images(images, data_format)
    if not isinstance(bounding_boxes, Mapping):
        raise DTypeError(f"`bounding_boxes` must be a dict; got {type(bounding_boxes).__name__}.")
    if "boxes" not in bounding_boxes or "labels" not in bounding_boxes:
        raise DataError(f"`bounding_boxes` must have 'boxes' and 'labels'; got {sorted(bounding_boxes)}.")
    _, height, width, channels = pictures.shape
    boxes = convert_format(array_of(bounding_boxes["boxes"]), bounding_box_format, "xyxy", height, width).numpy()
    labels = array_of(bounding_boxes["labels"]).astype("int64")
    confidences = bounding_boxes.get("confidences")
    confidences = None if confidences is None else array_of(confidences)
    names = class_mapping or {}
    red, green, blue = color
    colour = (int(red), int(green), int(blue))
    font = font_of(30 * font_scale)
    stroke = (text_thickness or line_thickness) - 1

    image_module = pillow()
    drawn = []
    for i, picture in enumerate(to_bytes(pictures)):
        image = image_module.fromarray(picture[..., 0] if channels == 1 else picture).convert("RGB")
        for j in np.flatnonzero(labels[i] >= 0):
            box, which = boxes[i, j].astype("int32"), int(labels[i, j])
            draw_box(image, box, colour, line_thickness)
            if which in names:
                text = names[which] if confidences is None else f"{names[which]} | {confidences[i, j]:.2f}"
                _write(image, box, text, colour, font, stroke)
        drawn.append(np.asarray(image)[..., :channels] if channels != 1 else np.asarray(image.convert("L"))[..., None])
    result = np.stack(drawn) if drawn else to_bytes(pictures)
    return result.transpose(0, 3, 1, 2) if first else result


def _write(image: Any, box: np.ndarray, text: str, colour: Colour, font: Any, stroke: int) -> None:
    """Text above a box, or inside it where there is no room above."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(image)
    _, top, _, bottom = draw.textbbox((0, 0), text, font=font, stroke_width=stroke)
    x, y = int(box[0]), int(box[1])
    above = y - 4 - bottom
    place = (x, above) if above + top >= 0 else (x + 3, y + 4 - top)
    draw.text(place, text, font=font, fill=colour, stroke_width=stroke, stroke_fill=colour)
