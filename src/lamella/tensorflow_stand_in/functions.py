"""TensorFlow's functions of tensors by their names there, most of which are Keras's operations under other names."""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from lamella import ops
from lamella.tensorflow_stand_in import custom_gradients, segments, special, traced_functions
from lamella.tensorflow_stand_in.one_type import TAKE_ONE_TYPE, of_one_type
from lamella.tensorflow_stand_in.ragged import ragged_too
from lamella.tensorflow_stand_in.tensors import constant, convert_to_tensor, known, sizes, snapshot, without_name

_OTHERS = frozenset(globals())
_SAME = {
    "x": "abs ceil cos cosh erf exp expm1 floor isfinite isinf isnan log log1p logical_not negative reciprocal round "
    "rsqrt sigmoid sign sin sinh sqrt square tan tanh",
    "x y": "add divide divide_no_nan equal greater greater_equal less less_equal logical_and logical_or logical_xor "
    "maximum minimum mod multiply not_equal subtract",
    "a b axes": "tensordot",
    "input": "ones_like squeeze stop_gradient zeros_like",
    "input repeats": "repeat",
    "start stop num": "linspace",
    "sorted_sequence values": "searchsorted",
    "value num axis": "unstack",
    "": "einsum meshgrid",
}
for _arguments, _names in _SAME.items():
    for _name in _names.split():
        globals()[_name] = without_name(getattr(ops, _name), *_arguments.split())

custom_gradient = custom_gradients.custom_gradient
acos, asin, atan = (without_name(each, "x") for each in (ops.arccos, ops.arcsin, ops.arctan))
atan2 = without_name(ops.arctan2, "y", "x")
floordiv, pow = without_name(ops.floor_divide, "x", "y"), without_name(ops.power, "x", "y")
is_finite, is_inf, is_nan = (without_name(each, "x") for each in (ops.isfinite, ops.isinf, ops.isnan))
reduce_all, reduce_any = without_name(ops.all, "input_tensor"), without_name(ops.any, "input_tensor")
reduce_logsumexp = without_name(ops.logsumexp, "input_tensor")
reduce_max, reduce_min, reduce_prod, reduce_std, reduce_variance = (
    without_name(each, "input_tensor") for each in (ops.max, ops.min, ops.prod, ops.std, ops.var)
)
identity = without_name(ops.copy, "input")
floormod, realdiv = mod, special.truediv  # type: ignore[name-defined]  # noqa: F821
softmax, log_softmax = without_name(ops.softmax, "logits"), without_name(ops.log_softmax, "logits")
softplus, softsign = without_name(ops.softplus, "features"), without_name(ops.softsign, "features")
log_sigmoid = without_name(ops.log_sigmoid, "x")
squared_difference = without_name(lambda x, y: ops.square(ops.subtract(x, y)))


