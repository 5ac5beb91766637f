"""torch's fused attention kernel, with the library of matrices that is quick for its small blocks."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.kernels import choose_matmul, chosen_matmul

_SMALL = 2**22
"""Multiplications; with fewer, the kernel is done before the library matters."""


def fused_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: Any) -> torch.Tensor:
    """`torch.nn.functional.scaled_dot_product_attention`, which takes the options.

    On the CPU the kernel multiplies small blocks, for which the library that is quicker for large matrices (see
    `lamella.engine.kernels`) takes up to four times as long: it is left for the time of the kernel and of its gradient.

    Args:
        query: (..., queries, size).
        key: (..., keys, size).
        value: (..., keys, value size).
        **options: As for torch's function.
    """
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
