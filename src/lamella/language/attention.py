"""Attention as language models use it: one product for queries, keys and values, and torch's fused kernel."""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine.fused_attention import fused_attention
from lamella.errors import ArgumentError, ShapeError
from lamella.layers import Dense, Layer
from lamella.saving import register_keras_serializable


class KeyValueCache:
    """The keys and values of the tokens that a decoder block has seen, so that the next token costs one token.

    A block's self-attention appends to it; its cross-attention, if it has one, keeps the keys and values of the memory
    in it. The room is made once, at the first token.

    Args:
        capacity: The most positions that it will hold.

    Example:
        >>> import torch
        >>> attention, x = SelfAttention(num_heads=2, causal=True), torch.randn(1, 3, 8)
        >>> whole, cache = attention(x), KeyValueCache(capacity=3)
        >>> parts = [attention(x[:, i : i + 1], cache=cache) for i in range(3)]
        >>> torch.allclose(torch.cat(parts, 1), whole, atol=1e-6), cache.length
        (True, 3)
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self.memory: tuple[torch.Tensor, torch.Tensor] | None = None
        self._held: tuple[torch.Tensor, torch.Tensor] | None = None

    def append(self, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keeps new keys and values, (batch, heads, t, size) each, and returns all so far.

        Raises:
            ShapeError: More positions than the capacity.
        """
        end = self.length + keys.shape[2]
        if end > self.capacity:
            raise ShapeError(f"KeyValueCache: {end} positions are more than its capacity of {self.capacity}.")
        if self._held is None:
            shape = (*keys.shape[:2], self.capacity, keys.shape[3])
            self._held = keys.new_empty(shape), values.new_empty(shape)
        for held, new in zip(self._held, (keys, values), strict=True):
            held[:, :, self.length : end] = new
        self.length = end
        return self._held[0][:, :, :end], self._held[1][:, :, :end]

    def reorder(self, indices: torch.Tensor) -> None:
        """Row i goes on from what row `indices[i]` was; there may be more or fewer indices than rows."""
        if self.memory is not None:
            self.memory = self.memory[0][indices], self.memory[1][indices]
        if self._held is not None:
            self._held = self._reordered(self._held[0], indices), self._reordered(self._held[1], indices)

    def _reordered(self, held: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        chosen = held[:, :, : self.length][indices]
        if len(indices) != len(held):
            held = held.new_empty(len(indices), *held.shape[1:])
        held[:, :, : self.length] = chosen
        return held


@register_keras_serializable(package="lamella")
class SelfAttention(Layer):
    """Multi-head attention of a sequence to itself (Vaswani et al., 2017).

    Args:
        num_heads: The number of heads; it divides the width of the input.
        causal: Whether a position sees only itself and what came before.
        dropout: The share of attention weights that is dropped while training. On the CPU it costs the fused kernel.
        kernel_initializer: Where the kernels start.
        merge_initializer: Where the kernel of `merge` starts; as the others by default.
        **kwargs: As for every layer.

    Called as `layer(inputs, mask=None, cache=None)`:

    - `inputs`: (batch, length, width). The output has the same shape.
    - `mask`: (batch, keys), True where a token is real: what is padding is not looked at. With a cache, the keys are
      those in it and then the new ones.
    - `cache`: a `KeyValueCache` of what came before `inputs`; it is appended to.

    Sublayers: `query_key_value` (width -> 3 width) and `merge` (width -> width).

    Raises:
        ArgumentError: The heads do not divide the width.

    Example:
        >>> import torch
        >>> SelfAttention(num_heads=4, causal=True)(torch.ones(2, 5, 16)).shape
        torch.Size([2, 5, 16])
    """

    def __init__(
        self,
        num_heads: int,
        causal: bool = False,
        dropout: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        merge_initializer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.causal = causal
        self.dropout = dropout
        self.kernel_initializer = kernel_initializer
        self.merge_initializer = merge_initializer
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        width = _width(self, input_shape)
        initial, policy = self.kernel_initializer, self.dtype_policy
        self.query_key_value = built(Dense(3 * width, kernel_initializer=initial, dtype=policy), width)
        self.merge = built(Dense(width, kernel_initializer=self.merge_initializer or initial, dtype=policy), width)

    def call(
        self,
        inputs: torch.Tensor,
        mask: torch.Tensor | None = None,
        cache: KeyValueCache | None = None,
        training: bool | None = None,
    ) -> torch.Tensor:
        batch, length, width = inputs.shape
        projected = self.query_key_value.direct(rows(inputs))
        query, key, value = projected.view(batch, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        if cache is not None:
            key, value = cache.append(key, value)
        attended = attend(query, key, value, mask, self.causal, self.dropout if training else 0.0)
        return self.merge.direct(attended.transpose(1, 2).reshape(-1, width)).view(batch, length, width)


@register_keras_serializable(package="lamella")
class CrossAttention(Layer):
    """Multi-head attention of a sequence to another, the memory (Vaswani et al., 2017).

    Args:
        num_heads: The number of heads; it divides the width of the input.
        dropout: The share of attention weights that is dropped while training.
        kernel_initializer: Where the kernels start.
        merge_initializer: Where the kernel of `merge` starts; as the others by default.
        **kwargs: As for every layer.

    Called as `layer(inputs, memory, mask=None, cache=None)`:

    - `inputs`: (batch, length, width). The output has the same shape.
    - `memory`: (batch, places, its width), what is looked at.
    - `mask`: (batch, places), True where the memory is real.
    - `cache`: a `KeyValueCache` that keeps the keys and values of the memory from the first call on.

    Sublayers: `query` (width -> width), `key_value` (memory's width -> 2 width) and `merge` (width -> width).

    Raises:
        ArgumentError: The heads do not divide the width.

    Example:
        >>> import torch
        >>> CrossAttention(num_heads=4)(torch.ones(2, 5, 16), torch.ones(2, 7, 24)).shape
        torch.Size([2, 5, 16])
    """

    def __init__(
        self,
        num_heads: int,
        dropout: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        merge_initializer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.dropout = dropout
        self.kernel_initializer = kernel_initializer
        self.merge_initializer = merge_initializer

    def build(  # type: ignore[override]
        self, inputs_shape: Any, memory_shape: Any, mask_shape: Any = None
    ) -> None:
        width = _width(self, inputs_shape)
        initial, policy = self.kernel_initializer, self.dtype_policy
        self.query = built(Dense(width, kernel_initializer=initial, dtype=policy), width)
        self.key_value = built(Dense(2 * width, kernel_initializer=initial, dtype=policy), memory_shape[-1])
        self.merge = built(Dense(width, kernel_initializer=self.merge_initializer or initial, dtype=policy), width)

    def call(
        self,
        inputs: torch.Tensor,
        memory: torch.Tensor,
        mask: torch.Tensor | None = None,
        cache: KeyValueCache | None = None,
        training: bool | None = None,
    ) -> torch.Tensor:
        batch, length, width = inputs.shape
        query = self.query.direct(rows(inputs)).view(batch, length, self.num_heads, -1).transpose(1, 2)
        if cache is None:
            key, value = self._looked_at(memory)
        else:
            cache.memory = key, value = cache.memory or self._looked_at(memory)
        attended = attend(query, key, value, mask, dropout=self.dropout if training else 0.0)
        return self.merge.direct(attended.transpose(1, 2).reshape(-1, width)).view(batch, length, width)

    def _looked_at(self, memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        batch, places, _ = memory.shape
        projected = self.key_value.direct(rows(memory)).view(batch, places, 2, self.num_heads, -1)
        key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
        return key, value


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None = None,
    causal: bool = False,
    dropout: float = 0.0,
) -> torch.Tensor:
    """softmax(query @ key.T / sqrt(size)) @ value, by torch's fused kernel; 0 for a query that may look at nothing.

    Args:
        query: (batch, heads, queries, size).
        key: (batch, heads, keys, size).
        value: (batch, heads, keys, size).
        mask: (batch, keys), True where a key is real; None where all are.
        causal: Whether a query sees only keys up to its own place. The last query stands at the last key.
        dropout: The share of the weights that is dropped.
    """
    if query.is_meta:  # torch would load its compiler, most of a second, for the shape alone
        return torch.empty_like(query)
    queries, keys = query.shape[2], key.shape[2]
    mask = without_need(mask)
    causal = causal and queries > 1  # one query, the last, sees all
    allowed = None if mask is None else mask[:, None, None]
    if causal and (allowed is not None or queries != keys):
        before = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril_(keys - queries)
        allowed = before if allowed is None else before & allowed
    options: dict[str, Any] = {"attn_mask": allowed, "is_causal": causal and allowed is None, "dropout_p": dropout}
    return fused_attention(query, key, value, **options)


def without_need(mask: torch.Tensor | None) -> torch.Tensor | None:
    """The mask, or None where it hides nothing. Looked for on the CPU only: elsewhere looking would wait."""
    if mask is not None and mask.device.type == "cpu" and bool(mask.all()):
        return None
    return mask


def rows(x: torch.Tensor) -> torch.Tensor:
    """(batch, length, width) as (batch * length, width): the product of two matrices adds the bias by itself."""
    return x.reshape(-1, x.shape[-1])


def built(layer: Dense, width: int) -> Dense:
    """The layer, with weights for inputs of this width."""
    layer.build((None, width))
    return layer


def _width(layer: SelfAttention | CrossAttention, shape: Any) -> int:
    width = shape[-1]
    heads = layer.num_heads
    if isinstance(heads, bool) or not isinstance(heads, int) or heads < 1 or width % heads:
        raise ArgumentError(
            f"{type(layer).__name__} {layer.name!r}: `num_heads` must be a whole number that divides the width of the "
            f"input; got {heads!r} heads for a width of {width}."
        )
    return width
