"""Training with factors rounded to floats of 8 bits: e4m3 for inputs and weights, e5m2 for gradients.

What is rounded is divided by a scale first, which follows the largest numbers of the last steps.

Source: Micikevicius et al., 2022, "FP8 Formats for Deep Learning".
"""

from __future__ import annotations

from typing import Any

import torch

from lamella.quantizers import compute_float8_amax_history, compute_float8_scale, quantize_and_dequantize

_WHAT = ("inputs", "kernel", "outputs_grad")


def add_float8(layer: Any) -> None:
    """Gives a layer the scales, and the largest numbers of the last steps."""
    length = getattr(layer.dtype_policy, "amax_history_length", 1024)
    for what in _WHAT:
        scale = {"initializer": "ones", "dtype": "float32", "trainable": False}
        layer.add_weight((), name=f"{what}_scale", **scale)
        layer.add_weight((length,), name=f"{what}_amax_history", **scale | {"initializer": "zeros"})
    device = layer._kept_weight().device
    for what in _WHAT:
        for part in ("scale", "amax_history"):
            buffer = layer._buffers[f"{what}_{part}"]
            buffer.data = buffer.data.to(device)


def rounded_inputs(layer: Any, x: torch.Tensor, what: str) -> torch.Tensor:
    """`x` as e4m3 rounds it. In training the scale follows; the gradient goes through."""
    scale, history = _state(layer, what)
    outputs: torch.Tensor = _Inputs.apply(x, scale, layer._float)
    if layer.training and torch.is_grad_enabled():
        _follow(scale, history, x, torch.float8_e4m3fn)
    return outputs


def rounded_gradient(layer: Any, outputs: torch.Tensor) -> torch.Tensor:
    """The outputs as they are; their gradient as e5m2 rounds it, whose scale follows."""
    found: torch.Tensor = _Gradient.apply(outputs, *_state(layer, "outputs_grad"), layer._float)
    return found


def rounded_bias(layer: Any, bias: torch.Tensor) -> torch.Tensor:
    """In float32 the bias too is one of bfloat16, as the kernels that add it want it."""
    return bias.to(torch.bfloat16).to(bias.dtype) if layer._float is torch.float32 else bias


def _state(layer: Any, what: str) -> tuple[torch.Tensor, torch.Tensor]:
    return layer._buffers[f"{what}_scale"], layer._buffers[f"{what}_amax_history"]


def _follow(scale: torch.Tensor, history: torch.Tensor, x: torch.Tensor, kind: torch.dtype) -> None:
    with torch.no_grad():
        scale.copy_(compute_float8_scale(history.amax(), scale, torch.finfo(kind).max))
        history.copy_(compute_float8_amax_history(x, history))


class _Inputs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
        return quantize_and_dequantize(x, scale, torch.float8_e4m3fn, kind)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        return upstream[0], None, None


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, scale: torch.Tensor, history: torch.Tensor, kind: torch.dtype
    ) -> torch.Tensor:
        ctx.state = scale, history, kind
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        scale, history, kind = ctx.state
        gradient = quantize_and_dequantize(upstream[0], scale, torch.float8_e5m2, kind)
        _follow(scale, history, upstream[0], torch.float8_e5m2)
        return gradient, None, None, None
