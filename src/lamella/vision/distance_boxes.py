"""Boxes as the distances from a point to the four sides, each distance as a distribution over whole numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def grid_points(image_size: tuple[int, int], strides: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The centres of the cells of maps with these strides, map after map and row after row.

    Args:
        image_size: (height, width) of the pictures.
        strides: Pixels from one point to the next, for each map; they divide the height and the width.

    Returns:
        Points (n, 2), x and y in pixels, and the stride of each (n,).

    Example:
        >>> grid_points((8, 16), (8,))
        (tensor([[ 4.,  4.],
                [12.,  4.]]), tensor([8., 8.]))
    """
    points, spacing = [], []
    for stride in strides:
        down, across = (torch.arange(side // stride) * stride + stride / 2 for side in image_size)
        y, x = torch.meshgrid(down, across, indexing="ij")
        points.append(torch.stack([x, y], -1).reshape(-1, 2))
        spacing.append(torch.full((len(points[-1]),), float(stride)))
    return torch.cat(points), torch.cat(spacing)


def boxes_at(points: torch.Tensor, strides: torch.Tensor, distances: torch.Tensor) -> torch.Tensor:
    """The boxes (..., 4), xyxy in pixels, whose sides are expected at distances given by scores.

    Args:
        points: (..., 2), x and y in pixels.
        strides: (...), the unit of the distances in pixels.
        distances: (..., 4 * bins): for left, top, right and bottom the scores (logits) of the distances 0, 1, 2, ...

    Source: Li et al., Generalized focal loss, 2020.

    Example:
        >>> scores = torch.tensor([0.0, 50.0] * 4)  # every side is one stride away
        >>> boxes_at(torch.tensor([4.0, 4.0]), torch.tensor(8.0), scores)
        tensor([-4., -4., 12., 12.])
    """
    bins = distances.shape[-1] // 4
    shares = distances.unflatten(-1, (4, bins)).softmax(-1)
    sides = (shares @ torch.arange(bins, dtype=shares.dtype, device=shares.device)) * strides.unsqueeze(-1)
    return torch.cat([points - sides[..., :2], points + sides[..., 2:]], -1)


def distance_focal_loss(
    points: torch.Tensor, strides: torch.Tensor, distances: torch.Tensor, boxes: torch.Tensor
) -> torch.Tensor:
    """How little the scores favour the two whole numbers around the true distance, in proportion: (...), 0 or more.

    For a distance y between i and i + 1 it is -((i + 1 - y) log p_i + (y - i) log p_{i+1}), the mean of the four sides.
    A side farther away than the bins reach counts as if it were at the last.

    Args:
        points: As for `boxes_at`.
        strides: As for `boxes_at`.
        distances: As for `boxes_at`.
        boxes: (..., 4), the true boxes, xyxy in pixels.

    Source: Li et al., Generalized focal loss, 2020, equation 6.

    Example:
        >>> box = torch.tensor([0.0, 0.0, 8.0, 8.0])  # every side is half a stride away
        >>> distance_focal_loss(torch.tensor([4.0, 4.0]), torch.tensor(8.0), torch.zeros(8), box)
        tensor(0.6931)
    """
    bins = distances.shape[-1] // 4
    sides = torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], -1) / strides.unsqueeze(-1)
    sides = sides.clamp(0, bins - 1).unsqueeze(-1)
    lower = sides.floor().clamp(max=bins - 2)
    chances = distances.unflatten(-1, (4, bins)).log_softmax(-1)
    near, far = (chances.gather(-1, lower.long() + step) for step in (0, 1))
    return -((lower + 1 - sides) * near + (sides - lower) * far).squeeze(-1).mean(-1)
