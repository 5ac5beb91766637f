"""`tf.ragged`, and what TensorFlow's functions of tensors give for ragged ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import torch

from lamella.errors import ArgumentError, ShapeError
from lamella.tensorflow_stand_in.ragged_operators import elementwise
from lamella.tensorflow_stand_in.ragged_tensor import RaggedTensor, one_after_the_other, taken
from lamella.tensorflow_stand_in.tensors import constant as dense_constant
from lamella.tensorflow_stand_in.tensors import convert_to_tensor

__all__ = ["boolean_mask", "constant", "map_flat_values", "range", "row_splits_to_segment_ids", "stack"]
__all__ += ["segment_ids_to_row_splits"]

_arange = torch.arange


def constant(
    pylist: Any,
    dtype: Any = None,
    ragged_rank: int | None = None,
    inner_shape: Any = None,
    name: str | None = None,
    row_splits_dtype: Any = torch.int64,
) -> Any:
    """A ragged tensor of lists of lists; a plain one of a list of numbers or texts.

    Args:
        pylist: The lists.
        dtype: The type; by default that of the values.
        ragged_rank: How many axes are ragged; all but the first by default.
        inner_shape: The sizes of the innermost values, which are lists then.
        name: TensorFlow's argument: it changes nothing here.
        row_splits_dtype: TensorFlow's argument: splits are always int64.

    Raises:
        ShapeError: Lists of different depths.
    """
    inner = 0 if inner_shape is None else len(tuple(inner_shape))
    rank = max(_depth(pylist) - 1 - inner, 0) if ragged_rank is None else ragged_rank
    lengths, level = [], list(pylist)
    for _ in _arange(rank).tolist():
        if not all(isinstance(each, (list, tuple)) or getattr(each, "ndim", 0) for each in level):
            raise ShapeError(f"tf.ragged.constant: the lists must all be nested alike; got {pylist!r:.80}.")
        lengths.append([len(each) for each in level])
        level = [part for each in level for part in each]
    values = dense_constant(level, dtype)
    if not level and dtype == "string":
        values = dense_constant([""])[:0]
    elif not level and inner:
        values = values.reshape(0, *inner_shape)
    return RaggedTensor.from_nested_row_lengths(values, lengths)


def _depth(value: Any) -> int:
    if isinstance(value, (list, tuple)):
        return 1 + max(map(_depth, value), default=0)
    return int(getattr(value, "ndim", 0))


def map_flat_values(op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The function of the innermost values of what is ragged, in the same rows."""
    return elementwise(op, *args, **kwargs)


def range(starts: Any, limits: Any = None, deltas: Any = 1, dtype: Any = None, **kwargs: Any) -> RaggedTensor:
    """Rows of numbers, each from its start (0 if only limits are given) until before its limit."""
    first, last = (0, starts) if limits is None else (starts, limits)
    several = torch.broadcast_tensors(*(convert_to_tensor(each) for each in (first, last, deltas)))
    several = tuple(each.reshape(-1) for each in several)
    rows = [
        torch.arange(*each, dtype=dtype or several[1].dtype)
        for each in zip(*(each.tolist() for each in several), strict=True)
    ]
    return RaggedTensor.joined(rows)


def stack(values: Any, axis: int = 0, name: str | None = None) -> RaggedTensor:
    """Tensors, of different lengths perhaps, along a new first axis."""
    if axis != 0:
        raise ArgumentError(f"tf.ragged.stack: only axis=0 is there; got {axis}.")
    return RaggedTensor.joined(list(values))


def boolean_mask(data: Any, mask: Any, name: str | None = None) -> RaggedTensor:
    """Of each row what the mask is True for."""
    data, mask = (each if isinstance(each, RaggedTensor) else RaggedTensor.from_tensor(each) for each in (data, mask))
    kept = mask.values.bool()
    lengths = torch.zeros(len(data), dtype=torch.int64).index_add(0, data.value_rowids(), kept.long())
    return RaggedTensor.from_row_lengths(taken(data.values, torch.nonzero(kept)[:, 0]), lengths)


