"""Reading and writing parts of a tensor."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import torch

from lamella.engine.on_meta import OnMeta
from lamella.errors import ArgumentError, ShapeError
from lamella.ops.base import axes_of, op, pair, tensor

_REDUCTIONS = {"max": "amax", "min": "amin", "mul": "prod"}


def _index(indices: Any) -> tuple[torch.Tensor, ...]:
    return tuple(tensor(indices).long().unbind(-1))


@op
def scatter(indices: Any, values: Any, shape: Sequence[int]) -> torch.Tensor:
    """Zeros of `shape` with `values` added at `indices`; values of the same index add up.

    Args:
        indices: Positions, (..., k) for the first k axes.
        values: What to put there, (..., *shape[k:]).
        shape: The shape of the result.

    Example:
        >>> scatter([[0], [2], [2]], [1.0, 2.0, 3.0], (4,))
        tensor([1., 0., 5., 0.])
    """
    values = tensor(values)
    zeros = torch.zeros(tuple(shape), dtype=values.dtype, device=values.device)
    return zeros.index_put(_index(indices), values, accumulate=True)


@op
def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> torch.Tensor:
    """`inputs` with `updates` written at `indices`.

    Args:
        inputs: What is updated (a copy of it).
        indices: Positions, (n, k) for the first k axes.
        updates: (n, *inputs.shape[k:]).
        reduction: None (overwrite), `"add"`, `"max"`, `"min"` or `"mul"`: how old and new values meet.

    Raises:
        ArgumentError: Another `reduction`.

    Example:
        >>> scatter_update([1.0, 2.0, 3.0], [[0], [2]], [7.0, 9.0])
        tensor([7., 2., 9.])
    """
    reduction = reduction.lower() if reduction is not None else None
    if reduction not in (None, "add", *_REDUCTIONS):
        raise ArgumentError(f"`reduction` must be None, 'add', 'max', 'min' or 'mul'; got {reduction!r}.")
    inputs = tensor(inputs)
    updates = tensor(updates, inputs.dtype)
    index = _index(indices)
    if reduction in (None, "add"):
        return inputs.index_put(index, updates, accumulate=reduction == "add")
    inner = inputs.shape[len(index) :]
    flat = torch.zeros_like(index[0])
    for each, size in zip(index, inputs.shape, strict=False):
        flat = flat * size + torch.where(each < 0, each + size, each)
    rows = inputs.reshape(-1, *inner)
    places = flat.reshape(-1, *(1,) * len(inner)).expand(-1, *inner)
    values = updates.expand(*index[0].shape, *inner).reshape(-1, *inner)
    return rows.scatter_reduce(0, places, values, _REDUCTIONS[reduction]).reshape(inputs.shape)


@op
def slice(inputs: Any, start_indices: Any, shape: Any) -> torch.Tensor:
    """The block of `shape` that begins at `start_indices`; -1 in `shape` is all that follows.

    Example:
        >>> slice(torch.arange(12).reshape(3, 4), (1, 2), (2, 2))
        tensor([[ 6,  7],
                [10, 11]])
    """
    inputs = tensor(inputs)
    for axis, (start, size) in enumerate(zip(start_indices, shape, strict=True)):
        if int(size) == -1:
            inputs = inputs[(builtins.slice(None),) * axis + (builtins.slice(int(start), None),)]
        elif isinstance(start, torch.Tensor):  # without reading it from the device
            inputs = inputs.index_select(axis, start.long() + torch.arange(int(size), device=inputs.device))
        else:
            inputs = inputs[(builtins.slice(None),) * axis + (builtins.slice(start, start + int(size)),)]
    return inputs


@op
def slice_update(inputs: Any, start_indices: Any, updates: Any) -> torch.Tensor:
    """`inputs` with the block that begins at `start_indices` replaced by `updates`.

    Example:
        >>> slice_update([1, 2, 3, 4], [1], [8, 9])
        tensor([1, 8, 9, 4], dtype=torch.int32)
    """
    inputs, updates = tensor(inputs), tensor(updates)
    index = []
    for axis, (start, size) in enumerate(zip(start_indices, updates.shape, strict=True)):
        places = torch.arange(size, device=inputs.device) + (start.long() if isinstance(start, torch.Tensor) else start)
        index.append(places.reshape((-1,) + (1,) * (updates.ndim - axis - 1)))
    return inputs.index_put(tuple(index), updates.to(inputs.dtype))


@op
def get_item(x: Any, key: Any) -> torch.Tensor:
    """`x[key]`.

    Example:
        >>> get_item([1, 2, 3], 1)
        tensor(2, dtype=torch.int32)
    """
    return tensor(x)[key]


@op
def take(x: Any, indices: Any, axis: int | None = None) -> torch.Tensor:
    """The items at `indices` along `axis` (of the flattened `x` for None).

    Example:
        >>> take([[1, 2, 3], [4, 5, 6]], [0, -1], axis=1)
        tensor([[1, 3],
                [4, 6]], dtype=torch.int32)
    """
    x = tensor(x)
    indices = tensor(indices).long().to(x.device)
    if axis is None:
        x, axis = x.reshape(-1), 0
    (axis,) = axes_of(axis, x.ndim)
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    found = torch.index_select(x, axis, indices.reshape(-1))
    return found.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


@op
def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> torch.Tensor:
    """The items at `indices`, which pair with those of `x` along all other axes.

    Example:
        >>> take_along_axis([[10, 20], [30, 40]], [[1], [0]], axis=1)
        tensor([[20],
                [30]], dtype=torch.int32)
    """
    x = tensor(x)
    indices = tensor(indices).long().to(x.device)
    size = x.numel() if axis is None else x.shape[axis]
    return torch.take_along_dim(x, torch.where(indices < 0, indices + size, indices), dim=axis)


@op
def where(condition: Any, x1: Any = None, x2: Any = None) -> torch.Tensor:
    """`x1` where the condition holds, else `x2`; without them the indices where it holds, (rank, n).

    Example:
        >>> where([True, False], 1.0, 0.0)
        tensor([1., 0.])
    """
    condition = tensor(condition, torch.bool)
    if (x1 is None) != (x2 is None):
        raise ArgumentError("where: give both `x1` and `x2`, or neither.")
    if x1 is None:
        return torch.nonzero(condition).T if not condition.is_meta else _unknown(condition, torch.int64)
    return torch.where(condition, *pair(x1, x2))


@op
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> torch.Tensor:
    """Of several choices, the first whose condition holds; `default` where none does.

    Example:
        >>> select([[True, False], [True, True]], [[1, 1], [2, 2]])
        tensor([1, 2], dtype=torch.int32)
    """
    result = tensor(default)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = torch.where(tensor(condition), tensor(choice), result)
    return result


@op
def nonzero(x: Any) -> torch.Tensor:
    """The indices of what is not zero, (rank, n). Waits for the device: their number is data.

    Example:
        >>> nonzero([[0, 5], [7, 0]])
        tensor([[0, 1],
                [1, 0]], dtype=torch.int32)
    """
    x = tensor(x)
    return _unknown(x, torch.int32) if x.is_meta else torch.nonzero(x).T.to(torch.int32)


def _unknown(x: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    """Indices whose number is data."""
    return torch.empty(x.ndim, OnMeta.unknown or x.numel(), dtype=kind, device="meta")


@op
def unravel_index(indices: Any, shape: Sequence[int]) -> tuple[torch.Tensor, ...]:
    """Flat indices as one index for each axis of `shape`.

    Example:
        >>> unravel_index([1, 5], (2, 3))
        (tensor([0, 1], dtype=torch.int32), tensor([1, 2], dtype=torch.int32))
    """
    left = tensor(indices)
    kind = torch.int32 if left.dtype is torch.int64 else left.dtype
    found = []
    for size in reversed(shape):
        found.append((left % size).to(kind))
        left = torch.div(left, size, rounding_mode="floor")
    return tuple(reversed(found))


@op
def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[torch.Tensor]:
    """The slices along `axis`, as a list.

    Args:
        x: The input.
        num: How many there are; needed for a symbolic tensor that does not know.
        axis: The axis.

    Example:
        >>> unstack([[1, 2], [3, 4]])
        [tensor([1, 2], dtype=torch.int32), tensor([3, 4], dtype=torch.int32)]
    """
    x = tensor(x)
    (axis,) = axes_of(axis, x.ndim)
    if x.is_meta and num not in (None, x.shape[axis]):
        raise ShapeError(f"unstack: axis {axis} of shape {tuple(x.shape)} has {x.shape[axis]} slices, not {num}.")
    return list(x.unbind(axis))
