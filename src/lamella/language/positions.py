"""`PositionEncoding`: tells a Transformer where in its sequence a token stands."""

from __future__ import annotations

import math
from typing import Any

import torch

from lamella.errors import ArgumentError, ShapeError
from lamella.layers import Layer
from lamella.saving import register_keras_serializable


def sinusoids(length: int, width: int) -> torch.Tensor:
    """Waves over the positions, from one of 2 pi positions to one of 20,000 pi: (length, width).

    Even columns are sines, odd ones cosines of the same wave.

    Source: Vaswani et al., 2017, section 3.5.

    Example:
        >>> sinusoids(2, 4).round(decimals=2).tolist()
        [[0.0, 1.0, 0.0, 1.0], [0.8399999737739563, 0.5400000214576721, 0.009999999776482582, 1.0]]
    """
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(length).unsqueeze(1) * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :width]


@register_keras_serializable(package="lamella")
class PositionEncoding(Layer):
    """Adds to each vector of a sequence one that says where it stands.

    Args:
        max_length: The most positions.
        kind: `"sinusoidal"`, which has no weights, or `"learned"`.
        **kwargs: As for every layer.

    Called as `layer(inputs, start=0)`, with inputs (batch, length, width) of which the first stands at `start`.

    Weights: positions (max_length, width), if they are learned.

    Raises:
        ArgumentError: Another kind.
        ShapeError: A sequence that ends after `max_length`.

    Source: Vaswani et al., 2017; learned: Gehring et al., 2017.

    Example:
        >>> PositionEncoding(max_length=10)(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
    """

    def __init__(self, max_length: int, kind: str = "sinusoidal", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if kind not in ("sinusoidal", "learned"):
            raise ArgumentError(f"PositionEncoding {self.name!r}: `kind` is 'sinusoidal' or 'learned'; got {kind!r}.")
        self.max_length = max_length
        self.kind = kind

    def build(self, input_shape: Any) -> None:
        width = input_shape[-1]
        if self.kind == "learned":
            self.positions = self.add_weight((self.max_length, width), "random_normal", name="positions")
        else:
            table = sinusoids(self.max_length, width).to(self._device())
            self.register_buffer("positions", table, persistent=False)  # what can be computed is not saved

    def call(self, inputs: torch.Tensor, start: int = 0) -> torch.Tensor:
        end = start + inputs.shape[1]
        if end > self.max_length:
            raise ShapeError(
                f"PositionEncoding {self.name!r}: a sequence of {end} tokens is longer than max_length="
                f"{self.max_length}. Shorten it, or make the model with a larger max_length."
            )
        return inputs + self.positions[start:end]
