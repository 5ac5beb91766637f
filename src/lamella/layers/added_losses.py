"""The losses that layers add by themselves while they compute, until the step collects them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from lamella.layers.base import Layer

_layers: list[Layer] = []


def add_losses(layer: Layer, losses: Iterable[torch.Tensor]) -> None:
    """Keeps the losses in the layer, and the layer among those that have some."""
    _layers.append(layer)
    layer._added_losses.extend(losses)


def pop_added_losses() -> list[torch.Tensor]:
    """What `add_loss` added since the last call of this, in every layer; the layers forget it."""
    found: list[torch.Tensor] = []
    if not _layers:
        return found
    for layer in _layers:
        found.extend(layer._added_losses)
        layer._added_losses.clear()
    _layers.clear()
    return found
