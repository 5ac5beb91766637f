"""Anchors against the loop that the paper describes."""

import math

import pytest
import torch

from lamella.errors import ArgumentError
from lamella.vision.anchors import anchors_of_map


def test_anchors_are_those_of_a_loop_over_rows_places_sizes_and_ratios():
    sizes, ratios, stride = (16.0, 20.0), (0.5, 1.0, 2.0), 8
    wanted = []
    for row in range(3):
        for column in range(4):
            x, y = (column + 0.5) * stride, (row + 0.5) * stride
            for size in sizes:
                for ratio in ratios:
                    width, height = size / math.sqrt(ratio), size * math.sqrt(ratio)
                    wanted.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    torch.testing.assert_close(anchors_of_map((3, 4), stride, sizes, ratios), torch.tensor(wanted))


def test_a_ratio_keeps_the_area_and_is_height_over_width():
    x1, y1, x2, y2 = anchors_of_map((1, 1), 4, [10.0], [0.25, 1.0, 4.0]).unbind(-1)
    torch.testing.assert_close((x2 - x1) * (y2 - y1), torch.full((3,), 100.0))
    torch.testing.assert_close((y2 - y1) / (x2 - x1), torch.tensor([0.25, 1.0, 4.0]))


@pytest.mark.parametrize("arguments", [((2, 2), 8, [], [1.0]), ((2, 2), 8, [4.0], [0.0]), ((2, 2), 0, [4.0], [1.0])])
def test_anchors_without_a_size_are_refused(arguments):
    with pytest.raises(ArgumentError, match="sizes and ratios above 0"):
        anchors_of_map(*arguments)
