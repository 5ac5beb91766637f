"""A feature pyramid: maps of all scales that all know what the coarsest one has seen, and boxes' parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella import layers
from lamella.engine.image_data_format import channels_last_inside
from lamella.vision.roi_align import cross, taps, weighted_rows


@channels_last_inside
def feature_pyramid(maps: Sequence[Any], channels: int = 256, extra: int = 1) -> list[Any]:
    """Brings maps of a backbone to one number of channels, and adds to each what the coarser ones have seen.

    Args:
        maps: Symbolic tensors (batch, height, width, any channels), from fine to coarse; each about half as large.
        channels: The channels of every map that is returned.
        extra: How many further maps are made, each of every other row and column of the last.

    Returns:
        The maps, from fine to coarse.

    Source: Lin et al., 2017.

    Example:
        >>> from lamella import Input
        >>> [y.shape for y in feature_pyramid([Input((8, 10, 16)), Input((4, 5, 32))], channels=24)]
        [(None, 8, 10, 24), (None, 4, 5, 24), (None, 2, 3, 24)]
    """
    found: list[Any] = []
    above: Any = None
    for level, x in reversed(list(enumerate(maps))):
        y = layers.Conv2D(channels, 1, name=f"pyramid_{level}_lateral")(x)
        if above is not None:
            height, width = y.shape[1:3]
            enlarged = layers.UpSampling2D(2, name=f"pyramid_{level}_enlarged")(above)
            y = layers.Add(name=f"pyramid_{level}_add")([y, enlarged[:, :height, :width]])
        above = y
        found.insert(0, layers.Conv2D(channels, 3, padding="same", name=f"pyramid_{level}")(y))
    for _ in range(extra):
        found.append(found[-1][:, ::2, ::2])
    return found


def levels_of(boxes: torch.Tensor, strides: Sequence[int], canonical_size: float = 224.0) -> torch.Tensor:
    """The map that each box is cut from: one of stride 16 for boxes of `canonical_size`, finer for smaller ones.

    Args:
        boxes: (..., 4), xyxy in pixels.
        strides: The maps', powers of two, each twice the one before.
        canonical_size: The side of the square box that belongs to the stride 16, in pixels.

    Returns:
        (...), int64: places in `strides`.

    Source: Lin et al., 2017, equation 1.

    Example:
        >>> levels_of(torch.tensor([[0.0, 0.0, 224.0, 224.0], [0.0, 0.0, 100.0, 100.0]]), (4, 8, 16, 32))
        tensor([2, 0])
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    side = ((x2 - x1) * (y2 - y1)).clamp(min=1e-6).sqrt()
    level = (side * (16 / strides[0] / canonical_size)).log2().add(1e-6).floor()
    return level.clamp(0, len(strides) - 1).to(torch.int64)


def pyramid_roi_align(
    maps: Sequence[torch.Tensor],
    strides: Sequence[int],
    boxes: torch.Tensor,
    levels: torch.Tensor,
    output_size: int = 7,
    sampling_ratio: int = 2,
) -> torch.Tensor:
    """RoIAlign, as `roi_align`, where each box has its own map: all boxes of all pictures and maps at once.

    Args:
        maps: Of (batch, height, width, channels).
        strides: Of each map, in pixels.
        boxes: (batch, n, 4), xyxy in pixels. No gradient flows to them.
        levels: (batch, n), the map of each box.
        output_size: Rows and columns of each small map.
        sampling_ratio: Points that a cell has in each direction.

    Returns:
        (batch, n, output_size, output_size, channels).
    """
    batch, count = levels.shape
    channels = maps[0].shape[-1]
    sizes = [tuple(x.shape[1:3]) for x in maps]
    starts = [sum(h * w for h, w in sizes[:i]) for i in range(len(sizes) + 1)]
    features = torch.cat([x.reshape(batch, -1, channels) for x in maps], 1).reshape(-1, channels)
    with torch.no_grad():
        table = boxes.new_tensor([[*size, 1 / stride] for size, stride in zip(sizes, strides, strict=True)])
        height, width, scale = table[levels].unbind(-1)
        x1, y1, x2, y2 = (boxes * scale.unsqueeze(-1) - 0.5).unbind(-1)
        row, row_weight = taps(y1, y2, height.unsqueeze(-1), output_size, sampling_ratio)
        column, column_weight = taps(x1, x2, width.unsqueeze(-1), output_size, sampling_ratio)
        first = torch.tensor(starts[:-1], device=boxes.device)[levels]
        first = first + starts[-1] * torch.arange(batch, device=boxes.device).unsqueeze(-1)
        row = first.reshape(batch, count, 1, 1) + row * width.long().reshape(batch, count, 1, 1)
        places = cross(row, column, torch.add)
        weights = cross(row_weight, column_weight, torch.mul).to(features.dtype)
    cells = weighted_rows(features, places.flatten(0, -2), weights.flatten(0, -2))
    return cells.reshape(batch, count, output_size, output_size, channels)
