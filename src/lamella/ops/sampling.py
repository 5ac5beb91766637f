"""Arrays of any rank read at coordinates between their points."""

from __future__ import annotations

import itertools
from typing import Any

import torch

from lamella.engine.image import FILL_MODES
from lamella.errors import ArgumentError, ShapeError
from lamella.ops.base import op, tensor


@op
def map_coordinates(
    inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: Any = 0
) -> torch.Tensor:
    """`inputs` at `coordinates`.

    Args:
        inputs: An array of any rank.
        coordinates: (rank, ...): for each axis where to read.
        order: 0 (nearest point) or 1 (linear between points).
        fill_mode: What lies outside: `"constant"`, `"nearest"`, `"wrap"`, `"mirror"` or `"reflect"`.
        fill_value: The constant.

    Raises:
        ShapeError: Coordinates that are not one for each axis.
        ArgumentError: Another order or fill mode.

    Example:
        >>> map_coordinates([1.0, 2.0, 4.0], [[0.5, 1.5]], order=1)
        tensor([1.5000, 3.0000])
    """
    x = tensor(inputs)
    places = [tensor(each) for each in coordinates]
    if len(places) != x.ndim or not places[0].ndim:
        raise ShapeError(
            f"`coordinates` must have shape ({x.ndim}, ...): a place along each axis of inputs of shape "
            f"{tuple(x.shape)}; got {len(places)} of rank {places[0].ndim}."
        )
    if order not in (0, 1):
        raise ArgumentError(f"`order` must be 0 or 1; got {order!r}.")
    if fill_mode not in FILL_MODES:
        raise ArgumentError(f"`fill_mode` must be one of {FILL_MODES}; got {fill_mode!r}.")
    whole = not x.is_floating_point()
    fill = int(fill_value) if whole and isinstance(fill_value, (int, float)) else fill_value
    result: Any = 0
    for corner in itertools.product(*[_neighbours(place, order) for place in places]):
        index = tuple(_inside(i, size, fill_mode) for (i, _), size in zip(corner, x.shape, strict=True))
        value = x[index]
        if fill_mode == "constant":
            known = torch.ones_like(value, dtype=torch.bool)
            for (i, _), size in zip(corner, x.shape, strict=True):
                known = known & (i >= 0) & (i < size)
            value = torch.where(known, value, fill)
        for _, weight in corner:
            value = value if weight is None else weight * value
        result = result + value
    return (result.round() if whole and result.is_floating_point() else result).to(x.dtype)


def _neighbours(place: torch.Tensor, order: int) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    if order == 0:
        return [((place.round() if place.is_floating_point() else place).long(), None)]
    place = place if place.is_floating_point() else place.float()
    below = place.floor()
    share = place - below
    return [(below.long(), 1 - share), (below.long() + 1, share)]


def _inside(index: torch.Tensor, size: int, fill_mode: str) -> torch.Tensor:
    if fill_mode in ("constant", "nearest"):
        return index.clamp(0, size - 1)
    if fill_mode == "wrap":
        return index % size
    if fill_mode == "mirror":
        index = index % max(2 * (size - 1), 1)
        return torch.minimum(index, 2 * (size - 1) - index) if size > 1 else index * 0
    index = index % (2 * size)
    return torch.minimum(index, 2 * size - 1 - index)
