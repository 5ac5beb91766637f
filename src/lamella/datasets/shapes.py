"""Shapes: generated pictures of circles, squares and triangles, to learn segmentation and detection on in minutes."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.errors import ArgumentError

CLASS_NAMES = ("circle", "square", "triangle")

_SIDES = np.array([0, 4, 3])
_VISIBLE = 0.25  # of the pixels of a shape: one that shows less cannot be told any more
_CHUNK = 50  # pictures drawn at once: more would leave the processor's cache


def load_data(
    task: str = "segmentation",
    num_train: int = 500,
    num_test: int = 100,
    size: tuple[int, int] = (96, 96),
    max_shapes: int = 6,
    seed: int = 0,
) -> tuple[tuple[np.ndarray, Any], tuple[np.ndarray, Any]]:
    """Pictures of one to `max_shapes` shapes of any colour, size and turn, which cover one another, on a noisy ground.

    Args:
        task: `"segmentation"` (the class of each pixel) or `"detection"` (boxes around shapes).
        num_train: Pictures to train on.
        num_test: Pictures to test on; they are the same whatever `num_train` is.
        size: (height, width) of the pictures, in pixels.
        max_shapes: The most shapes in one picture.
        seed: Another seed gives other pictures.

    Returns:
        `(x_train, y_train), (x_test, y_test)`. Pictures are uint8 (n, height, width, 3). For segmentation, y are masks,
        int64 (n, height, width): 0 is the ground, 1 + i the shape `CLASS_NAMES[i]`, and the front shape counts. For
        detection, y is a dict of `"boxes"`, float32 (n, max_shapes, 4), xyxy in pixels, and `"classes"`, int64
        (n, max_shapes): i is `CLASS_NAMES[i]`, and -1 (with a box of 0) says that there is no further shape. A box
        holds what lies in the picture of the whole shape; shapes that others hide nearly wholly have none.

    Raises:
        ArgumentError: Another `task`, a size below 16, or numbers below 1 (`num_test` may be 0).

    Example:
        >>> (x, masks), _ = load_data(num_train=4, num_test=1)
        >>> x.shape, masks.shape
        ((4, 96, 96, 3), (4, 96, 96))
        >>> (x, targets), _ = load_data("detection", num_train=4, num_test=1)
        >>> targets["boxes"].shape, targets["classes"].shape
        ((4, 6, 4), (4, 6))
    """
    if task not in ("segmentation", "detection"):
        raise ArgumentError(f"`task` must be 'segmentation' or 'detection'; got {task!r}.")
    if num_train < 1 or num_test < 0 or max_shapes < 1:
        raise ArgumentError(
            f"`num_train` and `max_shapes` must be 1 or more, `num_test` 0 or more; "
            f"got {num_train}, {max_shapes} and {num_test}."
        )
    if len(size) != 2 or min(size) < 16:
        raise ArgumentError(f"`size` must be (height, width), each 16 or more; got {size}.")
    seeds = np.random.SeedSequence(seed).spawn(2)
    train, test = (
        _pictures(task, count, size, max_shapes, np.random.default_rng(each))
        for count, each in zip((num_train, num_test), seeds, strict=True)
    )
    return train, test


def _pictures(
    task: str, count: int, size: tuple[int, int], most: int, rng: np.random.Generator
) -> tuple[np.ndarray, Any]:
    x = np.empty((count, *size, 3), np.uint8)
    masks = np.empty((count, *size), np.int64)
    boxes, labels = np.zeros((count, most, 4), np.float32), np.full((count, most), -1)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        n = len(x[part])
        classes = rng.integers(0, len(CLASS_NAMES), (n, most))
        classes[np.arange(most) >= rng.integers(1, most + 1, (n, 1))] = -1
        front, boxes[part], labels[part] = _layout(classes, size, rng)
        x[part] = _painted(front, rng)
        masks[part] = np.take_along_axis(np.pad(classes + 1, ((0, 0), (1, 0))), front.reshape(n, -1), 1).reshape(
            front.shape
        )
    return x, masks if task == "segmentation" else {"boxes": boxes, "classes": labels}


def _layout(
    classes: np.ndarray, size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which shape (1, 2, ...; 0 is the ground) each pixel shows, and the boxes and classes of those in sight."""
    n, most = classes.shape
    height, width = size
    radius = rng.uniform(0.1, 0.22, (n, most)) * min(size)
    centre_x = rng.uniform(0.5 * radius, width - 0.5 * radius)
    centre_y = rng.uniform(0.5 * radius, height - 0.5 * radius)
    turn = rng.uniform(0, 2 * np.pi, (n, most))
    front = np.zeros((n, height, width), np.intp)
    boxes, area = np.zeros((n, most, 4), np.float32), np.ones((n, most))
    for k in range(most):
        x = (np.arange(width) + 0.5 - centre_x[:, k, None])[:, None].astype("float32")
        y = (np.arange(height) + 0.5 - centre_y[:, k, None])[..., None].astype("float32")
        inside = _inside(x, y, radius[:, k], turn[:, k], classes[:, k])
        front[inside] = k + 1
        area[:, k] = inside.sum((1, 2))
        boxes[:, k] = _extent(inside)
    seen = np.stack([(front == k + 1).sum((1, 2)) for k in range(most)], 1)
    there = (classes >= 0) & (seen > _VISIBLE * area)
    order = np.argsort(~there, axis=1, kind="stable")  # those in sight first
    boxes = np.take_along_axis(np.where(there[..., None], boxes, 0), order[..., None], 1)
    return front, boxes, np.take_along_axis(np.where(there, classes, -1), order, 1)


