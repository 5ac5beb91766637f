"""Numbers rounded to floats of 8 bits, with a scale that follows the largest of the last steps.

Source: Micikevicius et al., 2022, "FP8 Formats for Deep Learning".
"""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine.dtypes import torch_dtype


def compute_float8_scale(amax: Any, scale: Any, dtype_max: Any, margin: int = 0) -> torch.Tensor:
    """The scale that brings `amax` to the largest number of a type: amax / dtype_max * 2^margin.

    Args:
        amax: The largest number seen.
        scale: What stays where `amax` is zero or not finite.
        dtype_max: The largest number of the type, 448 for float8_e4m3fn.
        margin: How many powers of two stay free.

    Example:
        >>> compute_float8_scale(torch.tensor(896.0), torch.tensor(1.0), 448.0)
        tensor(2.)
    """
    amax, scale = torch.as_tensor(amax), torch.as_tensor(scale)
    inverse = torch.as_tensor(dtype_max) / amax / 2**margin
    before = scale.reciprocal()
    return torch.where((amax > 0) & amax.isfinite(), inverse, before).reciprocal()


def compute_float8_amax_history(x: Any, amax_history: Any) -> torch.Tensor:
    """The history moved on by one, with the largest |x| in its first place.

    Example:
        >>> compute_float8_amax_history(torch.tensor([-5.0, 2.0]), torch.tensor([3.0, 1.0, 4.0]))
        tensor([5., 4., 3.])
    """
    history = torch.as_tensor(amax_history).roll(-1)
    history[0] = torch.as_tensor(x).abs().amax().to(history.dtype)
    return history


def quantize_and_dequantize(inputs: Any, scale: Any, quantized_dtype: Any, compute_dtype: Any) -> torch.Tensor:
    """The inputs, rounded as the quantized type rounds them when they are divided by `scale`.

    Args:
        inputs: Floating-point numbers.
        scale: What they are divided by.
        quantized_dtype: `"float8_e4m3fn"` or `"float8_e5m2"`.
        compute_dtype: The type of the result.

    Example:
        >>> quantize_and_dequantize(torch.tensor([1.0, 1.06, 1000.0]), 1.0, "float8_e4m3fn", "float32")
        tensor([  1.,   1., 448.])
    """
    kind = torch_dtype(compute_dtype)
    short = quantized_dtype if isinstance(quantized_dtype, torch.dtype) else getattr(torch, str(quantized_dtype))
    most = torch.finfo(short).max
    scale = torch.as_tensor(scale).to(kind)
    rounded = (torch.as_tensor(inputs) / scale).clamp(-most, most).to(short)
    return rounded.to(kind) * scale


__all__ = ["compute_float8_amax_history", "compute_float8_scale", "quantize_and_dequantize"]