def reduce_mean(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """The mean; of whole numbers a whole number, as in TensorFlow."""
    x = convert_to_tensor(input_tensor)
    if x.dtype.is_floating_point or x.dtype.is_complex:
        return ops.mean(x, axis=axis, keepdims=keepdims)
    return ops.cast(ops.mean(ops.cast(x, "float64"), axis=axis, keepdims=keepdims), x.dtype)


def reduce_sum(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """The sum, in the type of the numbers."""
    x = convert_to_tensor(input_tensor)
    return ops.cast(ops.sum(x, axis=axis, keepdims=keepdims), x.dtype)


def argmax(input: Any, axis: int | None = None, output_type: Any = torch.int64, name: str | None = None) -> Any:
    """The place of the largest, along the first axis by default."""
    return ops.cast(ops.argmax(convert_to_tensor(input), axis=axis or 0), output_type)


def argmin(input: Any, axis: int | None = None, output_type: Any = torch.int64, name: str | None = None) -> Any:
    """The place of the smallest, along the first axis by default."""
    return ops.cast(ops.argmin(convert_to_tensor(input), axis=axis or 0), output_type)


def count_nonzero(
    input: Any, axis: Any = None, keepdims: bool = False, dtype: Any = torch.int64, name: str | None = None
) -> Any:
    """How many numbers are not 0."""
    return ops.sum(ops.cast(ops.not_equal(convert_to_tensor(input), 0), dtype), axis=axis, keepdims=keepdims)


def add_n(inputs: Any, name: str | None = None) -> Any:
    """The sum of several tensors."""
    first, *others = inputs
    total = convert_to_tensor(first)
    for other in others:
        total = total + convert_to_tensor(other)
    return total


def zeros(shape: Any, dtype: Any = torch.float32, name: str | None = None) -> Any:
    """Zeros."""
    return ops.zeros(sizes(shape), dtype)


def ones(shape: Any, dtype: Any = torch.float32, name: str | None = None) -> Any:
    """Ones."""
    return ops.ones(sizes(shape), dtype)


def fill(dims: Any, value: Any, name: str | None = None) -> Any:
    """One value in all places."""
    return constant(value, shape=dims)


def eye(num_rows: int, num_columns: int | None = None, dtype: Any = torch.float32, name: str | None = None) -> Any:
    """Ones on the diagonal, zeros elsewhere."""
    return ops.eye(num_rows, num_columns, dtype=dtype)


def range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = None) -> Any:
    """The numbers from `start` (0 where only one number is given) until before `limit`."""
    first, last = (0, start) if limit is None else (start, limit)
    kinds = [each.dtype for each in (start, limit, delta) if isinstance(each, torch.Tensor)]
    if dtype is None and kinds:
        dtype = functools.reduce(torch.promote_types, kinds)
    return ops.arange(first, last, delta, dtype=dtype)


def concat(values: Any, axis: int, name: str | None = None) -> Any:
    """Tensors one after the other along an axis."""
    return ops.concatenate([convert_to_tensor(each) for each in values], axis=int(axis))


def stack(values: Any, axis: int = 0, name: str | None = None) -> Any:
    """Tensors along a new axis."""
    return ops.stack([convert_to_tensor(each) for each in values], axis=axis)


def split(value: Any, num_or_size_splits: Any, axis: int = 0, num: int | None = None, name: str | None = None) -> Any:
    """A tensor in so many equal parts, or in parts of these sizes (one of which may be -1: the rest)."""
    value = convert_to_tensor(value)
    if isinstance(num_or_size_splits, int):
        return list(ops.split(value, num_or_size_splits, axis=axis))
    parts = list(sizes(num_or_size_splits))
    if -1 in parts:
        parts[parts.index(-1)] = value.shape[axis] - sum(parts) - 1
    return list(torch.split(value, parts, dim=axis))


def matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, name: str | None = None) -> Any:
    """The product of matrices in the last two axes, each transposed before where it is asked for."""
    a, b = convert_to_tensor(a), convert_to_tensor(b)
    return ops.matmul(ops.swapaxes(a, -1, -2) if transpose_a else a, ops.swapaxes(b, -1, -2) if transpose_b else b)


def reshape(tensor: Any, shape: Any, name: str | None = None) -> Any:
    """The same numbers in another shape, of which one size may be -1."""
    return ops.reshape(convert_to_tensor(tensor), sizes(shape))


def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Any:
    """The tensor repeated to a shape."""
    return ops.broadcast_to(convert_to_tensor(input), sizes(shape))


def tile(input: Any, multiples: Any, name: str | None = None) -> Any:
    """The whole tensor so many times along each axis."""
    return ops.tile(convert_to_tensor(input), sizes(multiples))


def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Any:
    """The sums of the numbers so far along an axis; `exclusive`: without the number itself; `reverse`: from the end."""
    x = convert_to_tensor(x)
    sums = ops.flip(ops.cumsum(ops.flip(x, axis), axis=axis), axis) if reverse else ops.cumsum(x, axis=axis)
    return sums - x if exclusive else sums


def cumprod(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Any:
    """The products of the numbers so far along an axis; `exclusive` and `reverse` as for `cumsum`."""
    x = convert_to_tensor(x)
    x = ops.flip(x, axis) if reverse else x
    if exclusive:  # the numbers one place on, after a 1
        x = x.movedim(axis, 0)
        x = torch.cat([torch.ones_like(x[:1]), x[:-1]]).movedim(0, axis)
    found = ops.cumprod(x, axis=axis)
    return ops.flip(found, axis) if reverse else found


def sequence_mask(lengths: Any, maxlen: Any = None, dtype: Any = torch.bool, name: str | None = None) -> Any:
    """For each length a row of `maxlen` (the largest by default), True up to the length."""
    lengths = convert_to_tensor(lengths)
    places = torch.arange(int(lengths.max()) if maxlen is None else int(maxlen), device=lengths.device)
    return ops.cast(places < lengths.unsqueeze(-1), dtype)


def sort(values: Any, axis: int = -1, direction: str = "ASCENDING", name: str | None = None) -> Any:
    """The numbers in order along an axis."""
    return torch.sort(convert_to_tensor(values), dim=axis, descending=direction == "DESCENDING", stable=True).values


def argsort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", stable: bool = False, name: str | None = None
) -> Any:
    """The places of the numbers in order along an axis."""
    places = torch.argsort(convert_to_tensor(values), dim=axis, descending=direction == "DESCENDING", stable=True)
    return places.to(torch.int32)


