"""The reductions that leave NaN out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lamella.ops.base import axes_of, floating, floatx, op, tensor
from lamella.ops.reductions import amax, amin, argmax, argmin, cumprod, cumsum, prod, quantiles, sum


def _filled(x: Any, value: float) -> torch.Tensor:
    x = tensor(x)
    return torch.where(torch.isnan(x), value, x).to(x.dtype) if x.is_floating_point() else x


def _only_nan(x: Any, axis: Any, keepdims: bool) -> torch.Tensor:
    x = tensor(x)
    axes = axes_of(axis, x.ndim)
    return torch.all(torch.isnan(x), dim=axes, keepdim=keepdims) if axes else torch.isnan(x)


def _unless_only_nan(found: torch.Tensor, x: Any, axis: Any, keepdims: bool, value: float) -> torch.Tensor:
    if not tensor(x).is_floating_point():
        return found
    return torch.where(_only_nan(x, axis, keepdims), value, found).to(found.dtype)


@op
def nansum(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The sum along `axis`, NaN as 0.

    Example:
        >>> nansum([1.0, float("nan"), 2.0])
        tensor(3.)
    """
    return sum(_filled(x, 0.0), axis, keepdims)


@op
def nanprod(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The product along `axis`, NaN as 1.

    Example:
        >>> nanprod([3.0, float("nan"), 2.0])
        tensor(6.)
    """
    return prod(_filled(x, 1.0), axis, keepdims)


@op
def nancumsum(x: Any, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    """The running sum along `axis`, NaN as 0.

    Example:
        >>> nancumsum([1.0, float("nan"), 2.0])
        tensor([1., 1., 3.])
    """
    return cumsum(_filled(x, 0.0), axis, dtype)


@op
def nancumprod(x: Any, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    """The running product along `axis`, NaN as 1.

    Example:
        >>> nancumprod([3.0, float("nan"), 2.0])
        tensor([3., 3., 6.])
    """
    return cumprod(_filled(x, 1.0), axis, dtype)


@op
def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The mean along `axis` of what is not NaN.

    Example:
        >>> nanmean([1.0, float("nan"), 2.0])
        tensor(1.5000)
    """
    x = floating(x)
    axes = axes_of(axis, x.ndim)
    return torch.nanmean(x, dim=axes, keepdim=keepdims) if axes else x


@op
def nanvar(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The variance along `axis` of what is not NaN.

    Example:
        >>> nanvar([1.0, float("nan"), 3.0])
        tensor(1.)
    """
    x = floating(x)
    axes = axes_of(axis, x.ndim)
    valid = ~torch.isnan(x)
    if not axes:
        return x - x
    distance = torch.where(valid, x - torch.nanmean(x, dim=axes, keepdim=True), 0.0)
    return distance.square().sum(dim=axes, keepdim=keepdims) / valid.sum(dim=axes, keepdim=keepdims)


@op
def nanstd(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The standard deviation along `axis` of what is not NaN.

    Example:
        >>> nanstd([1.0, float("nan"), 3.0])
        tensor(1.)
    """
    return torch.sqrt(nanvar(x, axis, keepdims))


def _extreme(function: Callable[..., Any], x: Any, axis: Any, keepdims: bool, least: float) -> torch.Tensor:
    return _unless_only_nan(function(_filled(x, least), axis, keepdims), x, axis, keepdims, torch.nan)


@op
def nanmax(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The largest along `axis` of what is not NaN; NaN where all are.

    Example:
        >>> nanmax([1.0, float("nan"), 3.0])
        tensor(3.)
    """
    return _extreme(amax, x, axis, keepdims, -torch.inf)


@op
def nanmin(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The smallest along `axis` of what is not NaN; NaN where all are.

    Example:
        >>> nanmin([1.0, float("nan"), 3.0])
        tensor(1.)
    """
    return _extreme(amin, x, axis, keepdims, torch.inf)


@op
def nanargmax(x: Any, axis: int | None = None, keepdims: bool = False) -> torch.Tensor:
    """The index of the largest along `axis` that is not NaN; -1 where all are.

    Example:
        >>> nanargmax([1.0, float("nan"), 3.0])
        tensor(2, dtype=torch.int32)
    """
    return _unless_only_nan(argmax(_filled(x, -torch.inf), axis, keepdims), x, axis, keepdims, -1)


@op
def nanargmin(x: Any, axis: int | None = None, keepdims: bool = False) -> torch.Tensor:
    """The index of the smallest along `axis` that is not NaN; -1 where all are.

    Example:
        >>> nanargmin([1.0, float("nan"), 3.0])
        tensor(0, dtype=torch.int32)
    """
    return _unless_only_nan(argmin(_filled(x, torch.inf), axis, keepdims), x, axis, keepdims, -1)


@op
def nanquantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> torch.Tensor:
    """`quantile` of what is not NaN.

    Example:
        >>> nanquantile([1.0, float("nan"), 3.0], 0.5)
        tensor(2.)
    """
    return quantiles(tensor(x), q, axis, method, keepdims, torch.nanquantile)


@op
def nanpercentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> torch.Tensor:
    """`percentile` of what is not NaN.

    Example:
        >>> nanpercentile([1.0, float("nan"), 3.0], 50)
        tensor(2.)
    """
    return nanquantile(x, tensor(q).to(floatx()) / 100.0, axis, method, keepdims)


@op
def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The middle number along `axis` of what is not NaN.

    Example:
        >>> nanmedian([1.0, float("nan"), 3.0])
        tensor(2.)
    """
    return nanquantile(x, 0.5, axis, keepdims=keepdims)
