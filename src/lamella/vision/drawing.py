"""Detections and masks drawn on pictures, to look at."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.utils.image import pillow
from lamella.vision.pictures import read_image
from lamella.visualization.pen import Colour, colour_of, draw_box, draw_label, font_of


def draw_detections(
    image: Any,
    detections: Mapping[str, Any],
    class_names: Sequence[str] | None = None,
    min_score: float = 0.0,
    colours: Sequence[Colour] | None = None,
    font: str | os.PathLike[str] | None = None,
    zoom: int = 1,
) -> Any:
    """A picture with the boxes found in it, each with its class and score. Lines and letters suit the picture's size.

    Args:
        image: What `read_image` takes: a path, an array (height, width, 3) with values from 0 to 255, a Pillow image.
        detections: Of one picture: `"boxes"` (n, 4), xyxy in its pixels, `"classes"` (n,), -1 where there is none, and
            maybe `"scores"` (n,). Targets are drawn as well.
        class_names: The names of classes; their numbers by default.
        min_score: What is less sure is not drawn.
        colours: Red, green and blue (0 to 255) of each class; by default eight that also the colour-blind tell apart.
        font: A TrueType file, for names in letters other than Latin.
        zoom: How many times as large to draw the picture: a small one has no room for labels.

    Returns:
        A `PIL.Image`.

    Raises:
        ArgumentError: A class without a name, or a `zoom` below 1.
        DataError: No such dict, or no picture.
        ShapeError: Boxes of many pictures, or of another shape.
        ImportError: Pillow is missing.

    Example:
        >>> found = {"boxes": np.array([[4, 30, 60, 60]]), "classes": np.array([0]), "scores": np.array([0.9])}
        >>> draw_detections(np.zeros((64, 64, 3), "uint8"), found, ["cell"]).size
        (64, 64)
    """
    if not isinstance(detections, Mapping) or not {"boxes", "classes"} <= set(detections):
        found = sorted(detections) if isinstance(detections, Mapping) else type(detections).__name__
        raise DataError(f"draw_detections: `detections` is a dict of 'boxes' and 'classes'; got {found}.")
    boxes, classes = _array(detections["boxes"]), _array(detections["classes"]).astype("int64")
    scores = _array(detections["scores"]) if "scores" in detections else None
    if classes.ndim != 1 or boxes.shape != (len(classes), 4) or (scores is not None and scores.shape != classes.shape):
        raise ShapeError(
            f"draw_detections: 'boxes' must be (n, 4) and 'classes' (n,), of one picture; "
            f"got {boxes.shape} and {classes.shape}. Pass the rows of one: {{name: rows[i] for name, rows in ...}}."
        )
    if class_names is not None and classes.max(initial=-1) >= len(class_names):
        raise ArgumentError(
            f"draw_detections: there is a class {classes.max()}, but `class_names` has {len(class_names)} names."
        )
    if zoom < 1:
        raise ArgumentError(f"draw_detections: `zoom` must be at least 1; got {zoom}.")
    drawn = pillow().fromarray(read_image(image))
    drawn, boxes = drawn.resize((round(drawn.width * zoom), round(drawn.height * zoom))), boxes * zoom
    side = min(drawn.size)
    letters, width = font_of(min(max(side / 28, 11), 40), font), max(1, round(side / 200))
    rows = np.flatnonzero(classes >= 0)
    if scores is not None:
        rows = rows[scores[rows] >= min_score]
        rows = rows[np.argsort(scores[rows], kind="stable")]  # the surest on top
    shades = [colour_of(int(which)) if colours is None else tuple(colours[which]) for which in classes[rows]]
    for row, colour in zip(rows, shades, strict=True):
        draw_box(drawn, boxes[row], colour, width)
    for row, colour in zip(rows, shades, strict=True):
        name = str(classes[row]) if class_names is None else class_names[classes[row]]
        text = name if scores is None else f"{name} {scores[row]:.2f}"
        draw_label(drawn, (boxes[row, 0], boxes[row, 1]), text, colour, letters)
    return drawn


def draw_mask(
    image: Any,
    mask: Any,
    alpha: float = 0.5,
    background: int | None = 0,
    colours: Sequence[Colour] | None = None,
) -> Any:
    """A picture seen through a mask, each class in its colour and with an outline.

    Args:
        image: What `read_image` takes.
        mask: (height, width) or (height, width, 1): the class of each pixel; negative ones are not drawn.
        alpha: How much of the colour is seen, from 0 to 1; outlines are not seen through.
        background: The class that is not drawn; None to draw all.
        colours: Red, green and blue (0 to 255) of each class; by default eight that also the colour-blind tell apart,
            the first of them for class 1 (with a `background` of 0).

    Returns:
        A `PIL.Image`.

    Raises:
        ShapeError: A mask of another size than the picture.
        ImportError: Pillow is missing.

    Example:
        >>> draw_mask(np.zeros((2, 2, 3), "uint8"), np.array([[0, 1], [0, 1]])).getpixel((0, 0))
        (0, 0, 0)
    """
    picture, classes = read_image(image), _array(mask).astype("int64")
    classes = classes[..., 0] if classes.ndim == 3 and classes.shape[-1] == 1 else classes
    if classes.shape != picture.shape[:2]:
        raise ShapeError(f"draw_mask: the mask has shape {classes.shape}, and the picture {picture.shape[:2]}.")
    shift = 1 if background == 0 else 0
    count = max(int(classes.max(initial=0)) + 1, 1)
    table = [colour_of(which - shift) for which in range(count)] if colours is None else colours
    shades = np.array(table)[classes.clip(0)]
    seen = classes >= 0 if background is None else (classes >= 0) & (classes != background)
    share = np.where(_edges(classes), 1.0, alpha)[..., None] * seen[..., None]
    return pillow().fromarray((picture * (1 - share) + shades * share).round().astype("uint8"))


def _edges(classes: np.ndarray) -> np.ndarray:
    """Which pixels have another class on one of their four sides."""
    around = np.pad(classes, 1, mode="edge")
    sides = (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:])
    return np.any([side != classes for side in sides], axis=0)


def _array(values: Any) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    return np.asarray(values)
