"""Functions that are met less often, most of them in `tf.math`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import torch

from lamella import ops
from lamella.engine.dtypes import torch_dtype
from lamella.engine.tensor_habits import check_shape
from lamella.engine.tensor_shape import TensorShape
from lamella.errors import ShapeError
from lamella.tensorflow_stand_in.tensors import convert_to_tensor, sizes, without_name

_BY_TORCH: dict[str, tuple[str, Callable[..., Any]]] = {
    "acosh": ("x", torch.acosh),
    "angle": ("input", torch.angle),
    "asinh": ("x", torch.asinh),
    "atanh": ("x", torch.atanh),
    "conj": ("x", torch.conj_physical),
    "digamma": ("x", torch.digamma),
    "erfc": ("x", torch.erfc),
    "erfinv": ("x", torch.erfinv),
    "imag": ("input", lambda x: x.imag if x.is_complex() else torch.zeros_like(x)),
    "lgamma": ("x", torch.lgamma),
    "real": ("input", lambda x: x.real if x.is_complex() else x),
    "rint": ("x", torch.round),
    "xlog1py": ("x y", torch.special.xlog1py),
    "xlogy": ("x y", torch.special.xlogy),
}


def _of_tensors(function: Callable[..., Any], called: str) -> Callable[..., Any]:
    def computed(*args: Any) -> Any:
        return function(*(convert_to_tensor(each) for each in args))

    computed.__name__ = computed.__qualname__ = called
    return computed


for _name, (_arguments, _function) in _BY_TORCH.items():
    globals()[_name] = without_name(_of_tensors(_function, _name), *_arguments.split())


def multiply_no_nan(x: Any, y: Any, name: str | None = None) -> Any:
    """The product, which is 0 where y is 0, also where x is infinite or NaN."""
    x, y = convert_to_tensor(x), convert_to_tensor(y)
    return torch.where(y == 0, torch.zeros_like(x * y), x * y)


def reciprocal_no_nan(x: Any, name: str | None = None) -> Any:
    """1 / x, and 0 where x is 0."""
    x = convert_to_tensor(x)
    return torch.where(x == 0, x, 1 / x)


def truediv(x: Any, y: Any, name: str | None = None) -> Any:
    """The quotient; that of whole numbers of 32 or more bits is of type float64."""
    x = convert_to_tensor(x)
    y = convert_to_tensor(y, x.dtype)
    if not x.is_floating_point() and not x.is_complex():
        kind = torch.float64 if x.dtype.itemsize > 2 else torch.float32
        x, y = x.to(kind), y.to(kind)
    return x / y


def timestamp(name: str | None = None) -> Any:
    """The seconds since the beginning of 1970, as a float64 tensor."""
    return torch.tensor(time.time(), dtype=torch.float64)


def broadcast_static_shape(shape_x: Any, shape_y: Any) -> TensorShape:
    """The shape that two shapes have together; an unknown size stays so, unless the other one is larger than 1."""
    x, y = (tuple(TensorShape(each)) for each in (shape_x, shape_y))
    rows = list(zip_longest(reversed(x), reversed(y), fillvalue=1))
    for a, b in rows:
        if None not in (a, b) and 1 not in (a, b) and a != b:
            raise ShapeError(f"The shapes {x} and {y} do not go together: a size is {a} in one and {b} in the other.")
    return TensorShape([_together(a, b) for a, b in reversed(rows)])


def _together(a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return next((each for each in (a, b) if each is not None and each > 1), None)
    return b if a == 1 else a


def broadcast_dynamic_shape(shape_x: Any, shape_y: Any) -> Any:
    """The shape that two shapes have together, as a tensor."""
    return torch.tensor(broadcast_static_shape(sizes(shape_x), sizes(shape_y)), dtype=torch.int32)


def zero_fraction(value: Any, name: str | None = None) -> Any:
    """How large a part of the numbers is 0."""
    return (convert_to_tensor(value) == 0).float().mean()


def reduce_euclidean_norm(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """The Euclidean norm along the axes."""
    x = convert_to_tensor(input_tensor)
    return ops.cast(ops.sqrt(ops.sum(ops.square(ops.cast(x, "float64")), axis=axis, keepdims=keepdims)), x.dtype)


def polyval(coeffs: Sequence[Any], x: Any, name: str | None = None) -> Any:
    """A polynomial at x, from its coefficients, that of the highest power first."""
    x = convert_to_tensor(x)
    total = torch.zeros_like(x)
    for each in coeffs:
        total = total * x + convert_to_tensor(each, x.dtype)
    return total


def invert_permutation(x: Any, name: str | None = None) -> Any:
    """Where each place went."""
    x = convert_to_tensor(x)
    return torch.empty_like(x).scatter_(0, x.long(), torch.arange(len(x), dtype=x.dtype, device=x.device))


def is_non_decreasing(x: Any, name: str | None = None) -> Any:
    """Whether no number is smaller than the one before it."""
    x = convert_to_tensor(x).reshape(-1)
    return (x[1:] >= x[:-1]).all()


def is_strictly_increasing(x: Any, name: str | None = None) -> Any:
    """Whether each number is larger than the one before it."""
    x = convert_to_tensor(x).reshape(-1)
    return (x[1:] > x[:-1]).all()


def in_top_k(targets: Any, predictions: Any, k: int, name: str | None = None) -> Any:
    """Whether the score of the class is one of the k highest of its row; as high as the last of them is enough."""
    targets, predictions = convert_to_tensor(targets).long(), convert_to_tensor(predictions)
    own = predictions.gather(1, targets.unsqueeze(1))
    return ((predictions > own).sum(1) < k) & own.squeeze(1).isfinite()


def bincount(
    arr: Any,
    weights: Any = None,
    minlength: int | None = None,
    maxlength: int | None = None,
    dtype: Any = torch.int32,
    name: str | None = None,
    axis: int | None = None,
    binary_output: bool = False,
) -> Any:
    """How often each whole number from 0 on is there, or the sum of its weights; with `axis=-1` in each row.

    Example:
        >>> bincount([1, 1, 3]).tolist(), bincount([[0, 1], [1, 1]], axis=-1).tolist()
        ([0, 2, 0, 1], [[1, 1], [0, 2]])
    """
    numbers = convert_to_tensor(arr).long()
    rows = numbers if axis == -1 and numbers.ndim == 2 else numbers.reshape(1, -1)
    size = int(rows.max()) + 1 if rows.numel() else 0
    size = max(size, int(minlength or 0))
    size = size if maxlength is None else min(size, int(maxlength))
    if weights is None:
        given = torch.ones(rows.shape, dtype=torch_dtype(dtype), device=rows.device)
    else:
        given = convert_to_tensor(weights).reshape(rows.shape)
    inside = rows < size
    places = torch.where(inside, rows, torch.zeros_like(rows))
    counts = torch.zeros(len(rows), size, dtype=given.dtype, device=rows.device)
    if size:
        counts = counts.scatter_add(1, places, torch.where(inside, given, torch.zeros_like(given)))
    if binary_output:
        counts = (counts != 0).to(counts.dtype)
    return counts if rows is numbers else counts[0]


def histogram_fixed_width(
    values: Any, value_range: Any, nbins: int = 100, dtype: Any = torch.int32, name: str | None = None
) -> Any:
    """How many numbers are in each of so many bins of equal width; those outside count at the ends."""
    x = convert_to_tensor(values).reshape(-1)
    low, high = (float(each) for each in value_range)
    bins = torch.floor((x.double() - low) / (high - low) * nbins).clamp(0, nbins - 1)
    return ops.cast(torch.bincount(bins.long(), minlength=nbins), dtype)


def unique_with_counts(x: Any, out_idx: Any = torch.int32, name: str | None = None) -> tuple[Any, Any, Any]:
    """The different numbers as they come first, which of them each number is, and how often each is there."""
    x = convert_to_tensor(x)
    _, first, places, counts = np.unique(x.cpu().numpy(), return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    index, kind = torch.from_numpy(np.argsort(order)[places]), torch_dtype(out_idx)
    return x[np.sort(first)], index.to(kind), torch.from_numpy(counts[order]).to(kind)


def saturate_cast(value: Any, dtype: Any, name: str | None = None) -> Any:
    """The numbers in another type, those that it does not reach at its bounds."""
    value, kind = convert_to_tensor(value), torch_dtype(dtype)
    bounds = torch.finfo(kind) if kind.is_floating_point else torch.iinfo(kind)
    lowest, highest = float(bounds.min), float(bounds.max)
    cast = value.double().clamp(lowest, highest).to(kind)
    return torch.where(value >= highest, torch.tensor(bounds.max, dtype=kind), cast)


def ensure_shape(x: Any, shape: Any, name: str | None = None) -> Any:
    """The tensor, if it has the shape, in which None stands for any size.

    Raises:
        ShapeError: It has another.
    """
    x = convert_to_tensor(x)
    check_shape(x, shape, "tf.ensure_shape")
    return x


def strided_slice(input_: Any, begin: Any, end: Any, strides: Any = None, name: str | None = None) -> Any:
    """`input_[begin[0] : end[0] : strides[0], ...]`."""
    x = convert_to_tensor(input_)
    first, last = sizes(begin), sizes(end)
    steps = (1,) * len(first) if strides is None else sizes(strides)
    for axis, (start, stop, step) in enumerate(zip(first, last, steps, strict=True)):
        places = range(*slice(start, stop, step).indices(x.shape[axis]))
        x = x.index_select(axis, torch.tensor(list(places), dtype=torch.int64, device=x.device))
    return x


def unravel_index(indices: Any, dims: Any, name: str | None = None) -> Any:
    """The places in a tensor of this shape of numbers counted along all of it: a row for each axis."""
    indices = convert_to_tensor(indices)
    return torch.stack(torch.unravel_index(indices, sizes(dims))).to(indices.dtype)


def switch_case(branch_index: Any, branch_fns: Any, default: Any = None, name: str | None = None) -> Any:
    """What the function of this number gives; `default` (the last one if there is none) for a number that has none."""
    functions = dict(branch_fns) if not isinstance(branch_fns, (list, tuple)) or _pairs(branch_fns) else None
    functions = dict(enumerate(branch_fns)) if functions is None else functions
    return functions.get(int(branch_index), default or functions[max(functions)])()


def case(pred_fn_pairs: Any, default: Any = None, exclusive: bool = False, name: str | None = None) -> Any:
    """What the function of the first condition that holds gives, that of `default` if none does (or the last one's)."""
    pairs = list(pred_fn_pairs.items() if isinstance(pred_fn_pairs, dict) else pred_fn_pairs)
    for condition, function in pairs:
        if condition:
            return function()
    return (default or pairs[-1][1])()


def _pairs(functions: Sequence[Any]) -> bool:
    return all(isinstance(each, (list, tuple)) for each in functions)


def py_function(func: Callable[..., Any], inp: Sequence[Any], Tout: Any, name: str | None = None) -> Any:
    """What a function gives for these tensors, as tensors of these types."""
    return _as_types(func(*(convert_to_tensor(each) for each in inp)), Tout)


def numpy_function(
    func: Callable[..., Any], inp: Sequence[Any], Tout: Any, stateful: bool = True, name: str | None = None
) -> Any:
    """What a function gives for these arrays, as tensors of these types."""
    arrays = [each.detach().cpu().numpy() if isinstance(each, torch.Tensor) else np.asarray(each) for each in inp]
    return _as_types(func(*arrays), Tout)


def _as_types(found: Any, types: Any) -> Any:
    if isinstance(types, (list, tuple)):
        several = found if isinstance(found, (list, tuple)) else [found] if types else []
        return [convert_to_tensor(each, kind) for each, kind in zip(several, types, strict=True)]
    return convert_to_tensor(found, None if types == "string" else types)


__all__ = [
    *_BY_TORCH,
    "bincount",
    "broadcast_dynamic_shape",
    "broadcast_static_shape",
    "case",
    "ensure_shape",
    "histogram_fixed_width",
    "in_top_k",
    "invert_permutation",
    "is_non_decreasing",
    "is_strictly_increasing",
    "multiply_no_nan",
    "numpy_function",
    "polyval",
    "py_function",
    "reciprocal_no_nan",
    "reduce_euclidean_norm",
    "saturate_cast",
    "strided_slice",
    "switch_case",
    "timestamp",
    "truediv",
    "unique_with_counts",
    "unravel_index",
    "zero_fraction",
]
