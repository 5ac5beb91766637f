"""`TorchModule`: any `torch.nn.Module` as a layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map_only

from lamella.engine.registry import deserialize, serialize
from lamella.errors import ArgumentError, ConfigError
from lamella.layers.base import Layer, registry
from lamella.layers.torch_state import TorchState


@registry.register()
class TorchModule(Layer):
    """Wraps a `torch.nn.Module`, so that it stands in a Sequential or functional model.

    Its parameters are the layer's weights; `training` reaches it as for every layer. A module that overwrites its
    inputs (`nn.ReLU(inplace=True)`) gets copies of them: other layers, and the arrays of `fit`, keep what they have.

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
        self.module = module.eval()
        self.trainable = self._trainable
        self._overwrites: dict[bool, bool] = {}  # while training and not, as the first call of either has shown
        self._build_at_init()

    def call(self, *args: Any, **kwargs: Any) -> Any:
        overwrites = self._overwrites.get(self.module.training)
        if overwrites is False:
            return self.module(*args, **kwargs)
        args, kwargs = tree_map_only(torch.Tensor, torch.clone, (args, kwargs))
        if overwrites or torch.is_inference_mode_enabled():  # in which tensors have no versions
            return self.module(*args, **kwargs)
        copies = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        before = [each._version for each in copies]
        outputs = self.module(*args, **kwargs)
        self._overwrites[self.module.training] = [each._version for each in copies] != before
        return outputs

    def save_own_variables(self, store: Any) -> None:
        """Puts what the module's `state_dict` has into `store`, by its names, as in Keras."""
        TorchState(self.module, with_layers=True).save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        """Takes what `save_own_variables` put there.

        Raises:
            ShapeError: Other names, or other shapes.
        """
        TorchState(self.module, with_layers=True).load_own_variables(store)

    def get_config(self) -> dict[str, Any]:
        """How it is made, with the arguments of the module: one of `torch.nn`, or one with a `get_config`.

        Raises:
            ArgumentError: Any other module.
        """
        try:
            module = serialize(self.module)
        except ArgumentError as error:
            raise ArgumentError(
                f"TorchModule {self.name!r} holds a {type(self.module).__name__}, of which a file cannot tell how it "
                f"is made. Give the class a get_config() that returns the arguments of its __init__ and register it "
                f"with lamella.saving.register_keras_serializable(), or save the weights alone: "
                f"model.save_weights(...). ({error})"
            ) from error
        return {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": serialize(self._given_policy),
            "module": module,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        module = deserialize(config["module"])
        if not isinstance(module, nn.Module):
            raise ConfigError(f"A TorchModule holds a torch.nn.Module; the file has {config['module']!r}.")
        return super().from_config({**config, "module": module})


TorchModuleWrapper = TorchModule