def _inside(x: np.ndarray, y: np.ndarray, radius: np.ndarray, turn: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Whether the points at `x`, `y` from the centres lie in the shapes; in none of the class -1."""
    sides = np.where(classes < 0, 0, _SIDES[classes])
    inside = (x * x + y * y <= (radius**2)[:, None, None]) & (classes >= 0)[:, None, None]
    polygon = np.flatnonzero(sides)
    if len(polygon):  # a regular polygon is where all of its sides say so
        sides, x, y = sides[polygon], x[polygon], y[polygon]
        corner = 1.25 * radius[polygon]  # so that a square has the area of a circle
        angles = turn[polygon, None] + 2 * np.pi * np.arange(4) / sides[:, None]
        across = [
            x * np.cos(a)[:, None, None].astype("float32") + y * np.sin(a)[:, None, None].astype("float32")
            for a in angles.T
        ]
        inside[polygon] = np.maximum.reduce(across) <= (corner * np.cos(np.pi / sides))[:, None, None]
    return inside


def _extent(inside: np.ndarray) -> np.ndarray:
    """The box, xyxy, around the pixels of each mask (n, height, width)."""
    edges = []
    for axis in (1, 2):
        line = np.any(inside, axis)
        edges += [line.argmax(1), line.shape[1] - line[:, ::-1].argmax(1)]
    left, right, top, bottom = edges
    return np.stack([left, top, right, bottom], 1)


def _painted(front: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Greyish grounds that grow lighter to one side, vivid shapes, and noise over all."""
    n, height, width = front.shape
    most = front.max() + 1
    vivid = rng.uniform((190, 0, 0), (255, 60, 255), (n, most, 3))
    colours = rng.permuted(vivid, axis=2)
    colours[:, 0] = rng.uniform(70, 180, (n, 1)) + rng.uniform(-15, 15, (n, 3))
    picture = colours.astype("float32")[np.arange(n)[:, None, None], front]
    slope = rng.uniform(-25, 25, (2, n, 1, 1, 1)).astype("float32")
    picture += slope[0] * np.linspace(-1, 1, width, dtype="float32")[:, None]
    picture += slope[1] * np.linspace(-1, 1, height, dtype="float32")[:, None, None]
    picture += 12 * rng.standard_normal(picture.shape, dtype="float32")
    return picture.clip(0, 255).astype(np.uint8)
