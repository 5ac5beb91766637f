"""Boxes in pictures: `tf.image.crop_and_resize`, `tf.image.non_max_suppression`."""

from __future__ import annotations

from typing import Any

import torch

from lamella import ops
from lamella.tensorflow_stand_in.tensors import convert_to_tensor, sizes
from lamella.vision.non_max_suppression import suppressed


def non_max_suppression(
    boxes: Any,
    scores: Any,
    max_output_size: Any,
    iou_threshold: float = 0.5,
    score_threshold: float = float("-inf"),
    name: str | None = None,
) -> Any:
    """The numbers of the boxes (n, 4) that stay when each that overlaps a surer one goes, the surest first: int32."""
    corners, sure = convert_to_tensor(boxes).float(), convert_to_tensor(scores).float()
    low, high = corners.view(-1, 2, 2).aminmax(dim=1)  # any two opposite corners make a box
    sure = torch.where(sure > score_threshold, sure, -torch.inf)
    stays = suppressed(torch.cat([low, high], -1)[None], sure[None], float(iou_threshold))[0]
    order = torch.sort(sure, descending=True, stable=True).indices
    return order[stays[order]][: int(max_output_size)].int()


def crop_and_resize(
    image: Any,
    boxes: Any,
    box_indices: Any,
    crop_size: Any,
    method: str = "bilinear",
    extrapolation_value: float = 0.0,
    name: str | None = None,
) -> Any:
    """Parts of pictures, each resized to (n, *crop_size, channels) in float32.

    Args:
        image: Pictures (batch, height, width, channels).
        boxes: (n, 4): y1, x1, y2, x2 as shares of height - 1 and width - 1; where y1 > y2 the part is flipped.
        box_indices: From which picture each is, (n,).
        crop_size: Height and width of the results.
        method: `"bilinear"` or `"nearest"`.
        extrapolation_value: What is outside of the picture.
        name: TensorFlow's argument: it changes nothing here.
    """
    pictures, found = convert_to_tensor(image).float(), convert_to_tensor(boxes).float()
    which = convert_to_tensor(box_indices).long()
    places = [
        _places(found[:, axis], found[:, axis + 2], pictures.shape[1 + axis], size)
        for axis, size in enumerate(sizes(crop_size))
    ]
    (y, y_inside), (x, x_inside) = places
    if method == "nearest":
        drawn = pictures[which[:, None, None], _half_up(y)[:, :, None], _half_up(x)[:, None, :]]
    else:
        drawn = _bilinear(pictures, which, y, x)
    inside = (y_inside[:, :, None] & x_inside[:, None, :])[..., None]
    return ops.where(inside, drawn, torch.full((), extrapolation_value, device=drawn.device))


def _places(low: torch.Tensor, high: torch.Tensor, size: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` places from `low` to `high` (their middle, if one) in pixels, and which of them are in the picture."""
    share = torch.linspace(0, 1, count, device=low.device) if count > 1 else torch.full((1,), 0.5, device=low.device)
    place = (low[:, None] + share * (high - low)[:, None]) * (size - 1)
    return place.clamp(0, size - 1), (place >= 0) & (place <= size - 1)


def _half_up(place: torch.Tensor) -> torch.Tensor:
    return (place + 0.5).floor().long()


def _bilinear(pictures: torch.Tensor, which: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    which = which[:, None, None]
    top, left = y.floor().long(), x.floor().long()
    bottom, right = y.ceil().long(), x.ceil().long()
    down, across = (y - top)[:, :, None, None], (x - left)[:, None, :, None]

    def at(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        return pictures[which, rows[:, :, None], columns[:, None, :]]

    above = at(top, left) + across * (at(top, right) - at(top, left))
    below = at(bottom, left) + across * (at(bottom, right) - at(bottom, left))
    return above + down * (below - above)
