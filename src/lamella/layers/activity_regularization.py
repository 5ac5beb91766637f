"""`ActivityRegularization`."""

from __future__ import annotations

from typing import Any

import torch

from lamella import regularizers
from lamella.layers.base import Layer, registry


@registry.register()
class ActivityRegularization(Layer):
    """Passes its input on, and adds a penalty on it to the loss: l1 * sum(|x|) + l2 * sum(x**2), per sample.

    Args:
        l1: The factor of the absolute values.
        l2: The factor of the squares.
        **kwargs: As for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import ActivityRegularization
        >>> layer = ActivityRegularization(l1=0.5)
        >>> y = layer(torch.tensor([[1.0, -3.0]]))
        >>> layer.losses
        [tensor(2.)]
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1 = l1
        self.l2 = l2
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return config
