"""Dot-product attention by torch's fused kernels."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.fused_attention import fused_attention
from lamella.errors import ArgumentError, ShapeError
from lamella.ops.base import op, result_dtype, tensor


@op
def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> torch.Tensor:
    """softmax(scale * query key^T + bias) value, for each head (Vaswani et al., 2017).

    Args:
        query: (batch, targets, heads, size).
        key: (batch, sources, key heads, size); fewer heads than the query's are shared by groups of them.
        value: Of the key's shape.
        bias: Added to the logits, (batch, heads, targets, sources) or what broadcasts to it.
        mask: True where a target may look at a source; of the bias's shape. Only one of both may be given.
        scale: 1 / sqrt(size) by default.
        is_causal: Whether a target may look only at sources up to its own place.
        flash_attention: True demands the flash kernel, False forbids it; None lets torch choose.
        attn_logits_soft_cap: Only None.

    Returns:
        (batch, targets, heads, size).

    Raises:
        ShapeError: Ranks other than 4.
        ArgumentError: Both a bias and a mask, or a soft cap.

    Example:
        >>> x = torch.ones(1, 3, 2, 4)
        >>> dot_product_attention(x, x, x).shape
        torch.Size([1, 3, 2, 4])
    """
    if attn_logits_soft_cap is not None:
        raise ArgumentError("attn_logits_soft_cap must be None: Keras has it on JAX and TPU only.")
    query, key, value = tensor(query), tensor(key), tensor(value)
    if query.ndim != 4 or key.ndim != 4 or value.ndim != 4:
        raise ShapeError(
            f"dot_product_attention takes (batch, length, heads, size); got shapes {tuple(query.shape)}, "
            f"{tuple(key.shape)} and {tuple(value.shape)}."
        )
    if bias is not None and mask is not None:
        raise ArgumentError("Only one of `bias` and `mask` may be given: add what forbids to the bias.")
    kind = result_dtype(query, key, value)
    query, key, value = (each.to(kind).transpose(1, 2) for each in (query, key, value))
    if query.shape[1] > key.shape[1]:
        key, value = (each.repeat_interleave(query.shape[1] // key.shape[1], dim=1) for each in (key, value))
    added = None if bias is None else tensor(bias).to(kind)
    if mask is not None:  # finite, so that a row in which all is forbidden is uniform and not NaN
        low = -65500.0 if kind is torch.float16 else -3.38953e38
        allowed = tensor(mask).to(torch.bool)
        allowed = allowed & _causal(query, key) if is_causal else allowed
        added = torch.where(allowed, 0.0, torch.tensor(low * 0.7, dtype=kind)).to(kind)
    elif added is not None and is_causal:
        added = torch.where(_causal(query, key), added, -torch.inf)
    causal = is_causal and added is None
    if flash_attention is None:
        found = fused_attention(query, key, value, attn_mask=added, is_causal=causal, scale=scale)
    else:
        found = _by_kernel(flash_attention, query, key, value, added, causal, scale)
    return found.transpose(1, 2)


def _causal(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    return torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device).tril()


def _by_kernel(flash: bool, query: Any, key: Any, value: Any, added: Any, causal: bool, scale: Any) -> torch.Tensor:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    others = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.MATH]
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION] if flash else others):
        return F.scaled_dot_product_attention(query, key, value, added, 0.0, causal, scale=scale)
