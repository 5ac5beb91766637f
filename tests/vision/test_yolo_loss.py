"""The terms of `yolo_loss` against their formulas, and its gradients where there is nothing to find."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lamella.vision.distance_boxes import boxes_at, distance_focal_loss, grid_points
from lamella.vision.task_aligned_assignment import task_aligned_assignment
from lamella.vision.yolo_loss import yolo_loss

BINS, CLASSES, SIZE = 16, 3, (64, 96)


def case(seed=0, batch=2, most=5):
    torch.manual_seed(seed)
    points, strides = grid_points(SIZE, (8, 16, 32))
    distances = torch.randn(batch, len(points), 4 * BINS)
    logits = torch.randn(batch, len(points), CLASSES)
    corner = torch.rand(batch, most, 2) * torch.tensor([60.0, 40.0])
    boxes = torch.cat([corner, corner + torch.rand(batch, most, 2) * 40 + 4], -1)
    classes = torch.randint(-1, CLASSES, (batch, most))
    return distances, logits, points, strides, boxes.where((classes >= 0)[..., None], 0.0), classes


def test_points_are_the_centres_of_the_cells_of_each_map():
    points, strides = grid_points((32, 64), (8, 16, 32))
    assert len(points) == len(strides) == 4 * 8 + 2 * 4 + 1 * 2
    assert points[:2].tolist() == [[4, 4], [12, 4]]
    assert points[8].tolist() == [4, 12]  # the second row
    assert points[32].tolist() == [8, 8]
    assert points[-1].tolist() == [48, 16]
    assert strides.tolist() == [8] * 32 + [16] * 8 + [32] * 2


def test_boxes_are_at_the_expected_distances():
    scores = np.random.default_rng(0).normal(size=(4, BINS))
    found = boxes_at(torch.tensor([10.0, 20.0]), torch.tensor(8.0), torch.tensor(scores).flatten())
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    left, top, right, bottom = 8 * shares @ np.arange(BINS)
    np.testing.assert_allclose(found, [10 - left, 20 - top, 10 + right, 20 + bottom], rtol=1e-5)


@pytest.mark.parametrize("distance", [0.0, 0.25, 3.0, 6.7, 14.999, 15.0, 40.0])
def test_distance_focal_loss_against_its_formula(distance):
    torch.manual_seed(1)
    scores = torch.randn(4, BINS)
    point, stride = torch.tensor([100.0, 100.0]), torch.tensor(2.0)
    box = torch.tensor([100 - 2 * distance, 100 - 2 * 1.5, 100 + 2 * 2.0, 100 + 2 * 0.1])
    expected = 0.0
    for side, y in enumerate([distance, 1.5, 2.0, 0.1]):
        y = min(y, BINS - 1)
        low = min(math.floor(y), BINS - 2)
        log_p = torch.log_softmax(scores[side].double(), 0)
        expected += -((low + 1 - y) * log_p[low] + (y - low) * log_p[low + 1]).item() / 4
    assert distance_focal_loss(point, stride, scores.flatten(), box).item() == pytest.approx(expected, abs=1e-4)


def ciou(a, b):
    """Zheng et al., 2020: IoU - d^2 / c^2 - alpha v."""
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    iou = both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
    between = ((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2
    hull = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    slant = math.atan((a[2] - a[0]) / (a[3] - a[1])) - math.atan((b[2] - b[0]) / (b[3] - b[1]))
    v = 4 / math.pi**2 * slant**2
    return iou - between / hull - v / (1 - iou + v) * v


@pytest.mark.parametrize("seed", range(3))
def test_the_three_parts_against_their_formulas(seed):
    distances, logits, points, strides, boxes, classes = case(seed)
    parts = yolo_loss(distances, logits, points, strides, boxes, classes)
    found = boxes_at(points, strides, distances)
    places, weights = task_aligned_assignment(logits.sigmoid(), found, points, boxes, classes)
    targets = torch.zeros_like(logits)
    box_loss = distance_loss = 0.0
    for i, m, k in (weights > 0).nonzero().tolist():
        n, weight = places[i, m, k].item(), weights[i, m, k].item()
        targets[i, n, classes[i, m]] = weight
        box_loss += weight * (1 - ciou(found[i, n].tolist(), boxes[i, m].tolist()))
        focal = distance_focal_loss(points[n], strides[n], distances[i, n], boxes[i, m])
        distance_loss += weight * focal.item()
    total = max(weights.sum().item(), 1)
    class_loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum").item()
    assert parts["class_loss"].item() == pytest.approx(0.5 * class_loss / total, rel=1e-4)
    assert parts["box_loss"].item() == pytest.approx(7.5 * box_loss / total, rel=1e-4)
    assert parts["distance_loss"].item() == pytest.approx(1.5 * distance_loss / total, rel=1e-4)
    assert box_loss > 0


@pytest.mark.parametrize("most", [0, 4])
def test_pictures_without_boxes_teach_that_nothing_is_there(most):
    distances, logits, points, strides, *_ = case()
    distances.requires_grad_(), logits.requires_grad_()
    parts = yolo_loss(distances, logits, points, strides, torch.zeros(2, most, 4), torch.full((2, most), -1))
    assert parts["box_loss"].item() == parts["distance_loss"].item() == 0
    grads = torch.autograd.grad(sum(parts.values()), [distances, logits])
    assert not grads[0].any()
    assert (grads[1] > 0).all()  # every score goes down


def test_gradients_are_finite_with_an_empty_picture_a_flat_box_and_boxes_without_overlap():
    distances, logits, points, strides, boxes, classes = case(most=4)
    boxes[0], classes[0] = 0, -1
    boxes[1] = torch.tensor([[10.0, 10, 10, 10], [5, 5, 50, 5], [0, 0, 96, 64], [90, 60, 95.9, 63.9]])
    classes[1] = torch.tensor([0, 1, 2, 0])
    distances[..., ::BINS] += 60  # boxes of no extent
    distances.requires_grad_(), logits.requires_grad_()
    parts = yolo_loss(distances, logits, points, strides, boxes, classes)
    for gradient in torch.autograd.grad(sum(parts.values()), [distances, logits]):
        assert torch.isfinite(gradient).all()


def test_gains_multiply_the_parts():
    arguments = case()
    plain = yolo_loss(*arguments, box_gain=1, class_gain=1, distance_gain=1)
    more = yolo_loss(*arguments, box_gain=2, class_gain=3, distance_gain=4)
    for name, gain in (("box_loss", 2), ("class_loss", 3), ("distance_loss", 4)):
        assert more[name].item() == pytest.approx(gain * plain[name].item(), rel=1e-5)


def test_half_precision_outputs_are_compared_in_single():
    distances, logits, *rest = case()
    parts = yolo_loss(distances.bfloat16(), logits.bfloat16(), *rest)
    expected = yolo_loss(distances.bfloat16().float(), logits.bfloat16().float(), *rest)
    assert all(parts[name].dtype == torch.float32 and parts[name] == expected[name] for name in parts)
