"""`StackedAutoencoder`: a deep encoder, pretrained without labels, one layer after the other."""

from __future__ import annotations

from typing import Any

from lamella import layers
from lamella.callbacks import History
from lamella.errors import ArgumentError, NotCompiledError
from lamella.layers import Layer
from lamella.models import Sequential
from lamella.pretraining.denoising import DenoisingAutoencoder
from lamella.pretraining.networks import dense_encoder, positive, shape_of
from lamella.saving import register_keras_serializable, serialize_keras_object


@register_keras_serializable(package="lamella")
class StackedAutoencoder(DenoisingAutoencoder):
    """Denoising autoencoders of one layer each, every one on the codes of the one before; decoders have tied weights.

        stack = StackedAutoencoder(784, units=(500, 500), noise=0.25)
        stack.compile("adam", "binary_crossentropy")
        stack.pretrain(images, epochs=10)             # all images, no labels
        model = stack.classifier(10)                  # an ordinary model that starts from what was learnt
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(some_images, their_labels)

    `fit` trains all layers at once as one deep autoencoder, which may follow `pretrain` (Hinton and Salakhutdinov,
    2006).

    Args:
        input_shape: The shape of one sample, such as 784 or (28, 28).
        units: The sizes of the layers.
        noise: As for `DenoisingAutoencoder`; 0 for plain autoencoders.
        activation: Of every layer. The loss has to suit it, as the codes are what the next layer is to tell: with
            a sigmoid `"binary_crossentropy"`, with others `"mse"`.
        output_activation: Of the lowest decoder, for the data.
        **kwargs: As for every model.

    Source: Bengio et al., Greedy layer-wise training of deep networks, 2007; Vincent et al., Stacked denoising
        autoencoders, 2010.

    Example:
        >>> import torch
        >>> stack = StackedAutoencoder(6, units=(5, 3), noise=0.1)
        >>> stack.compile("adam", "binary_crossentropy")
        >>> histories = stack.pretrain(torch.rand(64, 6), epochs=2, verbose=0)
        >>> len(histories), stack.classifier(10).output_shape
        (2, (None, 10))
    """

    def __init__(
        self,
        input_shape: Any,
        units: Any = (500, 500),
        noise: Layer | float = 0.25,
        activation: Any = "sigmoid",
        output_activation: Any = "sigmoid",
        **kwargs: Any,
    ) -> None:
        shape, sizes = shape_of("StackedAutoencoder", input_shape), positive("StackedAutoencoder", "units", units)
        encoder = dense_encoder(shape, sizes, activation, activation)
        super().__init__(encoder, None, noise, output_activation=output_activation, **kwargs)
        self.units, self.activation = list(sizes), activation

    def pretrain(self, x: Any, epochs: int = 10, **kwargs: Any) -> list[History]:
        """Trains the layers one after the other, from the lowest: each to denoise what the one below makes of x.

        Every layer has an optimizer and a loss such as `compile` was given.

        Args:
            x: Arrays of inputs (samples, ...).
            epochs: For each layer.
            **kwargs: As for `fit`: `batch_size`, `verbose`, ...

        Returns:
            A history for each layer.

        Raises:
            NotCompiledError: `compile` was not called.
        """
        if not self.compiled:
            raise NotCompiledError("pretrain() needs an optimizer and a loss: call compile() first.")
        dense = [layer for layer in self.encoder.layers if isinstance(layer, layers.Dense)]
        back = [layer for layer in reversed(self.decoder.layers) if not isinstance(layer, layers.Reshape)]
        x, histories = x.reshape(len(x), -1), []
        for up, down in zip(dense, back, strict=True):
            there = Sequential([layers.Input(x.shape[1:]), up])
            level = DenoisingAutoencoder(there, Sequential([layers.Input((up.units,)), down]), self.noise)
            level.compile(self.optimizer.from_config(self.optimizer.get_config()), self.loss)
            histories.append(level.fit(x, epochs=epochs, **kwargs))
            x = there.predict(x, batch_size=1024, verbose=0)
        return histories

    def classifier(self, classes: int, dropout: float = 0.0) -> Sequential:
        """An ordinary model: copies of the encoder's layers, and a softmax over the classes.

        Args:
            classes: How many classes there are.
            dropout: The share of values dropped after each layer while training.

        Raises:
            ArgumentError: Fewer than two classes.
        """
        if classes < 2:
            raise ArgumentError(f"classifier: there must be two classes or more; got {classes!r}.")
        model = Sequential([layers.Input(self.encoder.input_shape[1:])])
        for layer in self.encoder.layers:
            copy = type(layer).from_config(layer.get_config())
            model.add(copy)
            copy.set_weights(layer.get_weights())
            if dropout and isinstance(layer, layers.Dense):
                model.add(layers.Dropout(dropout))
        model.add(layers.Dense(classes, "softmax", name="classes"))
        return model

    def get_config(self) -> dict[str, Any]:
        names = ("activation", "output_activation", "noise")
        config = {name: serialize_keras_object(getattr(self, name)) for name in names}
        return {"name": self.name, "input_shape": self.encoder.input_shape[1:], "units": self.units, **config}
