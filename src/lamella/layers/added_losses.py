"""The losses that layers add by themselves while they compute, until the step collects them.

A layer's losses are those of the last call from outside: the outermost call of a layer or model forgets what it and
the layers in it added in the call before, and leaves alone what others added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch

from lamella.engine import stateless_scope

if TYPE_CHECKING:
    from lamella.layers.base import Layer

_layers: WeakKeyDictionary[Layer, None] = WeakKeyDictionary()  # in the order in which they added; layers may go

inside = False
"""Whether a layer is being called: calls of others are then parts of that call."""


def add_losses(layer: Layer, losses: Sequence[torch.Tensor]) -> None:
    """Keeps the losses in the layer, and the layer among those that have some."""
    _layers[layer] = None
    layer._added_losses.extend(losses)
    scope = stateless_scope.active
    if scope is not None and scope.collect_losses:
        scope.losses.extend(losses)


def pop_added_losses(within: Layer | None = None) -> list[torch.Tensor]:
    """What `add_loss` added since the last call of this, in every layer or in those `within` one; they forget it."""
    found: list[torch.Tensor] = []
    if not _layers:
        return found
    own = None if within is None else set(within.modules())
    for layer in list(_layers):
        if own is None or layer in own:
            found.extend(layer._added_losses)
            layer._added_losses.clear()
            del _layers[layer]
    return found
