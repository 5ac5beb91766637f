"""Many numbers to one: sums, means, extremes, quantiles."""

from __future__ import annotations

import math
from typing import Any

import torch

from lamella.errors import ShapeError
from lamella.ops.base import as_dtype, axes_of, floating, floatx, op, result_dtype, tensor

_SMALL = (torch.bool, torch.uint8, torch.int8, torch.int16)


def _summed(x: torch.Tensor) -> torch.dtype:
    """The type of a sum: small whole numbers would overflow."""
    return torch.int32 if x.dtype in _SMALL else x.dtype


@op
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The sum along `axis`.

    Example:
        >>> sum([[1, 2], [3, 4]], axis=0)
        tensor([4, 6], dtype=torch.int32)
    """
    x = tensor(x)
    axes = axes_of(axis, x.ndim)
    return torch.sum(x, dim=axes, keepdim=keepdims).to(_summed(x)) if axes else x.to(_summed(x))


@op
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The mean along `axis`.

    Example:
        >>> mean([[1, 2], [3, 4]], axis=0)
        tensor([2., 3.])
    """
    x = floating(x)
    axes = axes_of(axis, x.ndim)
    return torch.mean(x, dim=axes, keepdim=keepdims) if axes else x


@op
def var(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The variance along `axis`: the mean square distance from the mean.

    Example:
        >>> var([1.0, 3.0])
        tensor(1.)
    """
    x = floating(x)
    axes = axes_of(axis, x.ndim)
    return torch.var(x, dim=axes, keepdim=keepdims, correction=0) if axes else x - x


@op
def std(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The standard deviation along `axis`, the root of the variance.

    Example:
        >>> std([1.0, 3.0])
        tensor(1.)
    """
    x = floating(x)
    axes = axes_of(axis, x.ndim)
    return torch.std(x, dim=axes, keepdim=keepdims, correction=0) if axes else x - x


@op
def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> torch.Tensor:
    """The product along `axis`.

    Example:
        >>> prod([[1, 2], [3, 4]], axis=1)
        tensor([ 2, 12], dtype=torch.int32)
    """
    x = tensor(x)
    kind = as_dtype(dtype) if dtype is not None else torch.int32 if x.dtype in _SMALL else result_dtype(x)
    for axis_ in sorted(axes_of(axis, x.ndim), reverse=True):
        x = torch.prod(x, dim=axis_, keepdim=keepdims, dtype=kind)
    return x.to(kind)


def _extreme(function: Any, two: Any, x: Any, axis: Any, keepdims: bool, initial: Any) -> torch.Tensor:
    x = tensor(x)
    axes = axes_of(axis, x.ndim)
    if 0 in x.shape:
        left = [1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes]
        if initial is None and 0 not in left:
            raise ShapeError(f"There is no largest and no smallest of nothing: shape {tuple(x.shape)}. Give `initial`.")
        return torch.full(left, initial or 0, dtype=x.dtype, device=x.device)
    found = function(x, dim=axes, keepdim=keepdims) if axes else x
    return found if initial is None else two(found, tensor(initial, found.dtype).to(found.device))


@op
def max(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> torch.Tensor:
    """The largest along `axis`, and at least `initial`.

    Raises:
        ShapeError: No numbers and no `initial`.

    Example:
        >>> max([[1, 5], [3, 4]], axis=0)
        tensor([3, 5], dtype=torch.int32)
    """
    return _extreme(torch.amax, torch.maximum, x, axis, keepdims, initial)


@op
def min(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> torch.Tensor:
    """The smallest along `axis`, and at most `initial`.

    Raises:
        ShapeError: No numbers and no `initial`.

    Example:
        >>> min([[1, 5], [3, 4]], axis=0)
        tensor([1, 4], dtype=torch.int32)
    """
    return _extreme(torch.amin, torch.minimum, x, axis, keepdims, initial)


@op
def amax(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The largest along `axis`.

    Example:
        >>> amax([[1, 5], [3, 4]], axis=0)
        tensor([3, 5], dtype=torch.int32)
    """
    return _extreme(torch.amax, None, x, axis, keepdims, None)


@op
def amin(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The smallest along `axis`.

    Example:
        >>> amin([[1, 5], [3, 4]], axis=0)
        tensor([1, 4], dtype=torch.int32)
    """
    return _extreme(torch.amin, None, x, axis, keepdims, None)


@op
def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The largest less the smallest along `axis`.

    Example:
        >>> ptp([1.0, 5.0, 2.0])
        tensor(4.)
    """
    x = tensor(x)
    axes = axes_of(axis, x.ndim)
    if not axes:
        return torch.zeros_like(x)
    return torch.amax(x, dim=axes, keepdim=keepdims) - torch.amin(x, dim=axes, keepdim=keepdims)


@op
def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> torch.Tensor:
    """The index of the largest along `axis` (in the flattened `x` for None).

    Example:
        >>> argmax([[1, 5], [6, 4]], axis=1)
        tensor([1, 0], dtype=torch.int32)
    """
    x = tensor(x)
    x = x.to(torch.uint8) if x.dtype is torch.bool else x
    return torch.argmax(x, dim=axis, keepdim=keepdims).to(torch.int32)


@op
def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> torch.Tensor:
    """The index of the smallest along `axis` (in the flattened `x` for None).

    Example:
        >>> argmin([[1, 5], [6, 4]], axis=1)
        tensor([0, 1], dtype=torch.int32)
    """
    x = tensor(x)
    x = x.to(torch.uint8) if x.dtype is torch.bool else x
    return torch.argmin(x, dim=axis, keepdim=keepdims).to(torch.int32)


@op
def count_nonzero(x: Any, axis: Any = None) -> torch.Tensor:
    """How many along `axis` are not zero.

    Example:
        >>> count_nonzero([[0, 1], [2, 3]], axis=0)
        tensor([1, 2], dtype=torch.int32)
    """
    x = tensor(x)
    axes = axes_of(axis, x.ndim)
    return torch.sum(x != 0, dim=axes).to(torch.int32) if axes else (x != 0).to(torch.int32)


@op
def average(x: Any, axis: Any = None, weights: Any = None) -> torch.Tensor:
    """The mean along `axis`, weighted.

    Args:
        x: Numbers.
        axis: One axis, several, or None for all.
        weights: Of the shape of `x`, or a vector along `axis`.

    Example:
        >>> average([1.0, 3.0], weights=[3.0, 1.0])
        tensor(1.5000)
    """
    x = tensor(x)
    weights = None if weights is None else tensor(weights)
    kind = result_dtype(*(each for each in (x, weights) if each is not None), float)
    x = x.to(kind)
    axes = axes_of(axis, x.ndim)
    if not axes:
        return x if weights is None else x * weights / weights
    if weights is None:
        return torch.mean(x, dim=axes)
    weights = weights.to(kind)
    if weights.ndim == 1 and x.ndim > 1:
        weights = weights.reshape([-1 if i in axes else 1 for i in range(x.ndim)])
    weights = weights.expand(x.shape)
    return torch.sum(x * weights, dim=axes) / torch.sum(weights, dim=axes)


def quantiles(x: torch.Tensor, q: Any, axis: Any, method: str, keepdims: bool, function: Any) -> torch.Tensor:
    """`torch.quantile` or `torch.nanquantile` over several axes; the axis of `q` is the first."""
    x = floating(x)
    kind, compute = x.dtype, x if x.dtype in (torch.float32, torch.float64) else x.float()
    q = tensor(q).to(compute)
    axes = axes_of(axis, x.ndim)
    kept = [i for i in range(x.ndim) if i not in axes]
    rows = compute.permute([*kept, *axes]).reshape(*(x.shape[i] for i in kept), math.prod(x.shape[i] for i in axes))
    found = function(rows, q, dim=-1, interpolation=method)
    if keepdims:
        for i in sorted(axes):
            found = found.unsqueeze(i + q.ndim)
    return found.to(kind)


@op
def quantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> torch.Tensor:
    """The value below which the share `q` (0 to 1) of the numbers along `axis` lies.

    Args:
        x: Numbers.
        q: One share, or a vector of them, which becomes the first axis of the result.
        axis: One axis, several, or None for all.
        method: Between two numbers: `"linear"`, `"lower"`, `"higher"`, `"midpoint"` or `"nearest"`.
        keepdims: Whether the axes stay, with size 1.

    Example:
        >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5)
        tensor(2.5000)
    """
    return quantiles(tensor(x), q, axis, method, keepdims, torch.quantile)


@op
def percentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> torch.Tensor:
    """`quantile` with `q` from 0 to 100.

    Example:
        >>> percentile([1.0, 2.0, 3.0, 4.0], 50)
        tensor(2.5000)
    """
    return quantile(x, tensor(q).to(floatx()) / 100.0, axis, method, keepdims)


@op
def median(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The middle number along `axis`; the mean of the two middle ones of an even count.

    Example:
        >>> median([1.0, 9.0, 2.0, 3.0])
        tensor(2.5000)
    """
    return quantile(x, 0.5, axis, keepdims=keepdims)


@op
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """log(sum(exp(x))) along `axis`, without overflow on the way.

    Example:
        >>> logsumexp([1000.0, 1000.0])
        tensor(1000.6932)
    """
    x = floating(x)
    return torch.logsumexp(x, dim=axes_of(axis, x.ndim), keepdim=keepdims)


def _running(function: Any, x: Any, axis: int | None, dtype: Any) -> torch.Tensor:
    x = tensor(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    kind = result_dtype(x if dtype is None else as_dtype(dtype))
    return function(x, dim=axis, dtype=torch.int32 if kind is torch.bool else kind)


@op
def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    """The running sum along `axis` (of the flattened `x` for None).

    Example:
        >>> cumsum([1, 2, 3])
        tensor([1, 3, 6], dtype=torch.int32)
    """
    return _running(torch.cumsum, x, axis, dtype)


@op
def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    """The running product along `axis` (of the flattened `x` for None).

    Example:
        >>> cumprod([1, 2, 3])
        tensor([1, 2, 6], dtype=torch.int32)
    """
    return _running(torch.cumprod, x, axis, dtype)
