"""`Masking`: steps that hold nothing but a given value are padding."""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine.registry import deserialize
from lamella.layers.base import Layer, registry


@registry.register()
class Masking(Layer):
    """Marks the steps whose features all equal `mask_value` as padding, and sets them to 0.

    Later layers and the loss leave them out.

    Args:
        mask_value: The value.
        **kwargs: As for every layer.

    Shapes: (batch, time, ..., features) -> the same; the mask lacks the last axis.

    Example:
        >>> import torch
        >>> from lamella.layers import LSTM, Masking
        >>> x = torch.tensor([[[1.0], [2.0], [-1.0]]])
        >>> y = Masking(-1.0)(x)
        >>> y.tolist(), y._keras_mask.tolist()
        ([[[1.0], [2.0], [0.0]]], [[True, True, False]])
    """

    def __init__(self, mask_value: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = deserialize(mask_value) if isinstance(mask_value, dict) else mask_value
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.masked_fill((inputs == self.mask_value).all(-1, keepdim=True), 0)

    def compute_mask(self, inputs: torch.Tensor, mask: Any = None) -> torch.Tensor:
        return (inputs != self.mask_value).any(-1)
