"""How much boxes overlap: the intersection over the union, and its kin that also see boxes apart."""

from __future__ import annotations

import math

import torch

from lamella.backend import epsilon
from lamella.errors import ArgumentError, ShapeError

KINDS = ("iou", "giou", "diou", "ciou")


def area(boxes: torch.Tensor) -> torch.Tensor:
    """The areas of boxes (..., 4), as (...).

    Example:
        >>> area(torch.tensor([[0.0, 0.0, 2.0, 3.0]]))
        tensor([6.])
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x2 - x1) * (y2 - y1)


def iou(boxes1: torch.Tensor, boxes2: torch.Tensor, kind: str = "iou") -> torch.Tensor:
    """The overlap of boxes, pair by pair: 1 for equal boxes.

    Args:
        boxes1: (..., 4), xyxy.
        boxes2: (..., 4); leading axes broadcast.
        kind: `"iou"`, the intersection over the union, from 0 to 1 (0 for boxes without an area);
            `"giou"`, less by the share of their hull that neither fills, down to -1;
            `"diou"`, less by the squared distance of the centres over that of the hull's corners, down to -1;
            `"ciou"`, that and less for other proportions. The weight of the proportions has no gradient, as its
            authors do.

    Raises:
        ArgumentError: Another kind.
        ShapeError: A last axis other than 4.

    Source: Rezatofighi et al., 2019 (GIoU); Zheng et al., 2020 (DIoU, CIoU).

    Example:
        >>> a, b = torch.tensor([0.0, 0.0, 2.0, 2.0]), torch.tensor([1.0, 0.0, 3.0, 2.0])
        >>> iou(a, b).round(decimals=4), iou(a, b, "diou").round(decimals=4)
        (tensor(0.3333), tensor(0.2564))
    """
    if kind not in KINDS:
        raise ArgumentError(f"iou: `kind` must be one of {', '.join(KINDS)}; got {kind!r}.")
    left1, top1, right1, bottom1 = _edges(boxes1)
    left2, top2, right2, bottom2 = _edges(boxes2)
    width = (torch.minimum(right1, right2) - torch.maximum(left1, left2)).clamp(min=0)
    height = (torch.minimum(bottom1, bottom2) - torch.maximum(top1, top2)).clamp(min=0)
    overlap = width * height
    union = (right1 - left1) * (bottom1 - top1) + (right2 - left2) * (bottom2 - top2) - overlap
    share = overlap / union.clamp(min=epsilon())
    if kind == "iou":
        return share

    hull_width = torch.maximum(right1, right2) - torch.minimum(left1, left2)
    hull_height = torch.maximum(bottom1, bottom2) - torch.minimum(top1, top2)
    if kind == "giou":
        hull = hull_width * hull_height
        return share - (hull - union) / hull.clamp(min=epsilon())

    apart = ((left1 + right1 - left2 - right2) ** 2 + (top1 + bottom1 - top2 - bottom2) ** 2) / 4
    share_apart = apart / (hull_width**2 + hull_height**2).clamp(min=epsilon())
    if kind == "diou":
        return share - share_apart

    slant1 = torch.atan((right1 - left1) / (bottom1 - top1).clamp(min=epsilon()))
    slant2 = torch.atan((right2 - left2) / (bottom2 - top2).clamp(min=epsilon()))
    proportions = (slant1 - slant2) ** 2 * (4 / math.pi**2)
    weight = (proportions / (1 - share + proportions).clamp(min=epsilon())).detach()
    return share - share_apart - weight * proportions


def pairwise_iou(boxes1: torch.Tensor, boxes2: torch.Tensor, kind: str = "iou") -> torch.Tensor:
    """The overlap of each box of (..., n, 4) with each of (..., m, 4), as (..., n, m); kinds as for `iou`.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.0]])
        >>> pairwise_iou(boxes, boxes)
        tensor([[1.0000, 0.5000],
                [0.5000, 1.0000]])
    """
    return iou(boxes1.unsqueeze(-2), boxes2.unsqueeze(-3), kind)


def _edges(boxes: torch.Tensor) -> tuple[torch.Tensor, ...]:
    if boxes.ndim == 0 or boxes.shape[-1] != 4:
        raise ShapeError(f"Boxes have a last axis of 4 (left, top, right, bottom); got shape {tuple(boxes.shape)}.")
    return boxes.movedim(-1, 0).contiguous().unbind()  # each edge by itself in memory, which vector code wants
