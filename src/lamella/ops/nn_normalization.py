"""Normalisations: to mean 0 and variance 1, to root mean square 1, to norm 1."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import ArgumentError
from lamella.ops.base import axes_of, floating, op, result_dtype, tensor

_EPSILON = 1e-7


@op
def moments(x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean and the variance along `axes`.

    Args:
        x: Numbers; float16 is computed in float32.
        axes: One axis or several.
        keepdims: Whether the axes stay, with size 1.
        synchronized: Only False: to share statistics between processes use `torch.nn.SyncBatchNorm`.

    Raises:
        ArgumentError: `synchronized=True`.

    Example:
        >>> moments([1.0, 3.0], 0)
        (tensor(2.), tensor(1.))
    """
    if synchronized:
        raise ArgumentError("moments: synchronized=True is not supported; use torch.nn.SyncBatchNorm.")
    x = tensor(x)
    compute = x.float() if x.dtype is torch.float16 else x
    variance, mean = torch.var_mean(compute, dim=axes_of(axes, x.ndim), keepdim=keepdims, correction=0)
    if x.dtype is torch.float16:
        limit = torch.finfo(x.dtype).max
        return mean.clamp(-limit, limit).to(x.dtype), variance.clamp(-limit, limit).to(x.dtype)
    return mean, variance


@op
def batch_normalization(
    x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None, epsilon: float = 1e-3
) -> torch.Tensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, with vectors along `axis` (Ioffe and Szegedy, 2015).

    Example:
        >>> batch_normalization([[1.0], [3.0]], [2.0], [1.0], axis=-1, epsilon=0.0)
        tensor([[-1.],
                [ 1.]])
    """
    x = tensor(x)
    shape = [1] * x.ndim
    shape[axis] = -1
    mean, variance = tensor(mean).reshape(shape), tensor(variance).reshape(shape)
    factor = torch.rsqrt(variance + epsilon)
    factor = factor if scale is None else factor * tensor(scale).reshape(shape)
    found = (x - mean) * factor
    return found if offset is None else found + tensor(offset).reshape(shape)


def _last_axes(axes: tuple[int, ...], ndim: int) -> bool:
    return sorted(axes) == list(range(ndim - len(axes), ndim))


@op
def layer_normalization(
    x: Any, gamma: Any = None, beta: Any = None, axis: Any = -1, epsilon: float | None = None, **kwargs: Any
) -> torch.Tensor:
    """x to mean 0 and variance 1 along `axis`, times `gamma`, plus `beta` (Ba et al., 2016).

    Args:
        x: Numbers.
        gamma: The scale, of the shape of the normalised axes.
        beta: The offset, of the same shape.
        axis: One axis or several.
        epsilon: Added to the variance; 1e-7 by default.
        **kwargs: `rms_scaling=True` divides by the standard deviation and takes no mean off (deprecated in Keras).

    Example:
        >>> layer_normalization([[1.0, 3.0]])
        tensor([[-1.,  1.]])
    """
    scaling = kwargs.pop("rms_scaling", False)
    if kwargs:
        raise ArgumentError(f"layer_normalization has no argument {', '.join(map(repr, kwargs))}.")
    if scaling:
        warnings.warn("rms_scaling=True scales by the deviation, not by the root mean square: use rms_normalization.")
    x = tensor(x)
    epsilon = _EPSILON if epsilon is None else epsilon
    kind, axes = x.dtype, axes_of(axis, x.ndim)
    compute = x.to(result_dtype(x, torch.float32))
    shape = [x.shape[i] if i in axes else 1 for i in range(x.ndim)]
    gamma, beta = (None if each is None else tensor(each).to(compute.dtype) for each in (gamma, beta))
    if not scaling and _last_axes(axes, x.ndim):
        inner = [x.shape[i] for i in sorted(axes)]
        gamma, beta = (None if each is None else each.reshape(inner) for each in (gamma, beta))
        return F.layer_norm(compute, inner, gamma, beta, epsilon).to(kind)
    gamma, beta = (None if each is None else each.reshape(shape) for each in (gamma, beta))
    variance, mean = torch.var_mean(compute, dim=axes, keepdim=True, correction=0)
    found = (compute if scaling else compute - mean) * torch.rsqrt(variance + epsilon)
    found = found if gamma is None else found * gamma
    return (found if beta is None or scaling else found + beta).to(kind)


@op
def rms_normalization(x: Any, scale: Any = None, axis: Any = -1, epsilon: float | None = None) -> torch.Tensor:
    """x / sqrt(mean(x^2) + epsilon) along `axis`, times `scale` (Zhang and Sennrich, 2019).

    Example:
        >>> rms_normalization([[3.0, 3.0]])
        tensor([[1., 1.]])
    """
    x = tensor(x)
    x = x.reshape(1) if x.ndim == 0 else x
    epsilon = _EPSILON if epsilon is None else epsilon
    axes = axes_of(axis, x.ndim)
    compute = x.to(result_dtype(x, torch.float32))
    scale = None if scale is None else tensor(scale).to(compute.dtype)
    if _last_axes(axes, x.ndim):
        inner = [x.shape[i] for i in sorted(axes)]
        return F.rms_norm(compute, inner, None if scale is None else scale.reshape(inner), epsilon).to(x.dtype)
    found = compute * torch.rsqrt(compute.square().mean(dim=axes, keepdim=True) + epsilon)
    return (found if scale is None else found * scale).to(x.dtype)


@op
def normalize(x: Any, axis: Any = -1, order: int = 2, epsilon: float | None = None) -> torch.Tensor:
    """x divided by its norm along `axis` (and by `epsilon`, 1e-7 by default, where the norm is smaller).

    Args:
        x: Numbers.
        axis: One axis or several.
        order: Of the norm: 1, 2, ...
        epsilon: The least that is divided by.

    Raises:
        ArgumentError: An order that is not a positive whole number.

    Example:
        >>> normalize([3.0, 4.0])
        tensor([0.6000, 0.8000])
    """
    if not isinstance(order, int) or order < 1:
        raise ArgumentError(f"`order` must be a whole number from 1; got {order!r}.")
    x = floating(x)
    x = x.reshape(1) if x.ndim == 0 else x
    epsilon = _EPSILON if epsilon is None else epsilon
    axes = axes_of(axis, x.ndim)
    if order == 2:
        kind = torch.finfo(x.dtype)
        least = max(epsilon * epsilon, kind.tiny * kind.eps)  # of the square: at 0 its root has no gradient
        return x * torch.rsqrt(torch.clamp(x.square().sum(dim=axes, keepdim=True), min=least))
    return x / torch.clamp(torch.linalg.norm(x, ord=order, dim=axes, keepdim=True), min=epsilon)