def expand_dims(input: Any, axis: int, name: str | None = None) -> Any:
    """The tensor with a new axis of one."""
    found = convert_to_tensor(input)
    if isinstance(found, (str, bytes, np.ndarray)):
        return np.expand_dims(np.asarray(found, object), axis)
    return ops.expand_dims(found, axis)


def transpose(a: Any, perm: Any = None, conjugate: bool = False, name: str | None = None) -> Any:
    """The axes in another order; reversed by default."""
    a = ops.transpose(convert_to_tensor(a), None if perm is None else sizes(perm))
    return ops.conj(a) if conjugate else a


def reverse(tensor: Any, axis: Any, name: str | None = None) -> Any:
    """The tensor turned round along these axes."""
    return ops.flip(convert_to_tensor(tensor), axis=sizes(axis))


def complex(real: Any, imag: Any, name: str | None = None) -> Any:
    """Complex numbers of their parts."""
    return torch.complex(convert_to_tensor(real), convert_to_tensor(imag))


def roll(input: Any, shift: Any, axis: Any, name: str | None = None) -> Any:
    """The tensor moved along an axis; what leaves at one end comes in at the other."""
    found = convert_to_tensor(input)
    shifts, axes = sizes(shift), sizes(axis)
    return ops.roll(found, shifts, axis=axes) if len(axes) > 1 else ops.roll(found, sum(shifts), axis=axes[0])


def pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0, name: str | None = None) -> Any:
    """The tensor with more numbers before and after along each axis."""
    pairs = paddings.tolist() if isinstance(paddings, torch.Tensor) else paddings
    value = {"constant_values": constant_values} if mode.lower() == "constant" else {}
    return ops.pad(convert_to_tensor(tensor), [tuple(pair) for pair in pairs], mode.lower(), **value)


def gather(params: Any, indices: Any, axis: int | None = None, batch_dims: int = 0, name: str | None = None) -> Any:
    """The slices at these places along an axis; with `batch_dims` each of a batch at places of its own."""
    params, indices = convert_to_tensor(params), convert_to_tensor(indices)
    if isinstance(params, np.ndarray):  # texts
        return np.take(params, indices.numpy(force=True), axis or 0)
    if batch_dims == 0:
        return ops.take(params, indices, axis=axis or 0)
    rows = [gather(p, i, axis and axis - 1, batch_dims - 1) for p, i in zip(params, indices, strict=True)]
    return torch.stack(rows)


def gather_nd(params: Any, indices: Any, batch_dims: int = 0, name: str | None = None) -> Any:
    """The numbers (or slices) whose places stand in the last axis of `indices`."""
    params, indices = convert_to_tensor(params), convert_to_tensor(indices)
    if batch_dims:
        return torch.stack([gather_nd(p, i, batch_dims - 1) for p, i in zip(params, indices, strict=True)])
    return params[tuple(indices.long().unbind(-1))]


def slice(input_: Any, begin: Any, size: Any, name: str | None = None) -> Any:
    """The part that begins at these places and has these sizes (-1: to the end)."""
    found = convert_to_tensor(input_)
    for axis, (first, count) in enumerate(zip(sizes(begin), sizes(size), strict=True)):
        found = found.narrow(axis, first, found.shape[axis] - first if count == -1 else count)
    return found


def boolean_mask(tensor: Any, mask: Any, axis: int | None = None, name: str | None = None) -> Any:
    """What the mask is True (or not 0) for, along its axes (which begin at `axis`), one after the other."""
    tensor, mask = convert_to_tensor(tensor), convert_to_tensor(mask) != 0
    return tensor[(builtins.slice(None),) * (axis or 0) + (mask,)]


def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Any:
    """x where the condition holds, else y; without them the places (n, rank) where it holds."""
    if x is None and y is None:
        return torch.nonzero(convert_to_tensor(condition))
    return ops.where(convert_to_tensor(condition), x, y)


def one_hot(
    indices: Any,
    depth: int,
    on_value: Any = None,
    off_value: Any = None,
    axis: int | None = None,
    dtype: Any = None,
    name: str | None = None,
) -> Any:
    """A new axis of `depth`, with `on_value` at the index and `off_value` elsewhere."""
    axis = -1 if axis is None else axis
    hot = ops.one_hot(convert_to_tensor(indices), int(depth), axis=axis, dtype=dtype or torch.float32)
    on_value, off_value = 1 if on_value is None else on_value, 0 if off_value is None else off_value
    return hot if (on_value, off_value) == (1, 0) else hot * (on_value - off_value) + off_value


