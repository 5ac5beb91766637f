"""The loss of `YOLO`: classes, boxes, and the distributions that the boxes come from."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from lamella.vision.distance_boxes import boxes_at, distance_focal_loss
from lamella.vision.overlap import iou
from lamella.vision.task_aligned_assignment import task_aligned_assignment


def yolo_loss(
    distances: torch.Tensor,
    logits: torch.Tensor,
    points: torch.Tensor,
    strides: torch.Tensor,
    true_boxes: torch.Tensor,
    true_classes: torch.Tensor,
    box_gain: float = 7.5,
    class_gain: float = 0.5,
    distance_gain: float = 1.5,
) -> dict[str, torch.Tensor]:
    """The three parts of the loss, each a scalar, for the points that `task_aligned_assignment` chooses.

    With w the weight of a chosen point and W the sum of all weights of the batch (1 at least):
    `box_loss` is the sum of w (1 - CIoU) / W; `distance_loss` the sum of w times the distance focal loss / W;
    `class_loss` the binary cross-entropy of all points and classes, with the target w where a point is to find a box
    of the class and 0 elsewhere, / W. Each is multiplied by its gain.

    Args:
        distances: (batch, n, 4 * bins), scores of the distances (see `boxes_at`).
        logits: (batch, n, classes).
        points: (n, 2), x and y in pixels.
        strides: (n,).
        true_boxes: (batch, most, 4), xyxy in pixels.
        true_classes: (batch, most), int64, -1 where there is no box.
        box_gain: How much the boxes matter.
        class_gain: How much the classes matter.
        distance_gain: How much the distributions of the distances matter.

    Source: Feng et al., 2021 (weights and classes); Zheng et al., 2020 (CIoU); Li et al., 2020 (distances); gains as in
    YOLOv8 (Jocher et al., 2023).

    Example:
        >>> from lamella.vision.distance_boxes import grid_points
        >>> points, strides = grid_points((32, 32), (8,))
        >>> boxes, classes = torch.tensor([[[2.0, 2.0, 20.0, 30.0]]]), torch.tensor([[1]])
        >>> sorted(yolo_loss(torch.zeros(1, 16, 64), torch.zeros(1, 16, 2), points, strides, boxes, classes))
        ['box_loss', 'class_loss', 'distance_loss']
    """
    distances, logits, true_boxes = distances.float(), logits.float(), true_boxes.float()
    num_classes = logits.shape[-1]
    with torch.no_grad():
        found = boxes_at(points, strides, distances)
        places, weights = task_aligned_assignment(
            logits.sigmoid(), found, points, true_boxes, true_classes, smallest=float(strides[0])
        )
    top = places.shape[2]
    places, weights = places.flatten(1), weights.flatten(1)
    total = weights.sum().clamp(min=1)
    boxes = true_boxes.repeat_interleave(top, 1)
    classes = true_classes.clamp(min=0).repeat_interleave(top, 1)

    right = logits.flatten(1).gather(1, places * num_classes + classes)
    class_loss = F.softplus(logits).sum() - (right * weights).sum()  # binary cross-entropy, written out

    rows = places + torch.arange(len(places), device=places.device).unsqueeze(1) * len(points)
    chosen = distances.flatten(0, 1).index_select(0, rows.flatten()).unflatten(0, places.shape)
    at = points[places], strides[places], chosen
    box_loss = (weights * (1 - iou(boxes_at(*at), boxes, "ciou"))).sum()
    distance_loss = (weights * distance_focal_loss(*at, boxes)).sum()
    return {
        "box_loss": box_loss * (box_gain / total),
        "class_loss": class_loss * (class_gain / total),
        "distance_loss": distance_loss * (distance_gain / total),
    }
