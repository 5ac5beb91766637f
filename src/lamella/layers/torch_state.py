"""The parameters and buffers of modules that are plain torch, as files keep them: by their names in `state_dict`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from lamella.engine.variable import as_array, copy_into
from lamella.errors import ShapeError
from lamella.layers.holds_weights import HoldsWeights


class TorchState:
    """What a torch module has for a file, but for the layers in it, which keep their weights themselves.

    Args:
        module: The module.
        with_layers: Whether it has the weights of the layers in it, too.
    """

    def __init__(self, module: nn.Module, with_layers: bool = False) -> None:
        layers = [] if with_layers else [f"{name}." for name, _ in layers_within(module)]
        self.kind = type(module).__name__
        self.tensors = {
            name: value
            for name, value in module.state_dict().items()
            if isinstance(value, torch.Tensor) and not name.startswith(tuple(layers))
        }

    def save_own_variables(self, store: Any) -> None:
        """Puts the tensors into `store`, a mapping, by their names."""
        for name, value in self.tensors.items():
            store[name] = as_array(value)

    @torch.no_grad()
    def load_own_variables(self, store: Any) -> None:
        """Takes the tensors from `store`, each of its own shape.

        Raises:
            ShapeError: Other names, or another shape.
        """
        if set(store) != set(self.tensors):
            raise ShapeError(f"A torch {self.kind} has {list(self.tensors)}, the file has {list(store)} for it.")
        for name, value in self.tensors.items():
            if tuple(store[name].shape) != tuple(value.shape):
                shapes = tuple(value.shape), tuple(store[name].shape)
                raise ShapeError(f"{name!r} of a torch {self.kind} has shape {shapes[0]}, in the file {shapes[1]}.")
        for name, value in self.tensors.items():
            copy_into(value, torch.as_tensor(np.asarray(store[name])))


def layers_within(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The nearest layers inside a torch module, by their names in its `state_dict`."""
    for name, child in module._modules.items():
        if isinstance(child, HoldsWeights):
            yield name, child
        elif child is not None:
            yield from ((f"{name}.{inner}", layer) for inner, layer in layers_within(child))
