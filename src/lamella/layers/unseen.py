"""Layers in a model whose results nobody else sees: the layers after them may take these as they lie in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.nn.modules import module

from lamella.engine.channels import pass_by
from lamella.layers.activation import Activation, ReLU
from lamella.layers.base import Layer
from lamella.layers.batch_normalization import BatchNormalization
from lamella.layers.fusion import Pair
from lamella.layers.merging import Merge
from lamella.layers.windows import SpatialLayer

_GIVE = (SpatialLayer, BatchNormalization, Pair)
_TAKE = (*_GIVE, Merge, Activation, ReLU)


def unseen(function: Any, takers: Sequence[Any]) -> Any:
    """The function, so that the layers after it take its pictures without a view, where that can be.

    Args:
        function: A layer of a model, or two as one, whose result the model's user does not get.
        takers: All that take its result. A layer of the user's own may keep what it takes, or gives.
    """
    own, others = _layers_of(function), [layer for taker in takers for layer in _layers_of(taker)]
    known = isinstance(function, _GIVE) and all(isinstance(taker, _TAKE) for taker in takers)
    ours = known and all(type(layer).__module__.startswith("lamella.") for layer in (*own, *others))
    return Unseen(function, own, (*own, *others)) if ours else function


def _layers_of(function: Any) -> tuple[Layer, ...]:
    return function.layers if isinstance(function, Pair) else (function,)


class Unseen:
    """A layer, or two as one, whose result only layers see, unless a hook does.

    Args:
        function: What is called.
        layers: Those that it is made of.
        watched: Those whose hooks would see the result.
    """

    def __init__(self, function: Any, layers: tuple[Layer, ...], watched: tuple[Layer, ...]) -> None:
        self.function = function
        self.layers = layers
        self.watched = watched

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._hidden(self.function(*args, **kwargs))

    def direct(self, x: Any) -> Any:
        """The same, straight to the layer's `call` where it can be."""
        return self._hidden(self.function.direct(x))

    def _hidden(self, y: Any) -> Any:
        for layer in self.watched:
            if layer._forward_hooks or layer._forward_pre_hooks:
                return y
        if not (module._global_forward_hooks or module._global_forward_pre_hooks):
            pass_by(y)
        return y
