"""`Wrapper`: the base of layers that hold another layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lamella.engine.registry import deserialize
from lamella.errors import ArgumentError
from lamella.layers.base import Layer, registry


@registry.register()
class Wrapper(Layer):
    """The base of layers that do more with another layer. Subclass it and write `call`.

    Args:
        layer: The layer inside.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: `layer` is not a layer.

    Example:
        >>> import torch
        >>> from lamella.layers import Dense, Wrapper
        >>> class Twice(Wrapper):
        ...     def call(self, inputs):
        ...         return 2 * self.layer(inputs)
        >>> Twice(Dense(3, kernel_initializer="ones"))(torch.ones(1, 2)).tolist()
        [[4.0, 4.0, 4.0]]
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = checked_layer(self, layer)
        if not self._trainable:
            self.trainable = False

    def build(self, input_shape: Any = None) -> None:
        build_layer(self.layer, input_shape)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Layer:
        return super().from_config({**config, "layer": deserialize(config["layer"], custom_objects, registry)})


def checked_layer(wrapper: Layer, layer: Any) -> Layer:
    """`layer`, if it is one; else an error that names the wrapper."""
    if not isinstance(layer, Layer):
        raise ArgumentError(
            f"{type(wrapper).__name__} {wrapper.name!r} wraps a layer; got {layer!r} ({type(layer).__name__}). "
            f"Wrap a torch module as TorchModule(module) first."
        )
    return layer


def build_layer(layer: Layer, input_shape: Any) -> None:
    """Makes the weights of a layer that has none yet."""
    if not layer.built:
        layer.build(input_shape)
        if not layer.built:
            layer._mark_built()
