"""Attention in some blocks of queries, each a few large products: for training on sequences of middle length.

    softmax(Q K^T scale) V

torch's fused kernel multiplies small tiles, so that it never holds the weights of all pairs, and computes them again
for the gradient. Where they are not much larger than the queries themselves, it is quicker to keep them. With a causal
mask, a block of queries is multiplied with the keys up to its end only: with four blocks, 5/8 of all pairs.

Source: Vaswani et al., 2017; the fused kernel: Dao et al., FlashAttention, 2022.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from lamella.engine.eager import are_plain
from lamella.engine.kernels import products_are_accurate

_MANY, _MANY_CAUSAL = 2, 8
"""Keys for each number of a query; with more, to keep the weights is not quicker, or they would be too large."""

_WORK = 2**24
"""Multiplications of queries with keys; with fewer, the fused kernel is done before so many calls are made."""

_ROWS, _BLOCKS = 64, 4
"""Queries of a block at least, and blocks at most."""


def pays(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool) -> bool:
    """Whether a training step is quicker when it takes `attention`; a rule of shapes, so that runs can be repeated."""
    parts = (query, key, value)
    wanted = torch.is_grad_enabled() and any(part.requires_grad for part in parts)
    if not wanted or any(part.ndim != 4 for part in parts) or not are_plain(*parts) or not products_are_accurate():
        return False
    if query.shape[:2] != key.shape[:2] or key.shape[:3] != value.shape[:3] or query.shape[3] != key.shape[3]:
        return False
    if causal and query.shape[2] != key.shape[2]:
        return False
    most = (_MANY_CAUSAL if causal else _MANY) * query.shape[3]
    return key.shape[2] <= most and query.numel() * key.shape[2] >= _WORK


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool, scale: float | None
) -> torch.Tensor:
    """`torch.nn.functional.scaled_dot_product_attention` without a mask of one's own and without dropout.

    Args:
        query: (batch, heads, queries, size).
        key: (batch, heads, keys, size).
        value: (batch, heads, keys, value size).
        causal: Whether a query sees only the keys up to its own place.
        scale: What products are multiplied with, 1 / sqrt(size) by default.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    result: torch.Tensor = _Attention.apply(query, key, value, causal, scale)
    return result


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool, scale: float
    ) -> torch.Tensor:
        batch, heads, rows, _ = query.shape
        q, k, v = _heads(query), _heads(key), _heads(value)
        q = q * scale
        # As the layer wants it next: (batch, queries, heads, size) in memory.
        found = query.new_empty(batch, rows, heads, value.shape[-1]).transpose(1, 2)
        kept = []
        for start, stop, seen in _blocks(rows, k.shape[1], causal):
            scores = torch.bmm(q[:, start:stop], k[:, :seen].transpose(1, 2))
            if causal:
                scores[:, :, start:] += _not_after(stop - start, scores)
            weights = torch.softmax(scores, -1)
            found[:, :, start:stop] = torch.bmm(weights, v[:, :seen]).view(batch, heads, stop - start, -1)
            kept.append(weights)
        ctx.save_for_backward(q, k, v, *kept)
        ctx.causal, ctx.scale, ctx.axes = causal, scale, (batch, heads)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        q, k, v, *kept = ctx.saved_tensors
        d_out = _heads(gradient)
        dq = torch.empty_like(q)
        totals: list[torch.Tensor] = []
        blocks = _blocks(q.shape[1], k.shape[1], ctx.causal)
        for (start, stop, seen), weights in reversed(list(zip(blocks, kept, strict=True))):
            own = d_out[:, start:stop]
            d_weights = torch.bmm(own, v[:, :seen].transpose(1, 2))
            d_scores = torch.ops.aten._softmax_backward_data(d_weights, weights, -1, weights.dtype)
            dq[:, start:stop] = torch.bmm(d_scores, k[:, :seen])
            of_keys = torch.bmm(d_scores.transpose(1, 2), q[:, start:stop])
            of_values = torch.bmm(weights.transpose(1, 2), own)
            if not totals:  # the last block, which sees all keys
                totals = [of_keys, of_values]
            else:
                totals[0][:, :seen] += of_keys
                totals[1][:, :seen] += of_values
        found = (gradient.view(*ctx.axes, *gradient.shape[1:]) for gradient in (dq.mul_(ctx.scale), *totals))
        return (*found, None, None)


def _blocks(rows: int, keys: int, causal: bool) -> list[tuple[int, int, int]]:
    """For each block its first query, the one after its last, and how many keys it sees."""
    if not causal:
        return [(0, rows, keys)]
    size = max(_ROWS, -(-rows // _BLOCKS))
    return [(start, min(start + size, rows), min(start + size, rows)) for start in range(0, rows, size)]


def _not_after(rows: int, scores: torch.Tensor) -> torch.Tensor:
    """-inf where a key comes after the query, else 0."""
    return scores.new_full((rows, rows), -torch.inf).triu_(1)


def _heads(part: torch.Tensor) -> torch.Tensor:
    """(batch, heads, n, size) as (batch * heads, n, size)."""
    return part.reshape(-1, *part.shape[2:])
