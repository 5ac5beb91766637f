"""Rounding as quantization will round, in floats, so that a model can learn to live with it.

Source: Jacob et al., 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference".
"""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine.symbolic import record, symbolic_leaves


def fake_quant_with_min_max_vars(
    inputs: Any, min_vals: Any, max_vals: Any, num_bits: int = 8, narrow_range: bool = False, axis: int | None = None
) -> Any:
    """The inputs, cut off at a smallest and a largest number and rounded to 2^num_bits steps between them.

    Args:
        inputs: Floating-point numbers.
        min_vals: The smallest number, or one for each channel. It is moved a little so that 0 is a step.
        max_vals: The largest, likewise.
        num_bits: The number of bits.
        narrow_range: Whether the lowest step is left out.
        axis: The axis of the channels; None for one range of all.

    Gradients go through to inputs within the range, and to `min_vals` and `max_vals` from those beyond it.

    Example:
        >>> fake_quant_with_min_max_vars(torch.tensor([-9.0, 0.3, 9.0]), -1.0, 1.0, num_bits=2)
        tensor([-1.3333,  0.0000,  0.6667])
    """
    if symbolic_leaves(inputs):
        rest = {"num_bits": num_bits, "narrow_range": narrow_range, "axis": axis}
        return record(fake_quant_with_min_max_vars, (inputs, min_vals, max_vals), rest)
    x = torch.as_tensor(inputs)
    low, high = (torch.as_tensor(each, device=x.device) for each in (min_vals, max_vals))
    if axis is not None:
        shape = [-1 if place == axis % x.ndim else 1 for place in range(x.ndim)]
        low, high = low.reshape(shape), high.reshape(shape)
    return _Rounded.apply(x, low, high, int(num_bits), narrow_range)


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, low: torch.Tensor, high: torch.Tensor, bits: int, narrow: bool
    ) -> torch.Tensor:
        ctx.shapes = low.shape, high.shape
        kind = torch.promote_types(low.dtype, torch.float32)
        low, high = low.to(kind), high.to(kind)
        first, last = int(narrow), (1 << bits) - 1
        scale, inverse = (high - low) / (last - first), (last - first) / (high - low)
        zero = (first - low / scale).clamp(first, last).round()
        least, most = (first - zero) * scale, (last - zero) * scale
        ctx.save_for_backward(x, least, most)
        place_of_zero = torch.floor(-least * inverse + 0.5)
        steps = torch.floor((x.to(kind).clamp(least, most) - least) * inverse - place_of_zero + 0.5)
        return (steps * scale).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        x, least, most = ctx.saved_tensors
        (gradient,) = upstream
        of_low = (gradient * (x <= least)).sum_to_size(ctx.shapes[0])
        of_high = (gradient * (x >= most)).sum_to_size(ctx.shapes[1])
        return gradient * ((x >= least) & (x <= most)), of_low, of_high, None, None


__all__ = ["fake_quant_with_min_max_vars"]
