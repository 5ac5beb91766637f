"""Activation functions as ops: each of one tensor, without the further options of `lamella.activations`."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import ArgumentError
from lamella.ops.base import alias, axes_of, floating, op, tensor


@op
def relu(x: Any) -> torch.Tensor:
    """max(x, 0).

    Example:
        >>> relu([-2.0, 3.0])
        tensor([0., 3.])
    """
    return F.relu(tensor(x))


@op
def relu6(x: Any) -> torch.Tensor:
    """min(max(x, 0), 6).

    Example:
        >>> relu6([-1.0, 8.0])
        tensor([0., 6.])
    """
    return F.relu6(tensor(x))


@op
def leaky_relu(x: Any, negative_slope: float = 0.2) -> torch.Tensor:
    """x where positive, `negative_slope` * x elsewhere (Maas et al., 2013).

    Example:
        >>> leaky_relu([-1.0, 3.0])
        tensor([-0.2000,  3.0000])
    """
    return F.leaky_relu(tensor(x), negative_slope)


@op
def elu(x: Any, alpha: float = 1.0) -> torch.Tensor:
    """x where positive, alpha * (exp(x) - 1) elsewhere (Clevert et al., 2016).

    Example:
        >>> elu([-1.0, 2.0])
        tensor([-0.6321,  2.0000])
    """
    return F.elu(tensor(x), alpha)


@op
def selu(x: Any) -> torch.Tensor:
    """1.0507 * elu(x, 1.6733) (Klambauer et al., 2017).

    Example:
        >>> selu([1.0])
        tensor([1.0507])
    """
    return F.selu(tensor(x))


@op
def celu(x: Any, alpha: float = 1.0) -> torch.Tensor:
    """max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0) (Barron, 2017).

    Example:
        >>> celu([-1.0, 2.0])
        tensor([-0.6321,  2.0000])
    """
    return F.celu(tensor(x), alpha)


@op
def gelu(x: Any, approximate: bool = True) -> torch.Tensor:
    """x * P(N < x) for a standard normal N, by its tanh approximation or exactly (Hendrycks and Gimpel, 2016).

    Example:
        >>> gelu([1.0], approximate=False)
        tensor([0.8413])
    """
    return F.gelu(tensor(x), approximate="tanh" if approximate else "none")


@op
def silu(x: Any) -> torch.Tensor:
    """x * sigmoid(x) (Ramachandran et al., 2017).

    Example:
        >>> silu([1.0])
        tensor([0.7311])
    """
    return F.silu(tensor(x))


swish = alias("swish", silu)


@op
def hard_silu(x: Any) -> torch.Tensor:
    """x * hard_sigmoid(x) (Howard et al., 2019).

    Example:
        >>> hard_silu([3.0])
        tensor([3.])
    """
    return F.hardswish(tensor(x))


hard_swish = alias("hard_swish", hard_silu)


@op
def sigmoid(x: Any) -> torch.Tensor:
    """1 / (1 + exp(-x)).

    Example:
        >>> sigmoid([0.0])
        tensor([0.5000])
    """
    return torch.sigmoid(floating(x))


@op
def log_sigmoid(x: Any) -> torch.Tensor:
    """log(sigmoid(x)).

    Example:
        >>> log_sigmoid([0.0])
        tensor([-0.6931])
    """
    return F.logsigmoid(tensor(x))


@op
def hard_sigmoid(x: Any) -> torch.Tensor:
    """min(max(x / 6 + 1/2, 0), 1).

    Example:
        >>> hard_sigmoid([-3.0, 0.0])
        tensor([0.0000, 0.5000])
    """
    return F.hardsigmoid(tensor(x))


@op
def sparse_sigmoid(x: Any) -> torch.Tensor:
    """0 below -1, (x + 1) / 2 up to 1, 1 above.

    Example:
        >>> sparse_sigmoid([-2.0, 0.0, 3.0])
        tensor([0.0000, 0.5000, 1.0000])
    """
    return torch.clamp(0.5 * (tensor(x) + 1), 0, 1)


@op
def hard_tanh(x: Any) -> torch.Tensor:
    """min(max(x, -1), 1).

    Example:
        >>> hard_tanh([-3.0, 0.5])
        tensor([-1.0000,  0.5000])
    """
    return F.hardtanh(tensor(x))


@op
def tanh_shrink(x: Any) -> torch.Tensor:
    """x - tanh(x).

    Example:
        >>> tanh_shrink([0.0, 1.0])
        tensor([0.0000, 0.2384])
    """
    return F.tanhshrink(tensor(x))


@op
def soft_shrink(x: Any, threshold: float = 0.5) -> torch.Tensor:
    """x moved towards zero by `threshold`, and zero within it.

    Example:
        >>> soft_shrink([-1.0, 0.2])
        tensor([-0.5000,  0.0000])
    """
    return F.softshrink(tensor(x), threshold)


@op
def hard_shrink(x: Any, threshold: float = 0.5) -> torch.Tensor:
    """x outside [-threshold, threshold], zero within.

    Example:
        >>> hard_shrink([-1.0, 0.2])
        tensor([-1.,  0.])
    """
    return F.hardshrink(tensor(x), threshold)


@op
def threshold(x: Any, threshold: float, default_value: float) -> torch.Tensor:
    """x where it is above `threshold`, `default_value` elsewhere.

    Example:
        >>> threshold([1.0, 3.0], 2.0, 0.0)
        tensor([0., 3.])
    """
    return F.threshold(tensor(x), threshold, default_value)


@op
def softplus(x: Any) -> torch.Tensor:
    """log(1 + exp(x)).

    Example:
        >>> softplus([0.0])
        tensor([0.6931])
    """
    return F.softplus(tensor(x))


@op
def squareplus(x: Any, b: float = 4) -> torch.Tensor:
    """(x + sqrt(x^2 + b)) / 2 (Barron, 2021).

    Example:
        >>> squareplus([0.0])
        tensor([1.])
    """
    x = tensor(x)
    return (x + torch.sqrt(x**2 + b)) / 2


@op
def sparse_plus(x: Any) -> torch.Tensor:
    """0 below -1, (x + 1)^2 / 4 up to 1, x above.

    Example:
        >>> sparse_plus([-2.0, 0.0, 3.0])
        tensor([0.0000, 0.2500, 3.0000])
    """
    x = floating(x)
    return torch.where(x <= -1, 0.0, torch.where(x < 1, (x + 1) ** 2 / 4, x)).to(x.dtype)


@op
def softsign(x: Any) -> torch.Tensor:
    """x / (1 + |x|).

    Example:
        >>> softsign([1.0, -3.0])
        tensor([ 0.5000, -0.7500])
    """
    return F.softsign(tensor(x))


@op
def glu(x: Any, axis: int = -1) -> torch.Tensor:
    """a * sigmoid(b), where a and b are the halves of x along `axis` (Dauphin et al., 2017).

    Example:
        >>> glu([2.0, 0.0])
        tensor([1.])
    """
    return F.glu(tensor(x), dim=axis)


@op
def softmax(x: Any, axis: Any = -1) -> torch.Tensor:
    """exp(x) / sum(exp(x)) along `axis` (one, several, or None for all).

    Raises:
        ArgumentError: A scalar, which has no axis.

    Example:
        >>> softmax([[0.0, 0.0]])
        tensor([[0.5000, 0.5000]])
    """
    return _along(torch.softmax, tensor(x), axis)


@op
def log_softmax(x: Any, axis: Any = -1) -> torch.Tensor:
    """The logarithm of the softmax, without its rounding.

    Raises:
        ArgumentError: A scalar, which has no axis.

    Example:
        >>> log_softmax([[0.0, 0.0]])
        tensor([[-0.6931, -0.6931]])
    """
    return _along(torch.log_softmax, tensor(x), axis)


def _along(function: Any, x: torch.Tensor, axis: Any) -> torch.Tensor:
    """`function` along one axis, or along several as if they were one."""
    if x.ndim == 0:
        raise ArgumentError("A softmax needs an axis to sum over; got a scalar.")
    if isinstance(axis, int):
        if x.is_meta:  # where torch does not look at it
            axes_of(axis, x.ndim)
        return function(x, dim=axis)
    axes = axes_of(axis, x.ndim)
    order = [*(i for i in range(x.ndim) if i not in axes), *axes]
    turned = x.permute(order)
    found = function(turned.flatten(x.ndim - len(axes)), dim=-1).reshape(turned.shape)
    return found.permute([order.index(i) for i in range(x.ndim)])


@op
def sparsemax(x: Any, axis: int = -1) -> torch.Tensor:
    """The projection of x onto the probability simplex: a softmax with exact zeros (Martins and Astudillo, 2016).

    Where more than one entry is positive, Keras 3 gives another result, which does not sum to one.

    Example:
        >>> sparsemax([[2.0, 1.5, -1.0]])
        tensor([[0.7500, 0.2500, 0.0000]])
    """
    x = floating(x)
    x = x - x.detach().amax(dim=axis, keepdim=True)  # which changes nothing, and keeps the digits of short floats
    ordered = torch.sort(x, dim=axis, descending=True).values
    total = torch.cumsum(ordered, dim=axis)
    rank = torch.cumsum(torch.ones_like(x), dim=axis)
    count = (ordered * rank > total - 1).sum(dim=axis, keepdim=True)
    return torch.clamp(x - (total.gather(axis, count - 1) - 1) / count, min=0.0)
