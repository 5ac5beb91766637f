"""Boxes as detectors use them: overlap, offsets from anchors, and the two steps around a detector's head.

Boxes are tensors (..., 4): left, top, right, bottom (`xyxy`), in pixels. `lamella.utils.bounding_boxes` brings boxes
of other formats to this one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from lamella.backend import epsilon
from lamella.errors import ArgumentError
from lamella.utils.bounding_boxes import convert_format
from lamella.vision.non_max_suppression import non_max_suppression, suppressed
from lamella.vision.overlap import area, iou, pairwise_iou
from lamella.vision.roi_align import roi_align

LARGEST_GROWTH = math.log(1000 / 16)
"""The logarithm of the most that `decode` lets an anchor grow: an untrained network must not make infinite boxes."""


def clip(boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Boxes cut at the edges of a picture of `size` (height, width).

    Example:
        >>> clip(torch.tensor([[-1.0, 2.0, 9.0, 3.0]]), (4, 5))
        tensor([[0., 2., 5., 3.]])
    """
    height, width = size
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack([x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)], -1)


def encode(boxes: torch.Tensor, anchors: torch.Tensor, weights: Sequence[float] = (1, 1, 1, 1)) -> torch.Tensor:
    """Boxes as offsets from anchors: the shift of the centre in anchor sizes, the logarithm of the ratio of sizes.

    Args:
        boxes: (..., 4).
        anchors: (..., 4), one for each box; leading axes broadcast.
        weights: What the four offsets (x, y, width, height) are multiplied by.

    Returns:
        (..., 4): x, y, width, height. Boxes without an area give finite offsets, too.

    Source: Girshick et al., 2014; Ren et al., 2015.

    Example:
        >>> encode(torch.tensor([[1.0, 0.0, 3.0, 2.0]]), torch.tensor([[0.0, 0.0, 2.0, 2.0]]))
        tensor([[0.5000, 0.0000, 0.0000, 0.0000]])
    """
    centres, sizes = _centres_and_sizes(boxes)
    anchor_centres, anchor_sizes = _centres_and_sizes(anchors)
    sizes, anchor_sizes = sizes.clamp(min=epsilon()), anchor_sizes.clamp(min=epsilon())
    offsets = torch.cat([(centres - anchor_centres) / anchor_sizes, (sizes / anchor_sizes).log()], -1)
    return offsets * _four(weights, offsets)


def decode(deltas: torch.Tensor, anchors: torch.Tensor, weights: Sequence[float] = (1, 1, 1, 1)) -> torch.Tensor:
    """The boxes that `encode` described. No box is more than 62.5 times as wide or as high as its anchor.

    Args:
        deltas: (..., 4): x, y, width, height.
        anchors: (..., 4); leading axes broadcast.
        weights: Those that `encode` had.

    Example:
        >>> decode(torch.tensor([[0.5, 0.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 2.0, 2.0]]))
        tensor([[1., 0., 3., 2.]])
    """
    deltas = deltas / _four(weights, deltas)
    anchor_centres, anchor_sizes = _centres_and_sizes(anchors)
    centres = anchor_centres + deltas[..., :2] * anchor_sizes
    half = deltas[..., 2:].clamp(max=LARGEST_GROWTH).exp() * anchor_sizes / 2
    return torch.cat([centres - half, centres + half], -1)


def _centres_and_sizes(boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    centred = convert_format(boxes, "xyxy", "center_xywh", dtype=boxes.dtype)
    return centred[..., :2], centred[..., 2:]


def _four(weights: Any, like: torch.Tensor) -> torch.Tensor:
    if len(weights) != 4 or not all(weight > 0 for weight in weights):
        raise ArgumentError(f"`weights` must be four numbers above 0 (x, y, width, height); got {weights!r}.")
    return like.new_tensor(weights)


__all__ = [
    "area",
    "clip",
    "decode",
    "encode",
    "iou",
    "non_max_suppression",
    "pairwise_iou",
    "roi_align",
    "suppressed",
]
