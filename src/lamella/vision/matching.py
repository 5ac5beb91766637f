"""Which boxes of a detector answer for which objects, and which of them a step learns from."""

from __future__ import annotations

import torch

from lamella.vision.boxes import pairwise_iou

IGNORED, NEGATIVE, POSITIVE = -1, 0, 1


@torch.no_grad()
def match(
    boxes: torch.Tensor,
    objects: torch.Tensor,
    classes: torch.Tensor,
    positive_iou: float,
    negative_iou: float,
    best_of_each: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes as positive, negative or neither, and the object that each overlaps most.

    Args:
        boxes: (batch or 1, n, 4), xyxy: anchors or proposals.
        objects: (batch, most, 4), where most is at least 1.
        classes: (batch, most), -1 where there is no object.
        positive_iou: A box that overlaps an object by so much is positive.
        negative_iou: A box that overlaps every object by less is negative; those between are neither.
        best_of_each: Whether the box (or several equal ones) that overlaps an object most is positive, too.

    Returns:
        (batch, n), int64: `POSITIVE`, `NEGATIVE` or `IGNORED`; and (batch, n), int64: the object's place in `objects`.

    Source: Ren et al., 2015, section 3.1.2.

    Example:
        >>> anchors = torch.tensor([[[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 2.0], [6.0, 6.0, 8.0, 8.0]]])
        >>> match(anchors, torch.tensor([[[0.0, 0.0, 4.0, 4.0]]]), torch.tensor([[0]]), 0.7, 0.3)
        (tensor([[ 1, -1,  0]]), tensor([[0, 0, 0]]))
    """
    overlap = pairwise_iou(objects, boxes)  # (batch, most, n): the long axis last
    overlap = overlap.masked_fill((classes < 0).unsqueeze(-1), -1)
    most, place = overlap.max(1)
    labels = torch.where(most < negative_iou, NEGATIVE, IGNORED)
    labels = labels.masked_fill(most >= positive_iou, POSITIVE)
    if best_of_each:
        best = overlap.amax(2, keepdim=True)
        labels = labels.masked_fill(((overlap == best) & (best > 0)).any(1), POSITIVE)
    return labels, place


@torch.no_grad()
def sample(labels: torch.Tensor, count: int, positive_fraction: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A random choice of `count` boxes of each picture: positive ones up to their share, the rest negative ones.

    Args:
        labels: (batch, n), as `match` gives them.
        count: How many to choose. A picture that has fewer to choose from gives fewer.
        positive_fraction: The largest share of positive ones.

    Returns:
        (batch, min(count, n)), int64: the places of those chosen, the positive ones first; and the same shape, int64:
        `POSITIVE` or `NEGATIVE`, or `IGNORED` where nothing more was to be had.

    Source: Ren et al., 2015, section 3.1.3.

    Example:
        >>> places, kinds = sample(torch.tensor([[0, 1, -1, 0, 1, 1]]), count=4, positive_fraction=0.5)
        >>> kinds
        tensor([[1, 1, 0, 0]])
    """
    count = min(count, labels.shape[1])
    most_positive = min(int(count * positive_fraction), count)
    chance = torch.rand(labels.shape, device=labels.device)
    rank, places = torch.where(labels == POSITIVE, chance, -1.0).topk(most_positive)
    negative = torch.where(labels == NEGATIVE, chance, -1.0)
    rank = negative.scatter(1, places, torch.where(rank >= 0, 2.0, negative.gather(1, places)))
    rank, places = rank.topk(count)
    kinds = torch.where(rank >= 2, POSITIVE, torch.where(rank >= 0, NEGATIVE, IGNORED))
    return places, kinds
