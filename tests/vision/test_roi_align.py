"""RoIAlign, against a loop over its points."""

import math

import pytest
import torch

from lamella.errors import ArgumentError, ShapeError
from lamella.vision.boxes import roi_align
from lamella.vision.roi_align import weighted_rows


def point(features, y, x):
    """One feature, interpolated from the four around (y, x), 0 more than one outside."""
    height, width, _ = features.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros_like(features[0, 0])
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    above = features[top, left] * (1 - dx) + features[top, right] * dx
    below = features[bottom, left] * (1 - dx) + features[bottom, right] * dx
    return above * (1 - dy) + below * dy


def naive(features, boxes, output_size, scale, ratio):
    rows, columns = output_size
    pictures = []
    for picture, its_boxes in zip(features, boxes, strict=True):
        for box in its_boxes:
            x1, y1, x2, y2 = (side * scale - 0.5 for side in box.tolist())
            for i in range(rows):
                for j in range(columns):
                    points = [
                        point(
                            picture,
                            y1 + (i + (a + 0.5) / ratio) * (y2 - y1) / rows,
                            x1 + (j + (b + 0.5) / ratio) * (x2 - x1) / columns,
                        )
                        for a in range(ratio)
                        for b in range(ratio)
                    ]
                    pictures.append(torch.stack(points).mean(0))
    return torch.stack(pictures).reshape(*boxes.shape[:2], rows, columns, -1)


def some(dtype=torch.float64):
    torch.manual_seed(0)
    features = torch.randn(2, 6, 9, 3, dtype=dtype)
    corner = torch.rand(2, 7, 2, dtype=dtype) * torch.tensor([150, 110]) - 20
    boxes = torch.cat([corner, corner + torch.rand(2, 7, 2, dtype=dtype) * 100], -1)
    boxes[0, 0] = 0  # padding
    boxes[0, 1] = torch.tensor([300.0, 300, 400, 400])  # wholly outside
    boxes[1, 0] = torch.tensor([0.0, 0, 144, 96])  # the whole picture
    return features, boxes


@pytest.mark.parametrize(("output_size", "ratio"), [((7, 7), 2), ((2, 3), 1), ((1, 4), 3)])
def test_values_and_gradient_are_the_loops(output_size, ratio):
    features, boxes = some()
    features.requires_grad_()
    out, expected = (
        roi_align(features, boxes, output_size, 1 / 16, ratio),
        naive(features, boxes, output_size, 1 / 16, ratio),
    )
    torch.testing.assert_close(out, expected)
    assert (out[0, 1] == 0).all()
    weights = torch.randn_like(out)
    slopes = [torch.autograd.grad((values * weights).sum(), features)[0] for values in (out, expected)]
    torch.testing.assert_close(*slopes)


def test_half_precision_features_keep_their_type():
    features, boxes = some(torch.float32)
    half = features.bfloat16().requires_grad_()
    out = roi_align(half, boxes, 3, 1 / 16)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), roi_align(features, boxes, 3, 1 / 16), rtol=0.05, atol=0.05)
    assert torch.autograd.grad(out.float().sum(), half)[0].dtype == torch.bfloat16


def test_no_gradient_flows_to_boxes_and_a_map_in_channels_first_memory_is_the_same():
    features, boxes = some(torch.float32)
    boxes.requires_grad_()
    assert not roi_align(features, boxes, 2, 1 / 16).requires_grad
    other = features.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    assert torch.equal(roi_align(other, boxes, 2, 1 / 16), roi_align(features, boxes, 2, 1 / 16))


def test_weighted_rows_passes_the_gradient_check():
    torch.manual_seed(1)
    table = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    places = torch.randint(0, 4, (6, 4))  # the last row is part of no sum
    weights = torch.randn(6, 4, dtype=torch.float64)
    torch.testing.assert_close(weighted_rows(table, places, weights), (table[places] * weights.unsqueeze(-1)).sum(1))
    assert torch.autograd.gradcheck(lambda t: weighted_rows(t, places, weights), (table,))


def test_boxes_that_are_no_numbers_see_nothing():
    boxes = torch.tensor([[[0.0, 0.0, float("nan"), 9.0], [0.0, 0.0, float("inf"), 9.0]]])
    assert (roi_align(torch.ones(1, 4, 4, 1), boxes, 2, 1.0) == 0).all()


def test_no_boxes():
    assert roi_align(torch.zeros(2, 4, 4, 3), torch.zeros(2, 0, 4), 7, 0.5).shape == (2, 0, 7, 7, 3)


def test_errors_show_what_was_given():
    features, boxes = some()
    with pytest.raises(ArgumentError, match="must be above 0; got 0"):
        roi_align(features, boxes, 0, 1 / 16)
    with pytest.raises(ArgumentError, match="must be above 0; got 7, -1"):
        roi_align(features, boxes, 7, -1)
    with pytest.raises(ShapeError, match=r"got \(2, 6, 9, 3\) and \(7, 4\)"):
        roi_align(features, boxes[0], 7, 1 / 16)
