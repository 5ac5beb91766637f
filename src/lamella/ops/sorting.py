"""Order, counts and sets: sort, search, count, unique, top k."""

from __future__ import annotations

import math
from typing import Any

import torch

from lamella.engine.on_meta import OnMeta
from lamella.errors import ArgumentError, ShapeError
from lamella.ops.base import axes_of, op, result_dtype, tensor

_OF_32_BITS = (torch.float32, torch.float16, torch.bfloat16, torch.int32, torch.int16, torch.int8, torch.uint8)


def _ordered(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.uint8) if x.dtype is torch.bool else x  # torch orders no truths everywhere


@op
def sort(x: Any, axis: int | None = -1) -> torch.Tensor:
    """From the smallest to the largest along `axis` (of the flattened `x` for None).

    Example:
        >>> sort([3, 1, 2])
        tensor([1, 2, 3], dtype=torch.int32)
    """
    x = tensor(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    (axis,) = axes_of(axis, x.ndim) if x.ndim else (-1,)
    return torch.sort(_ordered(x), dim=axis).values.to(x.dtype)


@op
def argsort(x: Any, axis: int | None = -1) -> torch.Tensor:
    """The indices that sort `x` along `axis`; equal numbers keep their order.

    Example:
        >>> argsort([3, 1, 2])
        tensor([1, 2, 0], dtype=torch.int32)
    """
    x = tensor(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    (axis,) = axes_of(axis, x.ndim) if x.ndim else (-1,)
    if torch.onnx.is_in_onnx_export():  # ONNX's own order is stable
        return torch.argsort(_ordered(x), dim=axis).to(torch.int32)
    return torch.argsort(_ordered(x), dim=axis, stable=True).to(torch.int32)


@op
def argpartition(x: Any, kth: int, axis: int | None = -1) -> torch.Tensor:
    """Indices in an order where the `kth` stands as if sorted, the smaller before and the larger behind it.

    Raises:
        ArgumentError: A `kth` beyond the axis.

    Example:
        >>> int(argpartition([5, 1, 4, 2], 1)[1])
        3
    """
    x = tensor(x)
    size = x.numel() if axis is None else x.shape[axes_of(axis, x.ndim)[0]]
    if not -size <= kth < size:
        raise ArgumentError(f"argpartition: `kth` must be from {-size} to {size - 1}; got {kth}.")
    return argsort(x, axis)  # wholly sorted is partitioned too


@op
def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> torch.Tensor:
    """Where `values` would go in a sorted vector.

    Args:
        sorted_sequence: A vector, ascending.
        values: What is to go in.
        side: `"left"` (before equal ones) or `"right"` (behind them).

    Raises:
        ShapeError: A sequence that is no vector.

    Example:
        >>> searchsorted([1.0, 3.0, 5.0], [3.0, 4.0])
        tensor([1, 2], dtype=torch.int32)
    """
    sequence = tensor(sorted_sequence)
    values = tensor(values).to(sequence.device)
    if sequence.ndim != 1:
        raise ShapeError(f"searchsorted takes a vector; got shape {tuple(sequence.shape)}. Use vectorized_map.")
    kind = torch.promote_types(sequence.dtype, values.dtype)
    found = torch.searchsorted(sequence.to(kind), values.to(kind).contiguous(), side=side)
    return found.to(torch.int32) if len(sequence) < 2**31 else found


@op
def digitize(x: Any, bins: Any) -> torch.Tensor:
    """The number of the bin, between ascending edges, that each of `x` falls in.

    Example:
        >>> digitize([0.5, 1.0, 9.0], [1.0, 2.0])
        tensor([0, 1, 2], dtype=torch.int32)
    """
    x = _ordered(tensor(x))
    return torch.bucketize(x, tensor(bins).to(x.device), right=True).to(torch.int32)


@op
def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> torch.Tensor:
    """How often each whole number from 0 occurs in each row, or the sum of the weights there.

    Waits for the device: the length of the result is data.

    Args:
        x: Whole numbers from 0, (n,) or (batch, n).
        weights: Of the same shape.
        minlength: The least length of the result.
        sparse: Only False.

    Raises:
        ArgumentError: `sparse=True`.

    Example:
        >>> bincount([0, 2, 2])
        tensor([1, 0, 2], dtype=torch.int32)
    """
    if sparse:
        raise ArgumentError("bincount: sparse=True is not supported; there are no sparse tensors.")
    x = tensor(x)
    weights = None if weights is None else tensor(weights)
    kind = torch.int32 if weights is None else result_dtype(x, weights)
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1]).long()
    if x.is_meta:  # the length is data
        return torch.empty(*x.shape[:-1], OnMeta.unknown + minlength, dtype=kind, device="meta")
    length = max(int(x.max()) + 1, minlength) if x.numel() else minlength
    added = torch.ones_like(rows, dtype=kind) if weights is None else weights.reshape(rows.shape).to(kind)
    found = torch.zeros(len(rows), length, dtype=kind, device=x.device).scatter_add(1, rows, added)
    return found.reshape(*x.shape[:-1], length)