def row_splits_to_segment_ids(splits: Any, name: str | None = None, out_type: Any = None) -> torch.Tensor:
    """Which row each value is in, of where the rows begin and the last one ends."""
    lengths = convert_to_tensor(splits).long().diff()
    return torch.repeat_interleave(_arange(len(lengths)), lengths)


def segment_ids_to_row_splits(
    segment_ids: Any, num_segments: Any = None, out_type: Any = None, name: str | None = None
) -> torch.Tensor:
    """Where the rows begin and the last one ends, of which row each value is in."""
    lengths = torch.bincount(convert_to_tensor(segment_ids).long(), minlength=int(num_segments or 0))
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])


# TensorFlow's functions of tensors


def ragged_too(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which takes ragged tensors as well."""
    special = partial(_reduced, name) if name in _KINDS else _SPECIAL.get(name)

    @wraps(function)
    def computed(*args: Any, **kwargs: Any) -> Any:
        if not (any(map(_is_ragged, args)) or any(map(_is_ragged, kwargs.values()))):
            return function(*args, **kwargs)
        if special is not None:
            return special(function, *args, **kwargs)
        return elementwise(function, *args, **kwargs)

    return computed


def _is_ragged(value: Any) -> bool:
    if type(value) in (list, tuple):
        return any(type(each) is RaggedTensor for each in value)
    return type(value) is RaggedTensor


_KINDS = {"reduce_sum": "sum", "reduce_prod": "prod", "reduce_max": "amax", "reduce_min": "amin", "reduce_mean": "mean"}
_KINDS |= {"reduce_any": "amax", "reduce_all": "amin"}


def _reduced(
    which: str, function: Any, input_tensor: Any, axis: Any = None, keepdims: bool = False, name: Any = None
) -> Any:
    kind = _KINDS[which]
    if axis is None:
        return function(input_tensor.flat_values)
    place = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
    if not isinstance(place, int):
        raise ArgumentError(f"{which} of a ragged tensor is along one axis, or all; got axis={axis}.")
    place += input_tensor.ndim if place < 0 else 0
    values = input_tensor.values
    if place >= 2:
        return input_tensor.with_values(_inner(which, function, values, place - 1, keepdims))
    if isinstance(values, RaggedTensor):
        if place == 0:
            raise ArgumentError(f"{which} along axis 0 of a ragged tensor within another is not there.")
        between = _reduced_between(input_tensor, kind)
        return _expanded(None, between, place) if keepdims else between
    ids = input_tensor.value_rowids() if place else input_tensor._places()
    found = _joined(values, ids, int(input_tensor.bounding_shape()[1 - place]), kind)
    return found.unsqueeze(place) if keepdims else found


def _inner(which: str, function: Any, values: Any, axis: int, keepdims: bool) -> Any:
    if isinstance(values, RaggedTensor):
        return _reduced(which, function, values, axis, keepdims)
    return function(values, axis=axis, keepdims=keepdims)


def _reduced_between(ragged: RaggedTensor, kind: str) -> RaggedTensor:
    """Along the middle axis: values at the same place of the rows within a row are joined."""
    inner: RaggedTensor = ragged.values
    outer = ragged.value_rowids()
    longest = torch.zeros(len(ragged), dtype=torch.int64).scatter_reduce(0, outer, inner.row_splits.diff(), "amax")
    found = RaggedTensor.from_row_lengths(_arange(int(longest.sum())), longest)
    ids = found.row_splits[outer[inner.value_rowids()]] + inner._places()
    return found.with_values(_joined(inner.flat_values, ids, len(found.values), kind))


def _joined(values: torch.Tensor, ids: torch.Tensor, count: int, kind: str) -> torch.Tensor:
    """(n, ...) -> (count, ...): the values with the same number as one."""
    if values.dtype is torch.bool:
        return _joined(values.to(torch.uint8), ids, count, kind).clamp(max=1).bool()
    limits: Any = torch.finfo(values.dtype) if values.is_floating_point() else torch.iinfo(values.dtype)
    empty = {"sum": 0, "mean": 0, "prod": 1, "amax": limits.min, "amin": limits.max}[kind]
    start = torch.full((count, *values.shape[1:]), empty, dtype=values.dtype, device=values.device)
    places = ids.to(values.device).reshape(-1, *[1] * (values.ndim - 1)).expand_as(values)
    if kind != "mean":
        return start.scatter_reduce(0, places, values, kind)
    counts = torch.zeros_like(start).scatter_add(0, places, torch.ones_like(values))
    return start.scatter_add(0, places, values) / counts


def _concatenated(function: Any, values: Any, axis: int, name: Any = None) -> RaggedTensor:
    parts = [each if isinstance(each, RaggedTensor) else RaggedTensor.from_tensor(each) for each in values]
    axis += parts[0].ndim if axis < 0 else 0
    if axis == 0:
        return one_after_the_other(parts)  # type: ignore[no-any-return]
    if len({len(each) for each in parts}) > 1:
        raise ShapeError(f"tf.concat: the numbers of rows differ: {[len(each) for each in parts]}.")
    if axis > 1:
        inner = [each.values for each in parts]
        nested = any(isinstance(each, RaggedTensor) for each in inner)
        return parts[0].with_values(_concatenated(None, inner, axis - 1) if nested else function(inner, axis - 1))
    order = torch.argsort(torch.cat([each.value_rowids() for each in parts]), stable=True)
    lengths = torch.stack([each.row_splits.diff() for each in parts]).sum(0)
    return RaggedTensor.from_row_lengths(taken(one_after_the_other([each.values for each in parts]), order), lengths)


def _stacked(function: Any, values: Any, axis: int = 0, name: Any = None) -> RaggedTensor:
    return stack(values, axis)


def _expanded(function: Any, input: Any, axis: int, name: Any = None) -> RaggedTensor:
    axis += input.ndim + 1 if axis < 0 else 0
    if axis == 0:
        return RaggedTensor.joined([input])
    if axis == 1:
        return RaggedTensor(input, _arange(len(input) + 1))
    values = input.values
    return input.with_values(
        _expanded(None, values, axis - 1) if isinstance(values, RaggedTensor) else values.unsqueeze(axis - 1)
    )


def _gathered(function: Any, params: Any, indices: Any, *args: Any, **kwargs: Any) -> Any:
    if not isinstance(params, RaggedTensor):
        return indices.mapped(lambda flat: function(params, flat, *args, **kwargs))
    if isinstance(indices, RaggedTensor):
        return indices.with_values(params.rows(indices.values))
    return params[convert_to_tensor(indices)]


def _counted(function: Any, input: Any, out_type: Any = torch.int32, name: Any = None) -> torch.Tensor:
    return torch.tensor(len(input.flat_values), dtype=out_type)


def _ranked(function: Any, input: Any, name: Any = None) -> torch.Tensor:
    return torch.tensor(input.ndim, dtype=torch.int32)


def _reversed(function: Any, tensor: Any, axis: Any, name: Any = None) -> Any:
    turned = (slice(None),) * tensor.ndim
    for each in axis:
        turned = (*turned[:each], slice(None, None, -1), *turned[each:][1:])
    return tensor[turned]


def _masked(function: Any, tensor: Any, mask: Any, axis: Any = None, name: Any = None) -> RaggedTensor:
    return boolean_mask(tensor, mask)


_SPECIAL: dict[str, Callable[..., Any]] = {
    "boolean_mask": _masked,
    "concat": _concatenated,
    "expand_dims": _expanded,
    "gather": _gathered,
    "rank": _ranked,
    "reverse": _reversed,
    "size": _counted,
    "stack": _stacked,
}
