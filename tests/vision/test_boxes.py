"""Overlap and offsets of boxes, against real Keras and the papers' formulas."""

import math

import numpy as np
import pytest
import torch
from keras.utils import bounding_boxes as keras_boxes

from lamella.errors import ArgumentError, ShapeError
from lamella.vision import boxes as bx


def some(count, seed=0, dtype=torch.float32):
    values = torch.rand(count, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 50
    return torch.cat([values[:, :2], values[:, :2] + values[:, 2:] + 1], -1).to(dtype)


def scalar_overlap(a, b, kind):
    """The papers' definitions for two boxes, in plain numbers."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = a.tolist(), b.tolist()
    inter = max(0.0, min(ax2, bx2) - max(ax1, bx1)) * max(0.0, min(ay2, by2) - max(ay1, by1))
    union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - inter
    share = inter / union
    width, height = max(ax2, bx2) - min(ax1, bx1), max(ay2, by2) - min(ay1, by1)
    if kind == "iou":
        return share
    if kind == "giou":
        return share - (width * height - union) / (width * height)
    far = math.dist(((ax1 + ax2) / 2, (ay1 + ay2) / 2), ((bx1 + bx2) / 2, (by1 + by2) / 2)) ** 2
    share -= far / (width**2 + height**2)
    if kind == "diou":
        return share
    v = 4 / math.pi**2 * (math.atan((ax2 - ax1) / (ay2 - ay1)) - math.atan((bx2 - bx1) / (by2 - by1))) ** 2
    return share - v * v / (1 - inter / union + v)


@pytest.mark.parametrize("kind", ["iou", "giou", "diou", "ciou"])
def test_overlap_is_the_papers(kind):
    a, b = some(30, 1, torch.float64), some(20, 2, torch.float64)
    expected = [[scalar_overlap(x, y, kind) for y in b] for x in a]
    torch.testing.assert_close(bx.pairwise_iou(a, b, kind), torch.tensor(expected, dtype=torch.float64))


def test_overlap_is_keras():
    a, b = some(40, 3), some(40, 4)
    ciou = torch.as_tensor(keras_boxes.compute_ciou(a, b, "xyxy"))
    torch.testing.assert_close(bx.iou(a, b, "ciou"), ciou, rtol=1e-4, atol=1e-5)
    each = torch.as_tensor(keras_boxes.compute_iou(a, b, "xyxy"))
    torch.testing.assert_close(bx.pairwise_iou(a, b), each, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["iou", "giou", "diou"])
def test_gradient_of_overlap_is_the_slope(kind):
    a, b = some(6, 5, torch.float64).requires_grad_(), some(6, 6, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: bx.iou(x, y, kind), (a, b))


def test_gradient_of_ciou_holds_the_weight_still():
    a, b = some(6, 7, torch.float64).requires_grad_(), some(6, 8, torch.float64)

    def proportions(x):
        slant = [torch.atan((z[:, 2] - z[:, 0]) / (z[:, 3] - z[:, 1])) for z in (x, b)]
        return (slant[0] - slant[1]) ** 2 * 4 / math.pi**2

    weight = (proportions(a) / (1 - bx.iou(a, b) + proportions(a))).detach()
    expected = torch.autograd.grad((bx.iou(a, b, "diou") - weight * proportions(a)).sum(), a)[0]
    torch.testing.assert_close(torch.autograd.grad(bx.iou(a, b, "ciou").sum(), a)[0], expected)


@pytest.mark.parametrize("kind", ["iou", "giou", "diou", "ciou"])
def test_boxes_without_an_area_have_finite_overlap_and_gradient(kind):
    a = torch.tensor([[0.0, 0, 0, 0], [1, 1, 1, 5], [2, 2, 3, 3]], requires_grad=True)
    b = torch.tensor([[0.0, 0, 0, 0], [1, 1, 4, 1], [2, 2, 2, 2]])
    value = bx.iou(a, b, kind)
    assert value.isfinite().all()
    assert torch.autograd.grad(value.sum(), a)[0].isfinite().all()
    assert (bx.iou(a, b) == 0).all()


def test_leading_axes_broadcast():
    a, b = some(12, 9).reshape(3, 4, 4), some(5, 10)
    torch.testing.assert_close(bx.pairwise_iou(a, b), torch.stack([bx.iou(a, each) for each in b], -1), rtol=0, atol=0)
    torch.testing.assert_close(bx.area(a), (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1]))


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (10, 10, 5, 5)])
def test_offsets_are_keras_and_come_back(weights):
    boxes, anchors = some(30, 11), some(30, 12)
    deltas = bx.encode(boxes, anchors, weights)
    variance = [1 / w for w in weights]
    expected = keras_boxes.encode_box_to_deltas(anchors, boxes, "xyxy", "xyxy", "center_xywh", variance)
    torch.testing.assert_close(deltas, torch.as_tensor(expected), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(bx.decode(deltas, anchors, weights), boxes, rtol=1e-4, atol=1e-3)


def test_offsets_of_padding_are_finite_and_growth_is_bounded():
    anchor = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
    assert bx.encode(torch.zeros(1, 4), anchor).isfinite().all()
    grown = bx.decode(torch.tensor([[0.0, 0.0, 1000.0, 4.0]]), anchor)
    torch.testing.assert_close(grown[0, 2] - grown[0, 0], torch.tensor(1000.0))
    torch.testing.assert_close(grown[0, 3] - grown[0, 1], torch.tensor(16 * math.exp(4.0)))


def test_decode_keeps_several_boxes_an_anchor_and_gradients():
    anchors = some(7, 13)
    deltas = torch.randn(2, 7, 3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    boxes = bx.decode(deltas, anchors.unsqueeze(1))
    assert boxes.shape == (2, 7, 3, 4)
    torch.testing.assert_close(boxes[1, :, 2], bx.decode(deltas[1, :, 2], anchors))
    assert torch.autograd.grad(boxes.sum(), deltas)[0].abs().sum() > 0


def test_clip_is_numpy():
    boxes = some(50, 14) - 10
    expected = np.clip(boxes.numpy(), 0, [40, 30, 40, 30])
    torch.testing.assert_close(bx.clip(boxes, (30, 40)), torch.from_numpy(expected).float())


def test_errors_say_what_is_wrong():
    with pytest.raises(ArgumentError, match="one of iou, giou, diou, ciou; got 'siou'"):
        bx.iou(some(1), some(1), "siou")
    with pytest.raises(ShapeError, match=r"last axis of 4.*\(2, 5\)"):
        bx.iou(torch.zeros(2, 5), some(2))
    with pytest.raises(ArgumentError, match="four numbers above 0"):
        bx.encode(some(1), some(1), (1, 1, 0, 1))
    with pytest.raises(ArgumentError, match="four numbers above 0"):
        bx.decode(some(1), some(1), (1, 1))
