"""Noise that a denoising autoencoder is to undo: layers that do nothing but while training."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.layers import Layer
from lamella.saving import register_keras_serializable


@register_keras_serializable(package="lamella")
class MaskingNoise(Layer):
    """While training, sets a random share of the inputs to 0. The rest stays as it is (`Dropout` would scale it up).

    Args:
        rate: The share, from 0 to 1.
        **kwargs: As for every layer.

    Shapes: any -> the same.

    Raises:
        ArgumentError: `rate` is no number from 0 to 1.

    Source: Vincent et al., Extracting and composing robust features with denoising autoencoders, 2008.

    Example:
        >>> import torch
        >>> noisy = MaskingNoise(0.3)(torch.full((10000,), 3.0), training=True)
        >>> sorted(set(noisy.tolist())), round((noisy == 0).float().mean().item(), 1)
        ([0.0, 3.0], 0.3)
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = _share(self, rate)

    def call(self, inputs: torch.Tensor, training: bool | None = None) -> torch.Tensor:
        if not training:
            return inputs
        return inputs * (torch.rand_like(inputs) >= self.rate)


@register_keras_serializable(package="lamella")
class SaltAndPepperNoise(Layer):
    """While training, sets a random share of the inputs to the lowest or the highest value, by the toss of a coin.

    Args:
        rate: The share, from 0 to 1.
        low: The lowest value.
        high: The highest value.
        **kwargs: As for every layer.

    Shapes: any -> the same.

    Raises:
        ArgumentError: `rate` is no number from 0 to 1; `low` is not below `high`.

    Source: Vincent et al., Stacked denoising autoencoders, 2010.

    Example:
        >>> import torch
        >>> noisy = SaltAndPepperNoise(0.5)(torch.full((1000,), 0.3), training=True)
        >>> sorted(round(value, 1) for value in set(noisy.tolist()))
        [0.0, 0.3, 1.0]
    """

    def __init__(self, rate: float, low: float = 0.0, high: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not low < high:
            raise ArgumentError(f"SaltAndPepperNoise: `low` must be below `high`; got {low!r} and {high!r}.")
        self.rate, self.low, self.high = _share(self, rate), low, high

    def call(self, inputs: torch.Tensor, training: bool | None = None) -> torch.Tensor:
        if not training:
            return inputs
        chance = torch.rand_like(inputs)
        peppered = torch.where(chance < self.rate / 2, self.low, inputs)
        return torch.where(chance >= 1 - self.rate / 2, self.high, peppered)


def _share(layer: Layer, rate: Any) -> float:
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
        raise ArgumentError(f"{type(layer).__name__}: `rate` is a share from 0 to 1; got {rate!r}.")
    return float(rate)
