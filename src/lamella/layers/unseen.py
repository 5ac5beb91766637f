"""Layers in a model whose results nobody else sees: the layers after them may take these as they lie in memory."""

from __future__ import annotations

from typing import Any

from torch.nn.modules import module

from lamella.engine.channels import pass_by
from lamella.layers.base import Layer
from lamella.layers.batch_normalization import BatchNormalization
from lamella.layers.fusion import Pair
from lamella.layers.windows import SpatialLayer


def unseen(function: Any) -> Any:
    """The function, so that the layers after it take its pictures without a view, where that can be.

    Args:
        function: A layer of a model, or two as one, whose result the model's user does not get.
    """
    layers = function.layers if isinstance(function, Pair) else (function,)
    pictures = isinstance(function, (SpatialLayer, BatchNormalization, Pair))
    ours = type(layers[-1]).__module__.startswith("lamella.")  # a user's own layer may keep what it computes
    return Unseen(function, layers) if pictures and ours else function


class Unseen:
    """A layer, or two as one, whose result only layers see, unless a hook does.

    Args:
        function: What is called.
        layers: The layers that it is made of; the last one gives the result.
    """

    def __init__(self, function: Any, layers: tuple[Layer, ...]) -> None:
        self.function = function
        self.layers = layers

    def __call__(self, x: Any) -> Any:
        return self._hidden(self.function(x))

    def direct(self, x: Any) -> Any:
        """The same, straight to the layer's `call` where it can be."""
        return self._hidden(self.function.direct(x))

    def _hidden(self, y: Any) -> Any:
        if not (self.layers[-1]._forward_hooks or module._global_forward_hooks):
            pass_by(y)
        return y
