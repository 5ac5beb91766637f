"""`Autoencoder`: learns codes from which the inputs can be told again. Its kinds differ in what they add to that."""

from __future__ import annotations

from typing import Any, Self

import torch

from lamella.errors import ArgumentError, ShapeError
from lamella.models import Model
from lamella.pretraining.networks import dense_decoder, dense_encoder, positive, shape_of, tied_decoder
from lamella.saving import deserialize_keras_object, register_keras_serializable


@register_keras_serializable(package="lamella")
class Autoencoder(Model):
    """decoder(encoder(x)), trained to be x.

    `fit(x)` takes the inputs alone: they are their own targets. `autoencoder.encoder` and `autoencoder.decoder` are
    ordinary models that share the trained weights: `Sequential([autoencoder.encoder, Dense(10, "softmax")])`.

    Args:
        encoder: A model from inputs to codes, whose input shape is known.
        decoder: A model from codes to inputs. Without one, the way back goes through the dense layers of the encoder
            by their own kernels, transposed ("tied weights").
        output_activation: The last activation of a tied decoder; not looked at otherwise.
        **kwargs: As for every model.

    Shapes: (batch, ...) -> the same.

    Raises:
        ArgumentError: No models, or an encoder that cannot be tied.
        ShapeError: A decoder whose outputs have another shape than the inputs.

    Source: Rumelhart, Hinton and Williams, 1986; Hinton and Salakhutdinov, Reducing the dimensionality of data with
        neural networks, 2006.

    Example:
        >>> import torch
        >>> autoencoder = Autoencoder.dense(6, units=(4, 2))
        >>> autoencoder.compile("adam")
        >>> _ = autoencoder.fit(torch.rand(32, 6), verbose=0)
        >>> autoencoder(torch.rand(3, 6)).shape, autoencoder.encoder(torch.rand(3, 6)).shape
        (torch.Size([3, 6]), torch.Size([3, 2]))
    """

    code_activation = "linear"  # what `dense` gives the codes where it is not told

    def __init__(
        self, encoder: Model, decoder: Model | None = None, output_activation: Any = "sigmoid", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        for name, model in (("encoder", encoder), ("decoder", decoder)):
            if not isinstance(model, Model) and (name == "encoder" or model is not None):
                raise ArgumentError(f"{owner}: `{name}` must be a model; got {model!r}.")
        if not encoder.built or not (decoder is None or decoder.built):
            raise ArgumentError(f"{owner}: both models must have their weights. Begin each with an Input(shape).")
        self.tied = decoder is None
        self.output_activation = output_activation
        self.encoder = encoder
        self.decoder = tied_decoder(owner, encoder, output_activation) if decoder is None else decoder
        if self.decoder.output_shape[1:] != encoder.input_shape[1:]:
            raise ShapeError(
                f"{owner}: the decoder must give what the encoder takes, {encoder.input_shape}; it gives "
                f"{self.decoder.output_shape}."
            )
        self.build(encoder.input_shape)

    def build(self, input_shape: Any = None) -> None:
        """Nothing: the weights exist from the start."""

    @classmethod
    def dense(
        cls,
        input_shape: Any,
        units: Any = (256, 64),
        activation: Any = "relu",
        code_activation: Any = None,
        output_activation: Any = "sigmoid",
        tied: bool = False,
        **options: Any,
    ) -> Self:
        """An autoencoder of dense layers.

        Args:
            input_shape: The shape of one sample, such as 784 or (28, 28).
            units: The sizes of the encoder's layers; the last is that of the code.
            activation: Of the hidden layers.
            code_activation: Of the code; by default linear, in a `SparseAutoencoder` a sigmoid.
            output_activation: Of the output: a sigmoid for data from 0 to 1, `"linear"` for any.
            tied: Whether the decoder uses the encoder's kernels, transposed.
            **options: Further arguments of the class.

        Example:
            >>> Autoencoder.dense((28, 28), units=(64, 8), tied=True).count_params()
            51608
        """
        shape, sizes = shape_of(cls.__name__, input_shape), positive(cls.__name__, "units", units)
        encoder = dense_encoder(shape, sizes, activation, code_activation or cls.code_activation)
        decoder = None if tied else dense_decoder(shape, sizes, activation, output_activation)
        return cls(encoder=encoder, decoder=decoder, output_activation=output_activation, **options)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self.decoder(self.encoder(inputs))

    # -- training: the inputs are their own targets -----------------------------------------------------------

    def compile(self, optimizer: Any = "adam", loss: Any = "mse", **kwargs: Any) -> None:  # type: ignore[override]
        """As every model is; the loss is the mean squared error, `"binary_crossentropy"` suits data from 0 to 1."""
        super().compile(optimizer, loss, **kwargs)

    def fit(self, x: Any = None, y: Any = None, *, validation_data: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """Trains on inputs `x`, without targets.

        Args:
            x: Arrays of inputs; or a stream of pairs (x, x).
            y: Other targets than the inputs themselves.
            validation_data: Arrays of inputs, or (x, y).
            **kwargs: As for every model.
        """
        if hasattr(validation_data, "__array__"):
            validation_data = validation_data, validation_data
        return super().fit(x, _targets(x, y), validation_data=validation_data, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """The loss and the metrics on inputs `x`; arguments as for every model."""
        return super().evaluate(x, _targets(x, y), **kwargs)

    # -- codes ------------------------------------------------------------------------------------------------

    @property
    def feature_model(self) -> Model:
        """The model that gives the codes, as features for another one: the encoder."""
        return self.encoder

    # -- configuration ----------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | ({"decoder": None} if self.tied else {})

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Autoencoder:
        return cls(**{name: deserialize_keras_object(value, custom_objects) for name, value in config.items()})


def _targets(x: Any, y: Any) -> Any:
    """The targets given; or the inputs, where they are arrays."""
    return x if y is None and hasattr(x, "__array__") else y
