"""Learning without labels: autoencoders of all kinds, and pretraining layer by layer."""

from typing import Any

from lamella.pretraining.autoencoder import Autoencoder
from lamella.pretraining.convolutional import ConvolutionalAutoencoder
from lamella.pretraining.corruption import MaskingNoise, SaltAndPepperNoise
from lamella.pretraining.denoising import DenoisingAutoencoder
from lamella.pretraining.sparse import SparseAutoencoder
from lamella.pretraining.stacked import StackedAutoencoder
from lamella.pretraining.transposed_dense import TransposedDense
from lamella.pretraining.variational import VariationalAutoencoder

__all__ = [
    "Autoencoder",
    "AutoencoderTransformer",
    "ConvolutionalAutoencoder",
    "DenoisingAutoencoder",
    "MaskingNoise",
    "SaltAndPepperNoise",
    "SparseAutoencoder",
    "StackedAutoencoder",
    "TransposedDense",
    "VariationalAutoencoder",
]


def __getattr__(name: str) -> Any:
    """What needs scikit-learn, which is slow to import, is loaded at first use."""
    if name == "AutoencoderTransformer":
        from lamella.pretraining.transformer import AutoencoderTransformer

        return AutoencoderTransformer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
