"""Of boxes that overlap, only the surest stays."""

from __future__ import annotations

import torch

from lamella.errors import ShapeError
from lamella.vision.overlap import pairwise_iou

BLOCK = 64
"""Boxes that are settled at a time on a CPU: few enough for their overlaps to stay in its cache."""


@torch.no_grad()
def non_max_suppression(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.0,
    max_detections: int = 100,
    candidates: int = 1000,
) -> dict[str, torch.Tensor]:
    """The surest boxes of each class and picture, without those that overlap a surer one of their class.

    For each picture: pairs of a box and a class with a score above `score_threshold` are sorted, surest first (the
    earlier box, then the lower class, where scores are equal). Of the first `candidates` each stays unless it
    overlaps one of its class that stays by more than `iou_threshold`. The first `max_detections` are returned.

    Args:
        boxes: (batch, n, 4), xyxy; or (batch, n, classes, 4), another box for each class.
        scores: (batch, n, classes); compared as float32.
        iou_threshold: From 0 to 1.
        score_threshold: What is not surer is no detection.
        max_detections: How many boxes a picture may have.
        candidates: How many pairs of a picture are compared.

    Returns:
        A dict: `"boxes"` (batch, max_detections, 4), `"scores"` (batch, max_detections), surest first, `"classes"`
        (batch, max_detections), int64, and `"num_detections"` (batch,). Rows that hold no detection are -1.

    Raises:
        ShapeError: Boxes and scores that do not fit.

    Example:
        >>> boxes = torch.tensor([[[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 3.0], [5.0, 5.0, 6.0, 6.0]]])
        >>> found = non_max_suppression(boxes, torch.tensor([[[0.9], [0.8], [0.7]]]), max_detections=3)
        >>> found["scores"], found["num_detections"]
        (tensor([[ 0.9000,  0.7000, -1.0000]]), tensor([2]))
    """
    if scores.ndim != 3 or boxes.shape not in ((*scores.shape[:2], 4), (*scores.shape, 4)):
        raise ShapeError(
            f"non_max_suppression: scores must be (batch, n, classes), boxes (batch, n, 4) or (batch, n, classes, 4); "
            f"got scores {tuple(scores.shape)} and boxes {tuple(boxes.shape)}."
        )
    num_classes = scores.shape[2]
    scores = scores.float()
    if num_classes > 1:  # a pair among the surest is of a box among those with the surest best class
        rows = _surest(scores.amax(2), candidates).sort(dim=1).values
        scores, boxes = _taken(scores, rows), _taken(boxes, rows)
    scores, boxes = scores.flatten(1), boxes.reshape(len(boxes), -1, 4)
    pairs = _surest(scores, candidates)
    classes = pairs % num_classes
    boxes = _taken(boxes, pairs if boxes.shape[1] == scores.shape[1] else pairs // num_classes)
    scores = scores.gather(1, pairs)
    there = scores > score_threshold
    stays = _stays(boxes, there, iou_threshold, classes, max_detections)

    row = stays.cumsum(1) - 1
    row = torch.where(stays & (row < max_detections), row, max_detections)  # one row more, that is cut off again
    shape = (len(boxes), max_detections + 1)
    result = {
        "boxes": boxes.new_full((*shape, 4), -1).scatter(1, row.unsqueeze(-1).expand_as(boxes), boxes),
        "scores": scores.new_full(shape, -1).scatter(1, row, scores),
        "classes": classes.new_full(shape, -1).scatter(1, row, classes),
    }
    result = {name: values[:, :max_detections].contiguous() for name, values in result.items()}
    return {**result, "num_detections": stays.sum(1).clamp(max=max_detections)}


@torch.no_grad()
def suppressed(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Which boxes stay when each that overlaps a surer one that stays goes; whatever their classes.

    Args:
        boxes: (batch, n, 4), xyxy.
        scores: (batch, n); a box with the score -inf is none and never stays. The earlier of equal ones is surer.
        iou_threshold: The overlap above which the less sure box goes.

    Returns:
        (batch, n), bool: True for the boxes that stay.

    Example:
        >>> boxes = torch.tensor([[[0.0, 0.0, 4.0, 3.0], [0.0, 0.0, 4.0, 4.0], [5.0, 5.0, 6.0, 6.0]]])
        >>> suppressed(boxes, torch.tensor([[0.8, 0.9, 0.7]]), 0.5)
        tensor([[False,  True,  True]])
    """
    if boxes.shape != (*scores.shape, 4) or scores.ndim != 2:
        raise ShapeError(
            f"suppressed: boxes must be (batch, n, 4) and scores (batch, n); "
            f"got {tuple(boxes.shape)} and {tuple(scores.shape)}."
        )
    order = _surest(scores, scores.shape[1])
    there = scores.gather(1, order) > -torch.inf
    stays = _stays(_taken(boxes, order), there, iou_threshold)
    return torch.zeros_like(stays).scatter(1, order, stays)


def _taken(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Of each picture, the values (batch, n, ...) at places (batch, m), as (batch, m, ...)."""
    return values[torch.arange(len(values), device=values.device).unsqueeze(1), places]


def _surest(scores: torch.Tensor, count: int) -> torch.Tensor:
    """Where the `count` highest of (batch, n) scores are, highest first, the earlier first where they are equal.

    A score and its place make one whole number to sort by: floats are in the order of their bits (with those of
    negative ones turned round), and the places below them settle which of equal ones comes first. That is exact, as
    a stable sort of all scores would be, and many times as quick where only some are wanted.
    """
    bits = (scores.float() + 0.0).view(torch.int32)  # + 0.0: there is a -0.0, which is no less than 0.0
    bits = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).to(torch.int64)
    back_to_front = torch.arange(scores.shape[1] - 1, -1, -1, device=scores.device)
    keys = torch.topk((bits << 32) | back_to_front, min(count, scores.shape[1])).values
    return scores.shape[1] - 1 - (keys & 0xFFFFFFFF)


def _stays(
    boxes: torch.Tensor,
    there: torch.Tensor,
    iou_threshold: float,
    classes: torch.Tensor | None = None,
    enough: int | None = None,
) -> torch.Tensor:
    """Which of (batch, n, 4) boxes, surest first, stay; when `enough` do in each picture, the others need not.

    Blocks of boxes settle one after the other: first which of the block stay, then which later boxes they overlap.
    On a GPU one block is quickest.
    """
    stays = there.clone()
    size = BLOCK if boxes.device.type == "cpu" else max(BLOCK, boxes.shape[1])
    for start in range(0, boxes.shape[1], size):
        done = not stays[:, start:].any() or (enough is not None and (stays[:, :start].sum(1) >= enough).all())
        if done:
            break
        block, later = slice(start, start + size), slice(start + size, None)
        over = pairwise_iou(boxes[:, block], boxes[:, start:]) > iou_threshold
        if classes is not None:
            over &= classes[:, block].unsqueeze(2) == classes[:, start:].unsqueeze(1)
        stays[:, block] = _settled(stays[:, block], over[:, :, :size].triu(1))
        stays[:, later] &= ~(over[:, :, size:] & stays[:, block].unsqueeze(2)).any(1)
    return stays


def _settled(there: torch.Tensor, over: torch.Tensor) -> torch.Tensor:
    """Which of a block's boxes stay: those that are there and that no surer one that stays overlaps.

    The rule is read for all boxes at once, again and again, until nothing changes. Whether a box stays depends on
    surer ones only, so each reading settles at least one more, and the end is what a loop from the surest to the
    least sure would find. Few readings are needed: as many as the longest chain of boxes that decide one another.

    Args:
        there: (batch, n), bool.
        over: (batch, n, n), bool: whether a box overlaps another that is less sure.
    """
    stays = there
    while True:
        again = there & ~(over & stays.unsqueeze(2)).any(1)
        if torch.equal(again, stays):
            return stays
        stays = again
