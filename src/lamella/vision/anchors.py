"""Anchors: the boxes of a few sizes and shapes at every place of a map, from which proposals are measured."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lamella.errors import ArgumentError


def anchors_of_map(
    map_size: tuple[int, int], stride: int, sizes: Sequence[float], ratios: Sequence[float] = (0.5, 1.0, 2.0)
) -> torch.Tensor:
    """The anchors of one map: one of each size and ratio around the middle of each place.

    Args:
        map_size: The (height, width) of the map.
        stride: Pixels of the picture from one place of the map to the next.
        sizes: The side of the square that has the area of the anchor, in pixels.
        ratios: Height over width.

    Returns:
        (height * width * sizes * ratios, 4), xyxy in pixels: row by row, place by place, sizes before ratios. Some
        reach beyond the picture.

    Raises:
        ArgumentError: Numbers that are not above 0, or none.

    Source: Ren et al., 2015.

    Example:
        >>> anchors_of_map((1, 2), 8, [4.0], [1.0])
        tensor([[ 2.,  2.,  6.,  6.],
                [10.,  2., 14.,  6.]])
    """
    if not sizes or not ratios or min(*map_size, stride, *sizes, *ratios) <= 0:
        raise ArgumentError(
            f"Anchors need sizes and ratios above 0; got sizes {tuple(sizes)}, ratios {tuple(ratios)}, "
            f"a map of {tuple(map_size)} and a stride of {stride}."
        )
    height, width = map_size
    root = torch.tensor(ratios, dtype=torch.float32).sqrt()
    size = torch.tensor(sizes, dtype=torch.float32).unsqueeze(-1)
    half = torch.stack([(size / root).flatten(), (size * root).flatten()], -1) / 2
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    middle = torch.stack([x, y], -1).reshape(-1, 1, 2) * stride
    return torch.cat([middle - half, middle + half], -1).reshape(-1, 4)