def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Any:
    """The numbers, those outside the bounds at the bounds."""
    return ops.clip(convert_to_tensor(t), clip_value_min, clip_value_max)


def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Any:
    """The tensor, made smaller where its Euclidean norm is above `clip_norm`."""
    t = convert_to_tensor(t)
    length = ops.sqrt(ops.sum(ops.square(t), axis=axes, keepdims=axes is not None))
    return t * clip_norm / ops.maximum(length, clip_norm)


def clip_by_global_norm(
    t_list: Any, clip_norm: Any, use_norm: Any = None, name: str | None = None
) -> tuple[list[Any], Any]:
    """The tensors (None stays None), all made smaller where the norm of all is above `clip_norm`; and that norm."""
    total = global_norm(t_list) if use_norm is None else use_norm
    factor = clip_norm / ops.maximum(total, clip_norm)
    return [None if each is None else each * factor for each in t_list], total


def global_norm(t_list: Any, name: str | None = None) -> Any:
    """The Euclidean norm of all numbers of all tensors."""
    return torch.sqrt(
        torch.stack([convert_to_tensor(each).square().sum() for each in t_list if each is not None]).sum()
    )


def norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: Any = False, name: str | None = None) -> Any:
    """The norm of all numbers, or along an axis."""
    x = convert_to_tensor(tensor)
    if axis is None:
        return ops.norm(ops.reshape(x, (-1,)), None if ord == "euclidean" else ord)
    return ops.norm(x, None if ord == "euclidean" else ord, axis=axis, keepdims=keepdims)


def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None) -> Any:
    """x divided by its Euclidean norm along the axes, or by the root of `epsilon` where that is larger."""
    x = convert_to_tensor(x)
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), epsilon))


class TopK(NamedTuple):
    """What `top_k` gives."""

    values: Any
    indices: Any


def top_k(input: Any, k: int = 1, sorted: bool = True, name: str | None = None) -> Any:
    """The k largest along the last axis, and their places: `.values` and `.indices`."""
    values, places = ops.top_k(convert_to_tensor(input), int(k), sorted=sorted)
    return TopK(values, ops.cast(places, "int32"))


def size(input: Any, out_type: Any = torch.int32, name: str | None = None) -> Any:
    """How many numbers, or strings, there are."""
    return torch.tensor(math.prod(convert_to_tensor(input).shape), dtype=out_type)


def rank(input: Any, name: str | None = None) -> Any:
    """How many axes there are."""
    return torch.tensor(convert_to_tensor(input).ndim, dtype=torch.int32)


def unique(x: Any, name: str | None = None) -> tuple[Any, Any]:
    """The different numbers in the order in which they come, and which of them each number is."""
    x = convert_to_tensor(x)
    values, places = torch.unique(x, return_inverse=True)
    first = torch.full((len(values),), len(x)).scatter_reduce_(0, places, torch.arange(len(x)), "amin")
    order = first.argsort()
    return values[order], order.argsort()[places].to(torch.int32)


def confusion_matrix(
    labels: Any,
    predictions: Any,
    num_classes: int | None = None,
    weights: Any = None,
    dtype: Any = torch.int32,
    name: str | None = None,
) -> Any:
    """How often each class (row) was predicted as which (column), or the sums of `weights` there."""
    labels, predictions = (convert_to_tensor(each).reshape(-1).long() for each in (labels, predictions))
    classes = num_classes if num_classes is not None else int(max(labels.max(), predictions.max())) + 1
    counts = torch.ones_like(labels) if weights is None else convert_to_tensor(weights).reshape(-1)
    found = torch.zeros(classes * classes, dtype=counts.dtype, device=labels.device)
    return ops.cast(found.index_add(0, labels * classes + predictions, counts).reshape(classes, classes), dtype)


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any], name: str | None = None) -> Any:
    """What one of two functions gives."""
    return true_fn() if pred else false_fn()


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: int | None = None,
    name: str | None = None,
    **kwargs: Any,
) -> Any:
    """Repeats `loop_vars = body(*loop_vars)` while `cond(*loop_vars)` holds."""
    return ops.while_loop(cond, body, loop_vars, maximum_iterations)


function = traced_functions.function


for _room in (segments, special):
    for _name in _room.__all__:
        globals()[_name] = getattr(_room, _name)

__all__ = [
    name for name, value in list(globals().items()) if callable(value) and name[0] != "_" and name not in _OTHERS
]
for _name in TAKE_ONE_TYPE:
    globals()[_name] = of_one_type(globals()[_name])
for _name in __all__:
    if _name not in ("function", "cond", "case", "switch_case", "custom_gradient"):
        globals()[_name] = ragged_too(_name, known(snapshot(globals()[_name])))
