"""`Reading`: what goes on in the layers at one moment, seen on a few samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from lamella import layers

NAN = math.nan
_STEEP = 0.05
"""A unit is saturated where its slope is below this share of the greatest."""


@dataclass(frozen=True)
class LayerReading:
    """One layer, at one moment. NaN stands for what a layer does not have.

    Attributes:
        layer: Its name.
        gradient: The root mean square of the loss's gradient by its kernels.
        weight: The root mean square of its kernels.
        inputs: That of its inputs.
        activation: That of its outputs.
        dead: The share of its ReLU units that give 0 for every sample.
        saturated: The share of its sigmoid's or tanh's outputs on the flat parts of the curve.
        entropy: How evenly attention spreads: 0 all on one place, 1 even.
        recurrent: Whether it is a recurrent layer.
        last: Whether its output is the model's.
    """

    layer: str
    gradient: float
    weight: float
    inputs: float
    activation: float
    dead: float
    saturated: float
    entropy: float
    recurrent: bool
    last: bool


@dataclass(frozen=True)
class Reading:
    """All layers that were watched, in the order in which the data pass them.

    Attributes:
        epoch: After how many epochs.
        loss: The loss on the samples looked at.
        layers: The layers.
    """

    epoch: int
    loss: float
    layers: tuple[LayerReading, ...]


class Watched:
    """A layer that is watched: its kernels, and what a hook has seen of it."""

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name = name
        self.module = module
        self.activation = activation_of(module)
        self.recurrent = isinstance(module, layers.RNN)
        self.attention = isinstance(module, layers.MultiHeadAttention)
        self.kernels = [weight for weight in module.parameters() if weight.ndim > 1 and weight.requires_grad]
        self.seen: list[torch.Tensor] = []
        self.input: torch.Tensor | None = None
        self.called: tuple[Any, Any] | None = None
        self.output: Any = None

    def hook(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """Keeps the figures of one call."""
        out = _first_tensor(output)
        if out is None or out.numel() == 0:
            return
        self.output = out
        nan = out.new_full((), NAN, dtype=torch.float32)
        with torch.no_grad():
            given = _first_tensor(args if args else kwargs)
            float_input = given is not None and given.is_floating_point()
            self.input = given if float_input else None
            self.called = (args, kwargs) if self.attention else None
            out = out.detach().float()
            self.seen = [
                _mean_square(given) if float_input and given is not None else nan,
                _mean_square(out),
                _dead(out, self.module) if self.activation == "relu" else nan,
                _saturated(out, self.activation) if self.activation in ("sigmoid", "tanh") else nan,
            ]


def watched_layers(model: nn.Module) -> list[Watched]:
    """The layers whose weights or activations can fall ill: dense, convolutional, recurrent, attention, activations."""
    found = []
    for path, module in model.named_modules():
        own = [weight for weight in module._parameters.values() if weight is not None and weight.ndim > 1]
        plain = isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)) or hasattr(module, "activation")
        whole = isinstance(module, (layers.RNN, layers.MultiHeadAttention))
        if whole or (own and plain) or activation_of(module):
            found.append(Watched(getattr(module, "name", path), module))
    return found


def activation_of(module: nn.Module) -> str:
    """`"relu"`, `"softmax"`, ...: what the layer applies last; empty if nothing, or nothing known."""
    if isinstance(module, (layers.RNN, layers.Bidirectional)):
        return ""
    plain = {"ReLU": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softmax": "softmax"}
    kind = type(module).__name__
    if kind in plain and not getattr(module, "negative_slope", 0.0):
        return plain[kind]
    name = getattr(getattr(module, "activation", None), "__name__", "")
    return "" if name == "linear" else name


def read(
    watched: list[Watched], gradients: dict[int, torch.Tensor | None], prediction: Any, epoch: int, loss: torch.Tensor
) -> Reading:
    """What the hooks saw, with the gradients of the weights by their ids, as numbers (one wait for the device)."""
    called = [each for each in watched if each.seen]
    nan = loss.detach().new_full((), NAN, dtype=torch.float32)
    rows = []
    for each in called:
        grads = [gradients.get(id(kernel)) for kernel in each.kernels]
        known = [grad for grad in grads if grad is not None]
        kernels = [kernel.detach() for kernel in each.kernels]
        rows += [_joint_square(known, nan), _joint_square(kernels, nan), *each.seen, _entropy(each, nan)]
    numbers = torch.stack([loss.detach().float(), *rows]).tolist()
    outputs = {id(leaf) for leaf in pytree.tree_leaves(prediction)}
    found = []
    for i, each in enumerate(called):
        grad, weight, given, out, dead, saturated, entropy = numbers[1 + 7 * i : 8 + 7 * i]
        grad, weight, given, out = map(math.sqrt, (grad, weight, given, out))
        last = id(each.output) in outputs
        found.append(LayerReading(each.name, grad, weight, given, out, dead, saturated, entropy, each.recurrent, last))
    return Reading(epoch, numbers[0], tuple(found))


def forget(watched: list[Watched]) -> None:
    """Lets go of the tensors of the last call."""
    for each in watched:
        each.seen, each.input, each.called, each.output = [], None, None, None


def _dead(out: torch.Tensor, module: nn.Module) -> torch.Tensor:
    axis = 1 if getattr(module, "data_format", None) == "channels_first" else out.ndim - 1
    others = [d for d in range(out.ndim) if d != axis]
    return (out.amax(dim=others) <= 0).float().mean()


def _saturated(out: torch.Tensor, activation: str) -> torch.Tensor:
    slope = 4 * out * (1 - out) if activation == "sigmoid" else 1 - out * out
    return (slope < _STEEP).float().mean()


def _entropy(each: Watched, nan: torch.Tensor) -> torch.Tensor:
    """Attention's weights are not kept by the fused kernel: they are computed anew, for a few samples."""
    if each.called is None:
        return nan
    args, kwargs = pytree.tree_map_only(torch.Tensor, lambda tensor: tensor[:8], each.called)
    weights = _attention(each.module, args, kwargs)
    if weights.shape[-1] < 4:
        return nan
    spread = -(weights * weights.clamp(min=1e-12).log()).sum(-1)
    # What is masked has exactly 0; so may have what the sharpest look leaves out, but not for queries of zeros.
    nothing = torch.zeros_like(args[0] if args else kwargs["query"])
    args, kwargs = ((nothing, *args[1:]), kwargs) if args else (args, {**kwargs, "query": nothing})
    even = _attention(each.module, args, kwargs)
    allowed = (even > 0).sum(-1).clamp(min=2)
    return (spread / allowed.log())[allowed > 2].mean()


def _attention(module: nn.Module, args: Any, kwargs: Any) -> torch.Tensor:
    with torch.no_grad():
        return module(*args, **{**kwargs, "return_attention_scores": True})[1].float()


def _first_tensor(structure: Any) -> torch.Tensor | None:
    return next((leaf for leaf in pytree.tree_leaves(structure) if isinstance(leaf, torch.Tensor)), None)


def _mean_square(tensor: torch.Tensor) -> torch.Tensor:
    flat = tensor.detach().reshape(-1).float()
    return flat.dot(flat) / flat.numel()


def _joint_square(tensors: list[torch.Tensor], nan: torch.Tensor) -> torch.Tensor:
    if not tensors:
        return nan
    count = sum(tensor.numel() for tensor in tensors)
    return torch.stack([_mean_square(tensor) * tensor.numel() for tensor in tensors]).sum() / count
