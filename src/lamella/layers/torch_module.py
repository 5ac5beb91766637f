"""`TorchModule`: any `torch.nn.Module` as a layer."""

from __future__ import annotations

from typing import Any

from torch import nn

from lamella.engine.device import default_device
from lamella.errors import ArgumentError
from lamella.layers.base import Layer, registry


@registry.register()
class TorchModule(Layer):
    """Wraps a `torch.nn.Module`, so that it stands in a Sequential or functional model.

    Its parameters are the layer's weights; `training` reaches it as for every layer.

    Args:
        module: The module.
        name: A unique name.
        output_shape: Kept for Keras's signature; the shape is found by running the module.
        **kwargs: As for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import TorchModule
        >>> TorchModule(torch.nn.Linear(3, 2))(torch.ones(1, 3)).shape
        torch.Size([1, 2])
    """

    def __init__(self, module: nn.Module, name: str | None = None, output_shape: Any = None, **kwargs: Any) -> None:
        if not isinstance(module, nn.Module):
            raise ArgumentError(f"TorchModule wraps a torch.nn.Module; got {module!r}.")
        super().__init__(name=name, **kwargs)
        self.module = module.to(default_device()).eval()
        self.trainable = self._trainable
        self._mark_built()

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        raise ArgumentError(
            f"TorchModule {self.name!r} holds a module of your own, which has no config. Save its weights "
            f"(state_dict), or write it as a Layer with get_config()."
        )


TorchModuleWrapper = TorchModule
