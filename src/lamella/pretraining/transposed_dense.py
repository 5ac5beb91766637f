"""`TransposedDense`: the way back through a dense layer, with the same kernel."""

from __future__ import annotations

from typing import Any

import torch

from lamella import activations
from lamella.errors import ArgumentError
from lamella.layers import Dense, Layer
from lamella.saving import deserialize_keras_object, register_keras_serializable


@register_keras_serializable(package="lamella")
class TransposedDense(Layer):
    """activation(inputs @ layer.kernel.T + bias): from the outputs of a dense layer back to its inputs.

    The kernel is that of `layer`, one weight in two places ("tied weights"); the bias is this layer's own.

    Args:
        layer: A `Dense` layer that has its weights.
        activation: A name or function; none by default.
        **kwargs: As for every layer.

    Shapes: (batch, units of the layer) -> (batch, inputs of the layer).

    Raises:
        ArgumentError: `layer` is no `Dense` layer, or has no weights yet.

    Source: Vincent et al., 2008.

    Example:
        >>> import lamella, torch
        >>> dense = lamella.layers.Dense(2)
        >>> codes = dense(torch.ones(1, 5))
        >>> TransposedDense(dense)(codes).shape
        torch.Size([1, 5])
    """

    def __init__(self, layer: Dense, activation: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Dense) or not layer.built:
            raise ArgumentError(
                f"TransposedDense takes a Dense layer that has its weights; got {layer!r}. Build it first, or begin "
                f"its model with an Input."
            )
        self.layer = layer
        self.activation = activations.get(activation)

    def build(self, input_shape: Any) -> None:
        self.bias = self.add_weight((len(self.layer.kernel),), "zeros", name="bias")

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.activation(torch.addmm(self.bias, inputs, self.layer.kernel.T))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"inputs": len(self.layer.kernel)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TransposedDense:
        """The layer with a dense layer of its own: which one it was tied to, only the whole autoencoder knows."""
        config = dict(config)
        layer = deserialize_keras_object(config.pop("layer"))
        if not layer.built:
            layer.build((None, config.pop("inputs")))
        config.pop("inputs", None)
        return cls(layer, **config)
