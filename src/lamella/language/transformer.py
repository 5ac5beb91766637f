"""`TransformerBlock`: what encoders and decoders are stacked of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from lamella.activations import gelu
from lamella.errors import ArgumentError
from lamella.language.attention import CrossAttention, KeyValueCache, SelfAttention, built, rows
from lamella.layers import Dense, Dropout, Layer, LayerNormalization
from lamella.saving import register_keras_serializable


@register_keras_serializable(package="lamella")
def gelu_tanh(x: torch.Tensor) -> torch.Tensor:
    """GELU by its tanh approximation, as in GPT-2.

    Example:
        >>> gelu_tanh(torch.tensor([1.0]))
        tensor([0.8412])
    """
    return gelu(x, approximate=True)


@register_keras_serializable(package="lamella")
class TransformerBlock(Layer):
    """Self-attention, cross-attention if wanted, and two dense layers, each normalized and added to its input.

    Args:
        num_heads: The number of attention heads; it divides the width of the input.
        feedforward_units: The units between the two dense layers.
        activation: Their activation; `"gelu_tanh"` is GPT-2's.
        norm_first: Whether each part normalizes its input (GPT-2) or the sum after it (the first Transformer, BERT).
        causal: Whether a position sees only itself and what came before.
        cross_attention: Whether the block also looks at a memory.
        dropout: The share that is dropped, while training, of what each part adds.
        attention_dropout: The share of attention weights that is dropped; `dropout` by default.
        epsilon: Of the normalizations.
        kernel_initializer: Where the kernels start.
        residual_initializer: Where those start whose product is added to the input; as the others by default.
        **kwargs: As for every layer.

    Called as `block(inputs, mask=None, memory=None, memory_mask=None, cache=None)`:

    - `inputs`: (batch, length, width). The output has the same shape.
    - `mask`: (batch, keys), True where a token is real (with a cache: those in it, then the new ones).
    - `memory`: (batch, places, its width); `memory_mask` (batch, places), True where it is real.
    - `cache`: a `KeyValueCache` of what came before `inputs`; it is appended to.

    Sublayers: `attention_norm`, `attention`, `cross_norm`, `cross_attention`, `feedforward_norm`, `feedforward_in`,
    `feedforward_out`.

    Raises:
        ArgumentError: The heads do not divide the width; a memory that is missing, or that nothing would look at.

    Source: Vaswani et al., 2017; normalization first: Radford et al., 2019; Xiong et al., 2020.

    Example:
        >>> block = TransformerBlock(num_heads=4, feedforward_units=64, causal=True)
        >>> block(torch.ones(2, 5, 16)).shape
        torch.Size([2, 5, 16])
    """

    def __init__(
        self,
        num_heads: int,
        feedforward_units: int,
        activation: Any = "gelu",
        norm_first: bool = True,
        causal: bool = False,
        cross_attention: bool = False,
        dropout: float = 0.0,
        attention_dropout: float | None = None,
        epsilon: float = 1e-5,
        kernel_initializer: Any = "glorot_uniform",
        residual_initializer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.feedforward_units = feedforward_units
        self.activation = activation
        self.norm_first = norm_first
        self.causal = causal
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.epsilon = epsilon
        self.kernel_initializer = kernel_initializer
        self.residual_initializer = residual_initializer
        self.supports_masking = True
        within = dropout if attention_dropout is None else attention_dropout
        starts = {"kernel_initializer": kernel_initializer, "merge_initializer": residual_initializer}
        self.attention_norm = LayerNormalization(epsilon=epsilon, dtype=self.dtype_policy)
        self.attention = SelfAttention(num_heads, causal, within, dtype=self.dtype_policy, **starts)
        self.cross_norm: LayerNormalization | None = None
        self.cross_attention: CrossAttention | None = None
        if cross_attention:
            self.cross_norm = LayerNormalization(epsilon=epsilon, dtype=self.dtype_policy)
            self.cross_attention = CrossAttention(num_heads, within, dtype=self.dtype_policy, **starts)
        self.feedforward_norm = LayerNormalization(epsilon=epsilon, dtype=self.dtype_policy)
        self.feedforward_in = Dense(
            feedforward_units,
            gelu_tanh if activation == "gelu_tanh" else activation,
            kernel_initializer=kernel_initializer,
            dtype=self.dtype_policy,
        )
        self._drop = Dropout(dropout, dtype=self.dtype_policy)

    def build(
        self, inputs_shape: Any, mask_shape: Any = None, memory_shape: Any = None, memory_mask_shape: Any = None
    ) -> None:
        width = inputs_shape[-1]
        if (memory_shape is None) != (self.cross_attention is None):
            raise ArgumentError(
                f"TransformerBlock {self.name!r}: it needs a memory, block(inputs, memory=...), as it has "
                f"cross_attention=True."
                if memory_shape is None
                else f"TransformerBlock {self.name!r}: nothing looks at the memory. Make it with cross_attention=True."
            )
        self.attention_norm.build(inputs_shape)
        self.attention.build(inputs_shape)
        if self.cross_norm is not None and self.cross_attention is not None:
            self.cross_norm.build(inputs_shape)
            self.cross_attention.build(inputs_shape, memory_shape)
        self.feedforward_norm.build(inputs_shape)
        built(self.feedforward_in, width)
        last = self.residual_initializer or self.kernel_initializer
        out = Dense(width, kernel_initializer=last, dtype=self.dtype_policy)
        self.feedforward_out = built(out, self.feedforward_units)

    def call(
        self,
        inputs: torch.Tensor,
        mask: torch.Tensor | None = None,
        memory: torch.Tensor | None = None,
        memory_mask: torch.Tensor | None = None,
        cache: KeyValueCache | None = None,
        training: bool | None = None,
    ) -> torch.Tensor:
        x = self._added(inputs, self.attention_norm, lambda h: _called(self.attention, h, mask=mask, cache=cache))
        if self.cross_norm is not None and self.cross_attention is not None:
            look = partial(self.cross_attention, memory=memory, mask=memory_mask, cache=cache)
            x = self._added(x, self.cross_norm, look)
        return self._added(x, self.feedforward_norm, self._feedforward)

    def _added(
        self, x: torch.Tensor, norm: LayerNormalization, part: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """`x` and what a part makes of it, normalized on the way in or on the way out."""
        if self.norm_first:
            return x + self._drop.direct(part(norm.direct(x)))
        return norm.direct(x + self._drop.direct(part(x)))

    def _feedforward(self, x: torch.Tensor) -> torch.Tensor:
        return self.feedforward_out.direct(self.feedforward_in.direct(rows(x))).view(x.shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"cross_attention": self.cross_attention is not None}


def _called(layer: Layer, x: torch.Tensor, **options: Any) -> torch.Tensor:
    """The layer called with the options that are not None; straight where there are none."""
    options = {name: value for name, value in options.items() if value is not None}
    return layer(x, **options) if options else layer.direct(x)
