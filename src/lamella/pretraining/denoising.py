"""`DenoisingAutoencoder`: tells the clean input from a noisy one."""

from __future__ import annotations

from typing import Any

import torch

from lamella.layers import Layer
from lamella.models import Model
from lamella.pretraining.autoencoder import Autoencoder
from lamella.pretraining.corruption import MaskingNoise
from lamella.saving import register_keras_serializable


@register_keras_serializable(package="lamella")
class DenoisingAutoencoder(Autoencoder):
    """decoder(encoder(x with noise)), trained to be x without it.

    Copying the input is no help then: the codes have to know how the numbers of an input hang together. Noise is
    made while training only.

    Args:
        encoder: As for `Autoencoder`.
        decoder: As for `Autoencoder`.
        noise: A layer that makes noise while training: `MaskingNoise`, `SaltAndPepperNoise`, `layers.GaussianNoise`,
            ...; a number is the share of inputs that `MaskingNoise` sets to 0.
        **kwargs: As for `Autoencoder`.

    Source: Vincent et al., Extracting and composing robust features with denoising autoencoders, 2008.

    Example:
        >>> import torch
        >>> from lamella.pretraining import SaltAndPepperNoise
        >>> autoencoder = DenoisingAutoencoder.dense(6, units=4, noise=SaltAndPepperNoise(0.2))
        >>> autoencoder.compile("adam")
        >>> _ = autoencoder.fit(torch.rand(32, 6), verbose=0)
    """

    def __init__(
        self, encoder: Model, decoder: Model | None = None, noise: Layer | float = 0.25, **kwargs: Any
    ) -> None:
        super().__init__(encoder, decoder, **kwargs)
        self.noise = noise if isinstance(noise, Layer) else MaskingNoise(noise)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().call(self.noise(inputs))
