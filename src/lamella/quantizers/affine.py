"""Numbers as levels from 0 up, with a scale and a zero point for each group of rows: x = (level - zero) * scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class RoundedMatrix:
    """What a matrix (rows, columns) is kept as: matrix = (levels - zero[group]) * scale[group] / row_scale.

    Args:
        levels: uint8 (rows, columns).
        scale: (groups, columns).
        zero: uint8 (groups, columns).
        group: The group of each row.
        row_scale: What each row was multiplied by before it was rounded; None where it was not.
    """

    levels: torch.Tensor
    scale: torch.Tensor
    zero: torch.Tensor
    group: torch.Tensor
    row_scale: torch.Tensor | None = None

    def floats(self) -> torch.Tensor:
        """The matrix as floats."""
        matrix = from_levels(self.levels, self.scale[self.group], self.zero[self.group])
        return matrix if self.row_scale is None else matrix / self.row_scale.unsqueeze(1)


def affine_parameters(
    x: torch.Tensor, bits: int, group_size: int = -1, symmetric: bool = False, per_channel: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """The scale and the zero point with which `bits` reach from the least to the largest number, and have 0 exactly.

    Args:
        x: Floats of shape (rows, columns).
        bits: The levels are 0 to 2**bits - 1.
        group_size: So many rows have a scale for each column; -1 for all rows.
        symmetric: Whether the range reaches as far below 0 as above; the zero point is its middle then.
        per_channel: Whether each column has a scale of its own.

    Returns:
        The scale, and the zero point as a float: (groups, columns).

    Example:
        >>> scale, zero = affine_parameters(torch.tensor([[-1.0], [2.0]]), bits=2)
        >>> scale, zero
        (tensor([[1.]]), tensor([[1.]]))
    """
    grouped = _in_groups(x, group_size)
    least, most = grouped.amin(1).clamp_(max=0), grouped.amax(1).clamp_(min=0)
    if not per_channel:
        least, most = least.amin(1, keepdim=True).expand_as(least), most.amax(1, keepdim=True).expand_as(most)
    if symmetric:
        most = torch.maximum(-least, most)
        least = -most
    empty = least == most
    least, most = torch.where(empty, -1.0, least), torch.where(empty, 1.0, most)
    top = 2**bits - 1
    scale = (most - least) / top
    zero = torch.full_like(scale, (top + 1) / 2) if symmetric else (-least / scale).round()
    return scale, zero


def _in_groups(x: torch.Tensor, group_size: int) -> torch.Tensor:
    """(groups, rows of a group, columns); zeros fill up the last group."""
    rows, columns = x.shape
    if group_size == -1 or group_size >= rows:
        return x.unsqueeze(0)
    groups = math.ceil(rows / group_size)
    filled = torch.nn.functional.pad(x, (0, 0, 0, groups * group_size - rows))
    return filled.view(groups, group_size, columns)


def to_levels(x: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor, bits: int) -> torch.Tensor:
    """round(x / scale + zero), from 0 to 2**bits - 1, as floats."""
    return (x / scale).add_(zero).round_().clamp_(0, 2**bits - 1)


def from_levels(levels: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
    """(levels - zero) * scale, in the scale's type."""
    return (levels.to(scale.dtype) - zero.to(scale.dtype)) * scale


def groups_of(rows: int, group_size: int, device: torch.device) -> torch.Tensor:
    """The group of each row, where neighbours are in a group."""
    return torch.arange(rows, device=device) // (rows if group_size == -1 else group_size)


def round_to_nearest(
    matrix: torch.Tensor, bits: int, group_size: int = -1, symmetric: bool = False, per_channel: bool = True
) -> RoundedMatrix:
    """Each number as the level next to it.

    Example:
        >>> round_to_nearest(torch.tensor([[-1.0], [0.6], [2.0]]), bits=2).floats().flatten()
        tensor([-1.,  1.,  2.])
    """
    scale, zero = affine_parameters(matrix, bits, group_size, symmetric, per_channel)
    levels = to_levels(_in_groups(matrix, group_size), scale.unsqueeze(1), zero.unsqueeze(1), bits)
    levels = levels.to(torch.uint8).flatten(0, 1)[: len(matrix)]
    return RoundedMatrix(levels, scale, zero.to(torch.uint8), groups_of(len(matrix), group_size, matrix.device))


__all__ = ["RoundedMatrix", "affine_parameters", "from_levels", "groups_of", "round_to_nearest", "to_levels"]