@op
def histogram(x: Any, bins: int = 10, range: Any = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The counts in equal bins, and the edges of the bins.

    Args:
        x: Numbers.
        bins: How many bins.
        range: (lowest, highest) edge; those of the data by default.

    Raises:
        ArgumentError: `bins` that is not a positive whole number, or a range that is no pair.

    Example:
        >>> histogram([0.0, 1.0, 1.0, 4.0], bins=2)
        (tensor([3., 1.]), tensor([0., 2., 4.]))
    """
    if not isinstance(bins, int) or bins < 1:
        raise ArgumentError(f"`bins` must be a positive whole number; got {bins!r}.")
    if range is not None and (len(range) != 2 or range[0] > range[1]):
        raise ArgumentError(f"`range` must be (lowest, highest); got {range!r}.")
    x = tensor(x)
    x = (x if x.is_floating_point() else x.float()).reshape(-1)
    low, high = (x.amin(), x.amax()) if range is None else (tensor(r).to(x) for r in range)
    flat = low == high
    low, high = torch.where(flat, low - 0.5, low), torch.where(flat, high + 0.5, high)
    steps, width = torch.arange(bins + 1, device=x.device).to(x.dtype), (high - low) / bins
    edges = torch.where(steps <= bins / 2, low + steps * width, high - (bins - steps) * width)  # exact at both ends
    inside = (x >= low) & (x <= high)
    places = (torch.searchsorted(edges, x, side="right") - 1).clamp(0, bins - 1)
    return torch.zeros(bins, dtype=x.dtype, device=x.device).scatter_add(0, places, inside.to(x.dtype)), edges


@op
def unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The different items along `axis` (numbers for None). Waits for the device: their number is data.

    Args:
        x: The input.
        sorted: Whether they come in order (they always do).
        return_index: Whether to return where each occurs first.
        return_inverse: Whether to return which of them each item is.
        return_counts: Whether to return how often each occurs.
        axis: The axis whose slices are compared.
        size: The number of items returned, cut or filled up to it.
        fill_value: What fills up; 0 by default.

    Returns:
        The items, or a tuple of them and what was asked for, in the order of the arguments.

    Example:
        >>> unique([3, 1, 3], return_counts=True)
        (tensor([1, 3], dtype=torch.int32), tensor([1, 2]))
    """
    x = tensor(x)
    if axis is not None:
        (axis,) = axes_of(axis, x.ndim)
    if x.is_meta:
        size = size or OnMeta.unknown  # without data nobody knows how many there are
        shape = [size] if axis is None else [size if i == axis else n for i, n in enumerate(x.shape)]
        counts = torch.empty([size], dtype=torch.int64, device="meta")
        inverse = torch.empty(x.shape if axis is None else x.shape[axis], dtype=torch.int64, device="meta")
        values = torch.empty(shape, dtype=x.dtype, device="meta")
        return _asked(values, (return_index, counts), (return_inverse, inverse), (return_counts, counts))
    values, inverse, counts = torch.unique(x, sorted=sorted, return_inverse=True, return_counts=True, dim=axis)
    along = 0 if axis is None else axis
    flat = inverse.reshape(-1)
    index = torch.full_like(counts, len(flat)).scatter_reduce(0, flat, torch.arange(len(flat), device=x.device), "amin")
    if size is not None:
        values = _sized(values, size, along, 0 if fill_value is None else fill_value)
        counts, index = _sized(counts, size, 0, 0), _sized(index, size, 0, 1)
    return _asked(values, (return_index, index), (return_inverse, inverse), (return_counts, counts))


def _asked(values: torch.Tensor, *further: tuple[bool, torch.Tensor]) -> Any:
    found = [values, *[each for wanted, each in further if wanted]]
    return found[0] if len(found) == 1 else tuple(found)


def _sized(x: torch.Tensor, size: int, axis: int, fill: Any) -> torch.Tensor:
    x = x.narrow(axis, 0, min(size, x.shape[axis]))
    missing = list(x.shape)
    missing[axis] = size - x.shape[axis]
    return torch.cat([x, torch.full(missing, fill, dtype=x.dtype, device=x.device)], axis)


@op
def top_k(x: Any, k: int, sorted: bool = True, is_stable: bool = True) -> Any:
    """The `k` largest along the last axis, and their indices.

    Args:
        x: Numbers.
        k: How many.
        sorted: Whether the largest come first; only `is_stable=False` may leave them as they are.
        is_stable: Whether, of equal numbers, those that come first are taken, in their order. False is quicker
            on long axes.

    Returns:
        `(values, indices)`, a named tuple.

    Example:
        >>> values, indices = top_k([1.0, 5.0, 3.0], 2)
        >>> values.tolist(), indices.tolist()
        ([5.0, 3.0], [1, 2])
    """
    x = tensor(x)
    if not is_stable or torch.onnx.is_in_onnx_export():  # ONNX's own TopK is stable
        return torch.topk(x, k, sorted=sorted)
    if x.ndim == 0 or not 0 <= k <= x.shape[-1]:
        raise ArgumentError(f"top_k: `k` must be from 0 to the size of the last axis of {tuple(x.shape)}; got {k}.")
    if x.dtype in _OF_32_BITS:  # six times as quick as to sort, where there are many
        places = _first_largest(x, k)
        return torch.return_types.topk((x.gather(-1, places), places))
    found = torch.sort(x, dim=-1, descending=True, stable=True)
    return torch.return_types.topk((found.values[..., :k], found.indices[..., :k]))


def _first_largest(x: torch.Tensor, k: int) -> torch.Tensor:
    """Where the `k` largest are, of equal ones the first: by whole numbers with the place in their lower half."""
    size = x.shape[-1]
    numbers = x.detach()
    if numbers.is_floating_point():
        bits = (numbers.float() + 0.0).view(torch.int32)  # + 0.0: -0.0 is as large as 0.0
        bits = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)  # in the order of the floats
        numbers = torch.where(numbers.isnan(), 0x7FFFFFFF, bits)  # the largest, as where torch sorts
    keys = (numbers.long() << 32) + torch.arange(size - 1, -1, -1, device=x.device)
    return size - 1 - (torch.topk(keys, k).values & 0xFFFFFFFF)


@op
def in_top_k(targets: Any, predictions: Any, k: int) -> torch.Tensor:
    """Whether the target class is among the `k` with the largest predictions, for each row.

    Args:
        targets: Class numbers, (...).
        predictions: One for each class, (..., classes).
        k: How many count.

    Example:
        >>> in_top_k([1, 0], [[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]], 2)
        tensor([ True, False])
    """
    predictions = tensor(predictions)
    own = torch.take_along_dim(predictions, tensor(targets).long().to(predictions.device).unsqueeze(-1), dim=-1)
    return torch.any(own >= torch.topk(predictions, k).values, dim=-1)
