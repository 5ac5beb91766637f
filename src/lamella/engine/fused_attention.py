"""torch's fused attention kernel, with the library that is quick for its small blocks, or what is quicker than it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine import blocked_attention
from lamella.engine.kernels import choose_matmul, chosen_matmul

_SMALL = 2**22
"""Multiplications; with fewer, the kernel is done before the library matters."""


def fused_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: Any) -> torch.Tensor:
    """`torch.nn.functional.scaled_dot_product_attention`, which takes the options.

    Training on sequences of middle length goes by `lamella.engine.blocked_attention` on the CPU. Else the kernel
    multiplies small blocks there, for which the library that is quicker for large matrices (see
    `lamella.engine.kernels`) takes up to four times as long: it is left for the time of the kernel and of its gradient.

    Args:
        query: (..., queries, size).
        key: (..., keys, size).
        value: (..., keys, value size).
        **options: As for torch's function.
    """
    if torch.compiler.is_compiling():  # it has kernels of its own, and could not follow the choice of a library
        return F.scaled_dot_product_attention(query, key, value, **options)
    own = options.get("attn_mask") is None and not options.get("dropout_p") and not options.get("enable_gqa")
    causal = bool(options.get("is_causal"))
    if own and blocked_attention.pays(query, key, value, causal):
        return blocked_attention.attention(query, key, value, causal, options.get("scale"))
    chosen = chosen_matmul() if query.device.type == "cpu" else "none"
    if chosen == "none" or query.numel() * key.shape[-2] < _SMALL:
        return F.scaled_dot_product_attention(query, key, value, **options)
    query, key, value = _Leaves.apply(chosen, query, key, value)
    choose_matmul("none")
    try:
        attended = F.scaled_dot_product_attention(query, key, value, **options)
    finally:
        choose_matmul(chosen)
    return _Enters.apply(attended)


class _Enters(torch.autograd.Function):
    """Nothing, but that its gradient, the first of the fused kernel, chooses the default library of matrices."""

    @staticmethod
    def forward(ctx: Any, attended: torch.Tensor) -> torch.Tensor:
        return attended.view_as(attended)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        choose_matmul("none")
        return gradient


class _Leaves(torch.autograd.Function):
    """Nothing, but that its gradient, the last of the fused kernel, goes back to the library that was chosen."""

    @staticmethod
    def forward(ctx: Any, chosen: str, *parts: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.chosen = chosen
        return tuple(part.view_as(part) for part in parts)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        choose_matmul(ctx.chosen)
        return None, *gradients
