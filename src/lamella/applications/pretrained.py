"""What every network here does alike: checks its arguments, takes images, pools, and gets its weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lamella import layers
from lamella.applications import imagenet_utils
from lamella.backend import image_data_format, is_keras_tensor
from lamella.errors import ArgumentError
from lamella.models import Model
from lamella.utils import get_source_inputs

__all__ = ["check_arguments", "functional", "image_input", "load_weights", "pooled"]


def check_arguments(include_top: bool, weights: Any, pooling: str | None, classes: int) -> None:
    """Refuses what no network can be made of.

    Raises:
        ArgumentError: Weights that are neither None, `"imagenet"` nor a file; ImageNet's classifier with another
            number of classes; a pooling other than None, `"avg"` and `"max"`.
    """
    if weights not in ("imagenet", None) and not os.path.exists(weights):
        raise ArgumentError(f"`weights` must be None (random), 'imagenet', or the path of a file; got {weights!r}.")
    if weights == "imagenet" and include_top and classes != 1000:
        raise ArgumentError(
            f"ImageNet's classifier has 1000 classes; got classes={classes}. For your own: include_top=False, "
            f"pooling='avg', then a Dense({classes}) on the output."
        )
    if pooling not in (None, "avg", "max"):
        raise ArgumentError(f"`pooling` must be None, 'avg' or 'max'; got {pooling!r}.")


def image_input(
    input_tensor: Any,
    input_shape: tuple[int | None, ...] | None,
    default_size: int,
    min_size: int,
    include_top: bool,
    weights: Any,
) -> Any:
    """The symbolic batch of images that a network begins with: `input_tensor`, or a new one of a checked shape.

    Raises:
        ArgumentError: An `input_tensor` that is not symbolic, or channels-first images.
        ShapeError: An `input_shape` that the network cannot take.
    """
    if image_data_format() == "channels_first":
        raise ArgumentError(
            "The networks take channels-last images, (height, width, channels), which are faster; the setting is "
            "'channels_first'. Call lamella.config.set_image_data_format('channels_last')."
        )
    shape = imagenet_utils.obtain_input_shape(
        input_shape, default_size, min_size, "channels_last", require_flatten=include_top, weights=weights
    )
    if input_tensor is None:
        return layers.Input(shape=shape)
    if not is_keras_tensor(input_tensor):
        raise ArgumentError(
            f"`input_tensor` must be symbolic, as lamella.Input gives; got {type(input_tensor).__name__}. To classify "
            f"a tensor, call the network on it."
        )
    return input_tensor


def pooled(x: Any, pooling: str | None, average_name: str | None = None, maximum_name: str | None = None) -> Any:
    """(batch, height, width, channels) -> (batch, channels) by mean or maximum; as it is for None."""
    if pooling == "avg":
        return layers.GlobalAveragePooling2D(name=average_name)(x)
    if pooling == "max":
        return layers.GlobalMaxPooling2D(name=maximum_name)(x)
    return x


def functional(input_tensor: Any, image: Any, outputs: Any, name: str | None) -> Model:
    """The model from `image`, or from all that the user's `input_tensor` was computed from, to `outputs`."""
    return Model(image if input_tensor is None else get_source_inputs(input_tensor), outputs, name=name)


def load_weights(model: Model, weights: Any, file_name: str, file_hash: str | None, origin: str) -> Model:
    """Gives a network its weights, and returns it.

    Args:
        model: The network.
        weights: None (they stay random), `"imagenet"` (downloaded once, then kept in the folder `models` of
            `LAMELLA_HOME`), or the path of a file that `model.load_weights` reads: `.weights.h5`, `.h5` or `.keras`.
        file_name: The name of the downloaded file in the cache.
        file_hash: Its MD5 or SHA-256; a file with another is refused.
        origin: Its address.

    Raises:
        DownloadError: The file is neither on this machine nor reachable, or is damaged.
        FileError: A file with the weights of another network.
    """
    if weights == "imagenet":
        mend = f", or pass its path: weights='/path/to/{file_name}'. weights=None starts from random weights"
        weights = imagenet_utils.download(file_name, file_hash, origin, mend)
    if weights is not None:
        model.load_weights(Path(weights))
    return model
