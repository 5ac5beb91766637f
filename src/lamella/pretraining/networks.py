"""Encoders and decoders from sizes: dense ones and convolutional ones, each with its way back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lamella import layers
from lamella.engine.image_data_format import channels_last_inside
from lamella.errors import ArgumentError, ShapeError
from lamella.models import Sequential
from lamella.pretraining.transposed_dense import TransposedDense


def shape_of(owner: str, input_shape: Any) -> tuple[int, ...]:
    """The shape of one sample, without the batch; a number stands for a vector.

    Raises:
        ArgumentError: No sizes, or some that are not whole numbers from 1 on.
    """
    shape = (input_shape,) if isinstance(input_shape, int) else tuple(input_shape)
    return positive(owner, "input_shape", shape)


def positive(owner: str, name: str, sizes: Any) -> tuple[int, ...]:
    """Sizes as a tuple.

    Raises:
        ArgumentError: No sizes, or some that are not whole numbers from 1 on.
    """
    found = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    if not found or any(isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in found):
        raise ArgumentError(f"{owner}: `{name}` must be whole numbers, 1 or more, at least one of them; got {sizes!r}.")
    return found


@channels_last_inside
def dense_encoder(
    input_shape: Sequence[int], units: Sequence[int], activation: Any, code_activation: Any
) -> Sequential:
    """Dense layers from a sample of any shape to a code of `units[-1]` numbers."""
    flat = [layers.Flatten()] if len(input_shape) > 1 else []
    hidden = [layers.Dense(size, activation) for size in units[:-1]]
    return Sequential([layers.Input(input_shape), *flat, *hidden, layers.Dense(units[-1], code_activation)])


def dense_decoder(input_shape: Sequence[int], units: Sequence[int], activation: Any, output_activation: Any) -> Any:
    """The dense layers of such an encoder in reverse order, with weights of their own."""
    hidden = [layers.Dense(size, activation) for size in reversed(units[:-1])]
    last = layers.Dense(math.prod(input_shape), output_activation)
    shaped = [layers.Reshape(input_shape)] if len(input_shape) > 1 else []
    return Sequential([layers.Input((units[-1],)), *hidden, last, *shaped])


def tied_decoder(owner: str, encoder: Any, output_activation: Any) -> Sequential:
    """The way back through an encoder of dense layers, by its own kernels, transposed.

    Each layer has the activation of the dense layer below the one that it undoes; the last has `output_activation`.

    Raises:
        ArgumentError: An encoder that is no `Sequential` of dense layers.
    """
    kinds = (layers.Dense, layers.Flatten, layers.Dropout)
    if not isinstance(encoder, Sequential) or not all(isinstance(layer, kinds) for layer in encoder.layers):
        raise ArgumentError(
            f"{owner}: without a decoder, the encoder must be a Sequential of Dense layers, whose "
            f"kernels are used in both directions; got {encoder!r}. Give a decoder."
        )
    dense = [layer for layer in encoder.layers if isinstance(layer, layers.Dense)]
    activations = [output_activation, *(layer.activation for layer in dense[:-1])]
    back = [TransposedDense(layer, each) for layer, each in zip(reversed(dense), reversed(activations), strict=True)]
    shape = encoder.input_shape[1:]
    shaped = [layers.Reshape(shape)] if len(shape) > 1 else []
    return Sequential([layers.Input((dense[-1].units,)), *back, *shaped])


@channels_last_inside
def convolutional_encoder(
    owner: str, input_shape: Sequence[int], filters: Sequence[int], code_size: int | None, activation: Any
) -> Sequential:
    """Convolutions of 3 x 3 that each halve height and width; with `code_size` a dense layer makes the code.

    Raises:
        ShapeError: Pictures that are not (height, width, channels), or cannot be halved so often.
    """
    if len(input_shape) != 3 or any(side % 2 ** len(filters) for side in input_shape[:2]):
        raise ShapeError(
            f"{owner}: pictures must be (height, width, channels), with sides that can be halved {len(filters)} times; "
            f"got {tuple(input_shape)}. Use fewer `filters`, or pad the pictures to multiples of {2 ** len(filters)}."
        )
    halving = [layers.Conv2D(count, 3, strides=2, padding="same", activation=activation) for count in filters]
    code = [] if code_size is None else [layers.Flatten(), layers.Dense(code_size)]
    return Sequential([layers.Input(input_shape), *halving, *code])


@channels_last_inside
def convolutional_decoder(
    input_shape: Sequence[int], filters: Sequence[int], code_size: int | None, activation: Any, output_activation: Any
) -> Sequential:
    """The way back: transposed convolutions that double height and width."""
    height, width, channels = input_shape
    smallest = (height >> len(filters), width >> len(filters), filters[-1])
    start: list[Any] = [layers.Input(smallest)]
    if code_size is not None:
        spread = layers.Dense(math.prod(smallest), activation)
        start = [layers.Input((code_size,)), spread, layers.Reshape(smallest)]
    sizes = [*reversed(filters[:-1]), filters[0]]
    doubling = [layers.Conv2DTranspose(n, 3, strides=2, padding="same", activation=activation) for n in sizes]
    return Sequential([*start, *doubling, layers.Conv2D(channels, 3, padding="same", activation=output_activation)])
