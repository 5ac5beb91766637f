"""`ConvolutionalAutoencoder`: codes of pictures."""

from __future__ import annotations

from typing import Any

from lamella.pretraining.autoencoder import Autoencoder
from lamella.pretraining.networks import convolutional_decoder, convolutional_encoder, positive, shape_of
from lamella.saving import register_keras_serializable, serialize_keras_object


@register_keras_serializable(package="lamella")
class ConvolutionalAutoencoder(Autoencoder):
    """An autoencoder of convolutions, each of which halves the picture, and of transposed ones that double it again.

    For another kind with convolutions, hand the two models on:
    `DenoisingAutoencoder(conv.encoder, conv.decoder, noise=0.3)`.

    Args:
        input_shape: (height, width, channels) of the pictures.
        filters: The channels after each convolution.
        code_size: The numbers of a code. By default the code is the last map, (height / 2^n, width / 2^n, filters).
        activation: Of all convolutions but the last.
        output_activation: Of the output: a sigmoid for pictures from 0 to 1.
        **kwargs: As for every model.

    Raises:
        ArgumentError: Sizes that are not whole numbers from 1 on.
        ShapeError: Sides that cannot be halved so often.

    Source: Masci et al., Stacked convolutional auto-encoders for hierarchical feature extraction, 2011 (there with
        max-pooling in place of strides).

    Example:
        >>> import torch
        >>> autoencoder = ConvolutionalAutoencoder((28, 28, 1), filters=(8, 4), code_size=10)
        >>> autoencoder.encoder(torch.rand(3, 28, 28, 1)).shape, autoencoder(torch.rand(3, 28, 28, 1)).shape
        (torch.Size([3, 10]), torch.Size([3, 28, 28, 1]))
    """

    def __init__(
        self,
        input_shape: Any,
        filters: Any = (32, 64),
        code_size: int | None = None,
        activation: Any = "relu",
        output_activation: Any = "sigmoid",
        **kwargs: Any,
    ) -> None:
        owner = type(self).__name__
        shape, counts = shape_of(owner, input_shape), positive(owner, "filters", filters)
        size = None if code_size is None else positive(owner, "code_size", code_size)[0]
        encoder = convolutional_encoder(owner, shape, counts, size, activation)
        decoder = convolutional_decoder(shape, counts, size, activation, output_activation)
        super().__init__(encoder, decoder, output_activation, **kwargs)
        self.filters, self.code_size, self.activation = list(counts), size, activation

    def get_config(self) -> dict[str, Any]:
        named = {name: getattr(self, name) for name in ("name", "filters", "code_size")}
        functions = {each: serialize_keras_object(getattr(self, each)) for each in ("activation", "output_activation")}
        return {"input_shape": self.encoder.input_shape[1:], **named, **functions}
