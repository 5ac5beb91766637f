"""Activation functions: what a unit does with its weighted sum.

Each is a plain function of a torch tensor (a symbolic tensor, an array or a list of numbers works too) and
is known to layers by its name: `Dense(64, activation="relu")`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine import registry as _names
from lamella.engine.registry import Registry
from lamella.errors import ArgumentError

registry = Registry("activation", "keras.activations")


def _tensor(x: Any) -> Any:
    return x if hasattr(x, "__torch_function__") else torch.as_tensor(x)


@registry.register()
def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> torch.Tensor:
    """Rectified linear unit: max(x, 0), or piecewise linear with the further arguments.

    Args:
        x: The input.
        negative_slope: The slope below the threshold.
        max_value: The largest output.
        threshold: Inputs up to it give `negative_slope` * (x - threshold).

    Source: Nair and Hinton, 2010.

    Example:
        >>> relu([-2.0, 3.0])
        tensor([0., 3.])
    """
    x = _tensor(x)
    if threshold == 0.0:
        if max_value is None:
            return F.leaky_relu(x, negative_slope) if negative_slope else F.relu(x)
        if not negative_slope:
            return F.relu6(x) if max_value == 6 else torch.clamp(F.relu(x), max=max_value)
    above = torch.where(x <= threshold, torch.zeros_like(x), x)  # asked this way round, NaN stays NaN
    if max_value is not None:
        above = torch.clamp(above, 0.0, max_value)
    return above - negative_slope * F.relu(threshold - x) if negative_slope else above


@registry.register()
def leaky_relu(x: Any, negative_slope: float = 0.2) -> torch.Tensor:
    """x where positive, `negative_slope` * x elsewhere, so that no unit dies (Maas et al., 2013).

    Example:
        >>> leaky_relu([-1.0, 3.0])
        tensor([-0.2000,  3.0000])
    """
    return F.leaky_relu(_tensor(x), negative_slope)


@registry.register()
def relu6(x: Any) -> torch.Tensor:
    """min(max(x, 0), 6).

    Example:
        >>> relu6([-1.0, 8.0])
        tensor([0., 6.])
    """
    return F.relu6(_tensor(x))


def _remember_logits(probabilities: Any, logits: Any) -> Any:
    # Cross-entropy is exact from the logits and is not from rounded probabilities: it looks for them here.
    if isinstance(probabilities, torch.Tensor):
        probabilities._keras_logits = logits  # type: ignore[attr-defined]
    return probabilities


@registry.register()
def softmax(x: Any, axis: Any = -1) -> torch.Tensor:
    """exp(x) / sum(exp(x)) along `axis`: positive and summing to one.

    Args:
        x: The input.
        axis: An axis, several, or None for all.

    Raises:
        ArgumentError: A scalar, which has no axis.

    Example:
        >>> softmax([[0.0, 0.0]])
        tensor([[0.5000, 0.5000]])
    """
    x = _tensor(x)
    if x.ndim == 0:
        raise ArgumentError("softmax needs an axis to sum over; got a scalar.")
    if axis is None or isinstance(axis, Sequence):
        return torch.exp(log_softmax(x, axis))
    probabilities = torch.softmax(x, dim=axis)
    return _remember_logits(probabilities, x) if axis in (-1, x.ndim - 1) else probabilities


@registry.register()
def log_softmax(x: Any, axis: Any = -1) -> torch.Tensor:
    """The logarithm of the softmax, without its rounding.

    Args:
        x: The input.
        axis: An axis, several, or None for all.

    Example:
        >>> log_softmax([[0.0, 0.0]])
        tensor([[-0.6931, -0.6931]])
    """
    x = _tensor(x)
    if axis is None or isinstance(axis, Sequence):
        axes = tuple(range(x.ndim)) if axis is None else tuple(axis)
        return x - torch.logsumexp(x, dim=axes, keepdim=True)
    return torch.log_softmax(x, dim=axis)


@registry.register()
def elu(x: Any, alpha: float = 1.0) -> torch.Tensor:
    """x where positive, alpha * (exp(x) - 1) elsewhere (Clevert et al., 2016).

    Example:
        >>> elu([-1.0, 2.0])
        tensor([-0.6321,  2.0000])
    """
    return F.elu(_tensor(x), alpha)


@registry.register()
def selu(x: Any) -> torch.Tensor:
    """1.0507 * elu(x, 1.6733): keeps activations at mean 0, variance 1 (Klambauer et al., 2017).

    Example:
        >>> selu([1.0])
        tensor([1.0507])
    """
    return F.selu(_tensor(x))


@registry.register()
def celu(x: Any, alpha: float = 1.0) -> torch.Tensor:
    """max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0) (Barron, 2017).

    Example:
        >>> celu([-1.0, 2.0])
        tensor([-0.6321,  2.0000])
    """
    return F.celu(_tensor(x), alpha)


@registry.register()
def softplus(x: Any) -> torch.Tensor:
    """log(1 + exp(x)), a smooth relu.

    Example:
        >>> softplus([0.0])
        tensor([0.6931])
    """
    return F.softplus(_tensor(x))


@registry.register()
def softsign(x: Any) -> torch.Tensor:
    """x / (1 + |x|).

    Example:
        >>> softsign([1.0, -3.0])
        tensor([ 0.5000, -0.7500])
    """
    return F.softsign(_tensor(x))


@registry.register()
def soft_shrink(x: Any, threshold: float = 0.5) -> torch.Tensor:
    """x moved towards zero by `threshold`, and zero within it.

    Example:
        >>> soft_shrink([-1.0, 0.2, 2.0])
        tensor([-0.5000,  0.0000,  1.5000])
    """
    return F.softshrink(_tensor(x), threshold)


@registry.register()
def hard_shrink(x: Any, threshold: float = 0.5) -> torch.Tensor:
    """x outside [-threshold, threshold], zero within.

    Example:
        >>> hard_shrink([-1.0, 0.2, 2.0])
        tensor([-1.,  0.,  2.])
    """
    return F.hardshrink(_tensor(x), threshold)


@registry.register()
def tanh_shrink(x: Any) -> torch.Tensor:
    """x - tanh(x).

    Example:
        >>> tanh_shrink([0.0, 1.0])
        tensor([0.0000, 0.2384])
    """
    return F.tanhshrink(_tensor(x))


@registry.register()
def squareplus(x: Any, b: float = 4) -> torch.Tensor:
    """(x + sqrt(x^2 + b)) / 2, a smooth relu without exponentials (Barron, 2021).

    Example:
        >>> squareplus([0.0])
        tensor([1.])
    """
    x = _tensor(x)
    return (x + torch.sqrt(x**2 + b)) / 2


@registry.register()
def sparse_plus(x: Any) -> torch.Tensor:
    """0 below -1, (x + 1)^2 / 4 up to 1, x above.

    Example:
        >>> sparse_plus([-2.0, 0.0, 3.0])
        tensor([0.0000, 0.2500, 3.0000])
    """
    x = _tensor(x)
    return torch.where(x <= -1, torch.zeros_like(x), torch.where(x < 1, (x + 1) ** 2 / 4, x))


@registry.register()
def sparsemax(x: Any, axis: int = -1) -> torch.Tensor:
    """The projection of x onto the probability simplex: a softmax with exact zeros (Martins and Astudillo, 2016).

    Where more than one entry is positive, Keras 3 gives another result, which does not sum to one.

    Example:
        >>> sparsemax([[2.0, 1.5, -1.0]])
        tensor([[0.7500, 0.2500, 0.0000]])
    """
    x = _tensor(x)
    ordered = torch.sort(x, dim=axis, descending=True).values
    total = torch.cumsum(ordered, dim=axis)
    rank = torch.cumsum(torch.ones_like(x), dim=axis)
    support = ordered * rank > total - 1
    size = support.sum(dim=axis, keepdim=True)
    threshold = (total.gather(axis, size - 1) - 1) / size
    return torch.clamp(x - threshold, min=0.0)


@registry.register()
def sigmoid(x: Any) -> torch.Tensor:
    """1 / (1 + exp(-x)).

    Its slope is at most 1/4, so gradients vanish in deep stacks of it.

    Example:
        >>> sigmoid([0.0])
        tensor([0.5000])
    """
    return torch.sigmoid(_tensor(x))


@registry.register()
def sparse_sigmoid(x: Any) -> torch.Tensor:
    """0 below -1, (x + 1) / 2 up to 1, 1 above.

    Example:
        >>> sparse_sigmoid([-2.0, 0.0, 3.0])
        tensor([0.0000, 0.5000, 1.0000])
    """
    x = _tensor(x)
    inside = torch.where(x >= 1, torch.ones_like(x), 0.5 * (x + 1))
    return torch.where(x <= -1, torch.zeros_like(x), inside)


@registry.register()
def hard_sigmoid(x: Any) -> torch.Tensor:
    """min(max(x / 6 + 1/2, 0), 1).

    Example:
        >>> hard_sigmoid([-3.0, 0.0, 3.0])
        tensor([0.0000, 0.5000, 1.0000])
    """
    return F.hardsigmoid(_tensor(x))


@registry.register()
def log_sigmoid(x: Any) -> torch.Tensor:
    """log(sigmoid(x)).

    Example:
        >>> log_sigmoid([0.0])
        tensor([-0.6931])
    """
    return F.logsigmoid(_tensor(x))


@registry.register()
def tanh(x: Any) -> torch.Tensor:
    """The hyperbolic tangent.

    Example:
        >>> tanh([0.0, 1.0])
        tensor([0.0000, 0.7616])
    """
    return torch.tanh(_tensor(x))


@registry.register()
def hard_tanh(x: Any) -> torch.Tensor:
    """min(max(x, -1), 1).

    Example:
        >>> hard_tanh([-3.0, 0.5])
        tensor([-1.0000,  0.5000])
    """
    return F.hardtanh(_tensor(x))


@registry.register("swish")
def silu(x: Any) -> torch.Tensor:
    """x * sigmoid(x), also called swish (Ramachandran et al., 2017).

    Example:
        >>> silu([1.0])
        tensor([0.7311])
    """
    return F.silu(_tensor(x))


@registry.register("hard_swish")
def hard_silu(x: Any) -> torch.Tensor:
    """x * hard_sigmoid(x) (Howard et al., 2019).

    Example:
        >>> hard_silu([3.0])
        tensor([3.])
    """
    return F.hardswish(_tensor(x))


@registry.register()
def gelu(x: Any, approximate: bool = False) -> torch.Tensor:
    """x * P(N < x) for a standard normal N (Hendrycks and Gimpel, 2016).

    Args:
        x: The input.
        approximate: Use the tanh approximation, as GPT-2 does.

    Example:
        >>> gelu([1.0])
        tensor([0.8413])
    """
    return F.gelu(_tensor(x), approximate="tanh" if approximate else "none")


@registry.register()
def glu(x: Any, axis: int = -1) -> torch.Tensor:
    """a * sigmoid(b), where a and b are the halves of x along `axis` (Dauphin et al., 2017).

    Example:
        >>> glu([2.0, 0.0])
        tensor([1.])
    """
    return F.glu(_tensor(x), dim=axis)


@registry.register()
def threshold(x: Any, threshold: float, default_value: float) -> torch.Tensor:
    """x where it is above `threshold`, `default_value` elsewhere.

    Example:
        >>> threshold([1.0, 3.0], 2.0, 0.0)
        tensor([0., 3.])
    """
    return F.threshold(_tensor(x), threshold, default_value)


@registry.register()
def exponential(x: Any) -> torch.Tensor:
    """exp(x).

    Example:
        >>> exponential([0.0])
        tensor([1.])
    """
    return torch.exp(_tensor(x))


@registry.register()
def mish(x: Any) -> torch.Tensor:
    """x * tanh(softplus(x)) (Misra, 2019).

    Example:
        >>> mish([1.0])
        tensor([0.8651])
    """
    return F.mish(_tensor(x))


@registry.register()
def linear(x: Any) -> Any:
    """x itself.

    Example:
        >>> linear(3.0)
        3.0
    """
    return x


swish = silu
hard_swish = hard_silu


def get(identifier: Any) -> Any:
    """The activation function for a name, a config or a callable; `linear` for None.

    Raises:
        UnknownNameError: A name that is not known; the message lists the nearest.

    Example:
        >>> get("relu") is relu
        True
    """
    if identifier is None:
        return linear
    found = deserialize(identifier)
    if not callable(found):
        raise ArgumentError(f"An activation must be callable; got {found!r}.")
    return found


def serialize(activation: Any) -> Any:
    """The name of a built-in activation, or the config of another.

    Example:
        >>> serialize(relu)
        'relu'
    """
    return _names.serialize(activation)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The activation that `serialize` described."""
    if isinstance(config, dict) and config.get("class_name") == "function":
        config = config["config"]  # Keras's form of a function: all but its name is the same for every function
    return registry.get(config, custom_objects)


__all__ = [
    "celu",
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
]
