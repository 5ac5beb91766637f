"""`ReversibleNormalization`: a window without its level and its spread, and a forecast with them again."""

from __future__ import annotations

from typing import Any

import torch

from lamella.layers import Layer
from lamella.saving import register_keras_serializable

_SMALLEST = 1e-5


@register_keras_serializable(package="lamella")
class ReversibleNormalization(Layer):
    """Normalizes each channel of each window by the window itself; `restore` undoes it for what was made of it.

    A series whose level wanders looks the same at all times to the layers between.

    Args:
        by: What is subtracted: the window's `"mean"`, or its `"last"` value.
        **kwargs: As for every layer.

    Shapes: (batch, time, channels) -> the same, and level and spread, both (batch, 1, channels). Weights: gamma and
    beta, (channels,).

    Source: Kim et al., Reversible instance normalization, 2022.

    Example:
        >>> layer = ReversibleNormalization()
        >>> normal, level, spread = layer(torch.tensor([[[1.0], [3.0]]]))
        >>> normal.flatten().round(decimals=2).tolist(), layer.restore(normal, level, spread).flatten().tolist()
        ([-1.0, 1.0], [1.0, 3.0])
    """

    def __init__(self, by: str = "mean", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.by = by

    def build(self, input_shape: Any) -> None:
        self.gamma = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="beta")

    def call(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        level = inputs[:, -1:] if self.by == "last" else inputs.mean(1, keepdim=True)
        spread = (inputs.var(1, keepdim=True, correction=0) + _SMALLEST).sqrt()
        return (inputs - level) / spread * self.gamma + self.beta, level, spread

    def restore(self, outputs: torch.Tensor, level: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
        """(batch, time', channels), or (batch, time', channels, quantiles), at the level of the window again."""
        parts = [self.gamma + _SMALLEST**2, self.beta, level, spread]
        gamma, beta, level, spread = [each.unsqueeze(-1) for each in parts] if outputs.ndim == 4 else parts
        return (outputs - beta) / gamma * spread + level

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "by": self.by}
