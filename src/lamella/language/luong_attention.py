"""`LuongAttention`: how a recurrent decoder looks back at what its encoder read."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella.language.attention import without_need
from lamella.layers import Dense, Layer
from lamella.saving import register_keras_serializable


@register_keras_serializable(package="lamella")
class LuongAttention(Layer):
    """Mixes each state of a decoder with the part of a memory that it looks at: tanh(W [context, state]).

    The score of a place is state @ W @ place ("general"); the context is the mean of the places, weighted by the
    softmax of their scores. As no state depends on it, the whole sequence of states is served at once.

    Args:
        units: The size of a result.
        **kwargs: As for every layer.

    Called as `layer(states, memory, mask=None)`:

    - `states`: (batch, length, size of a state) -> (batch, length, units).
    - `memory`: (batch, places, size of a place).
    - `mask`: (batch, places), True where the memory is real; at least one place of each sample must be.

    Sublayers: `score` (state -> place, no bias) and `combine` ([place, state] -> units, no bias).

    Source: Luong et al., 2015.

    Example:
        >>> LuongAttention(16)(torch.ones(2, 5, 16), torch.ones(2, 7, 24)).shape
        torch.Size([2, 5, 16])
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.combine = Dense(units, "tanh", use_bias=False, dtype=self.dtype_policy)

    def build(self, states_shape: Any, memory_shape: Any, mask_shape: Any = None) -> None:  # type: ignore[override]
        self.score = Dense(memory_shape[-1], use_bias=False, dtype=self.dtype_policy)
        self.score.build(states_shape)
        self.combine.build((None, memory_shape[-1] + states_shape[-1]))

    def call(self, states: torch.Tensor, memory: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        mask = without_need(mask)
        allowed = None if mask is None else mask.unsqueeze(1)
        context = F.scaled_dot_product_attention(self.score(states), memory, memory, attn_mask=allowed, scale=1.0)
        return self.combine(torch.cat([context, states], -1))
