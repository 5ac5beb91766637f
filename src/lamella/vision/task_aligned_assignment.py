"""Which points of a detector's maps are to find which box: those that are already best at it."""

from __future__ import annotations

import torch

from lamella.vision.overlap import pairwise_iou


@torch.no_grad()
def task_aligned_assignment(
    scores: torch.Tensor,
    boxes: torch.Tensor,
    points: torch.Tensor,
    true_boxes: torch.Tensor,
    true_classes: torch.Tensor,
    top: int = 10,
    alpha: float = 0.5,
    beta: float = 6.0,
    smallest: float = 8.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """For each true box the points that are to find it, and how much each of them counts.

    A point is as good for a true box as t = score^alpha * IoU^beta, where it lies within the box, else not at all. Each
    true box gets the `top` best points; a point wanted by several goes to the one that it overlaps most (the first of
    equals). The weights of a box's points are t, scaled so that the best has the box's highest IoU.

    Args:
        scores: (batch, n, classes), from 0 to 1: how sure each point is of each class.
        boxes: (batch, n, 4), xyxy: the box that each point finds now.
        points: (n, 2), x and y, in the unit of the boxes.
        true_boxes: (batch, most, 4), xyxy.
        true_classes: (batch, most), int64; -1 where there is no box.
        top: How many points a true box may have.
        alpha: How much the score matters.
        beta: How much the overlap matters.
        smallest: Boxes are taken to be at least so wide and high when points within them are looked for, so that
            some point lies in the smallest of them.

    Returns:
        The places of the points (batch, most, min(top, n)), int64, and their weights, of the same shape, from 0 to 1.
        Where the weight is 0 there is no such point. No point has a weight for two boxes.

    Source: Feng et al., TOOD: task-aligned one-stage object detection, 2021.

    Example:
        >>> box = torch.tensor([[[0.0, 0.0, 4.0, 4.0]]])
        >>> found = torch.tensor([[[0.0, 0.0, 4.0, 2.0], [0.0, 0.0, 4.0, 4.0]]])
        >>> points, scores = torch.tensor([[1.0, 1.0], [2.0, 2.0]]), torch.ones(1, 2, 1)
        >>> task_aligned_assignment(scores, found, points, box, torch.tensor([[0]]), top=1)
        (tensor([[[1]]]), tensor([[[1.]]]))
    """
    real = true_classes >= 0
    overlaps = pairwise_iou(true_boxes, boxes)
    wanted = true_classes.clamp(min=0).unsqueeze(-1).expand_as(overlaps)
    aligned = scores.transpose(1, 2).gather(1, wanted).pow_(alpha).mul_(overlaps.pow(beta))
    aligned.mul_(_within(points, true_boxes, smallest)).mul_(real.unsqueeze(-1))
    aligned, places = aligned.topk(min(top, len(points)), dim=2)

    overlaps = overlaps.gather(2, places).where(aligned > 0, -1.0)
    own = _owns(places, overlaps, len(points)) & (aligned > 0)
    aligned, overlaps = aligned * own, overlaps * own
    best = aligned.amax(2, keepdim=True).clamp(min=torch.finfo(aligned.dtype).tiny)
    return places, aligned / best * overlaps.amax(2, keepdim=True)


def _within(points: torch.Tensor, boxes: torch.Tensor, smallest: float) -> torch.Tensor:
    """Which of n points lie in which of (batch, most, 4) boxes: (batch, most, n)."""
    centres, sizes = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    reach = sizes.clamp(min=smallest) / 2
    across, down = ((points[:, i] - centres[..., i, None]).abs() < reach[..., i, None] for i in (0, 1))
    return across & down


def _owns(places: torch.Tensor, overlaps: torch.Tensor, count: int) -> torch.Tensor:
    """Whether each true box (of `most`) owns each point that it wants: it overlaps it most, and is the first to."""
    batch, most, _ = places.shape
    rank = torch.arange(most, device=places.device).view(1, most, 1).expand_as(places).flatten(1)
    shape, places, overlaps = places.shape, places.flatten(1), overlaps.flatten(1)
    highest = overlaps.new_full((batch, count), -1.0).scatter_reduce(1, places, overlaps, "amax")
    rank = rank.where(overlaps == highest.gather(1, places), most)
    first = rank.new_full((batch, count), most).scatter_reduce(1, places, rank, "amin")
    return ((rank == first.gather(1, places)) & (rank < most)).view(shape)
