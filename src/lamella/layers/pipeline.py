"""`Pipeline`: layers one after the other, as one layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella.engine import masking
from lamella.engine.registry import deserialize, serialize
from lamella.engine.symbolic import symbolic_leaves
from lamella.errors import ArgumentError
from lamella.layers.base import Layer, registry
from lamella.layers.data_layer import DataLayer


@registry.register()
class Pipeline(DataLayer):
    """Calls layers one after the other: a chain of preprocessing or of augmentation.

    Called by itself it trains, that is, augments, unless `training=False`. In a model it does as the model does.

    Args:
        layers: The layers.
        name: A unique name.

    Example:
        >>> import torch
        >>> from lamella.layers import Pipeline, Rescaling
        >>> Pipeline([Rescaling(2.0), Rescaling(1.0, offset=1.0)])(torch.tensor([1.0]))
        tensor([3.])
    """

    def __init__(self, layers: Sequence[Layer], name: str | None = None) -> None:
        super().__init__(name=name)
        if isinstance(layers, Layer) or not all(isinstance(layer, Layer) for layer in layers):
            raise ArgumentError(f"Pipeline {self.name!r} takes a list of layers; got {layers!r}.")
        self.layers = list(layers)
        self._alone = True
        self._build_at_init()

    def forward(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if symbolic_leaves(inputs):
            self._alone = False  # from here on the model says whether it trains
            return self._call_symbolic((inputs,), {} if training is None else {"training": training})
        if training is None:
            training = self._alone or self.training
        return super().forward(inputs, training=training, mask=masking.of(inputs) if mask is None else mask)

    def call(self, inputs: Any, training: bool | None = True, mask: Any = None) -> Any:
        for layer in self.layers:
            kwargs = {} if training is None else {"training": training}
            if mask is not None and "mask" in layer._call_takes:
                kwargs["mask"] = mask
            inputs = layer(inputs, **kwargs)
            mask = masking.of(inputs)
        return inputs

    def train(self, mode: bool = True) -> Pipeline:
        """Trains or infers from now on, as the model that the pipeline is in."""
        self._alone = False
        super().train(mode)
        return self

    def get_config(self) -> dict[str, Any]:
        return {"layers": [serialize(layer) for layer in self.layers], "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Pipeline:
        """The pipeline that `get_config` (here or in Keras) described."""
        if not isinstance(config.get("layers"), (list, tuple)):
            raise ArgumentError(f"The config of a Pipeline needs a list `layers`; got {config.get('layers')!r}.")
        return cls(**{**config, "layers": [deserialize(layer) for layer in config["layers"]]})
