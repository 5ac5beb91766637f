"""What the ImageNet networks share with their users: pixels as they were trained on, and the names of the classes."""

from __future__ import annotations

import functools
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella import activations, ops
from lamella.backend import floatx, image_data_format, is_float_dtype
from lamella.errors import ArgumentError, DownloadError, ShapeError
from lamella.utils import get_file, is_keras_tensor

__all__ = ["decode_predictions", "obtain_input_shape", "preprocess_input", "validate_activation"]

_CLASS_INDEX = {
    "file_name": "imagenet_class_index.json",
    "file_hash": "c2c37ea517e94d9795004a39431a14cb",
    "origin": "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json",
}
_CAFFE_MEAN = (103.939, 116.779, 123.68)  # blue, green, red
_TORCH_MEAN = (0.485, 0.456, 0.406)  # red, green, blue
_TORCH_DEVIATION = (0.229, 0.224, 0.225)


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Brings pixels from 0..255 to the values that a network was trained on.

    Args:
        x: An RGB image or a batch of them, (..., height, width, 3): an array, a tensor or a symbolic tensor. Whole
            numbers become `floatx()`. Unlike in Keras it is never written over.
        data_format: `"channels_last"`, or `"channels_first"` for (..., 3, height, width); Keras's setting by default.
        mode: `"caffe"` gives blue, green, red, each minus its mean over ImageNet; `"tf"` gives -1..1; `"torch"` gives
            0..1, then each channel minus its mean and divided by its standard deviation over ImageNet.

    Raises:
        ArgumentError: Another mode or data format.
        ShapeError: A number of channels other than 3 (any will do for `"tf"`).

    Example:
        >>> import numpy as np
        >>> preprocess_input(np.array([[[0, 255, 51]]]), mode="tf").round(2)
        array([[[-1. ,  1. , -0.6]]], dtype=float32)
    """
    if mode not in ("caffe", "tf", "torch"):
        raise ArgumentError(f"`mode` must be 'caffe', 'tf' or 'torch'; got {mode!r}.")
    data_format = data_format or image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise ArgumentError(f"`data_format` must be 'channels_last' or 'channels_first'; got {data_format!r}.")
    if not isinstance(x, torch.Tensor) and not is_keras_tensor(x):
        return preprocess_input(torch.from_numpy(np.array(x, order="C")), data_format, mode).numpy()
    x = x if is_float_dtype(x.dtype) else ops.cast(x, floatx())
    if mode == "tf":
        return x / 127.5 - 1.0
    axis = -1 if data_format == "channels_last" else -3
    if x.ndim < 3 or x.shape[axis] not in (3, None):
        raise ShapeError(
            f"preprocess_input(mode={mode!r}) takes {data_format} images with 3 channels (red, green, blue); got the "
            f"shape {tuple(x.shape)}. Grey ones: np.repeat(x, 3, axis={axis}). An alpha channel: leave it out."
        )
    channels = ops.split(x, 3, axis=axis)
    if mode == "caffe":
        channels = [channel - mean for channel, mean in zip(reversed(channels), _CAFFE_MEAN, strict=True)]
    else:
        scales = zip(channels, _TORCH_MEAN, _TORCH_DEVIATION, strict=True)
        channels = [(channel / 255.0 - mean) / deviation for channel, mean, deviation in scales]
    return ops.concatenate(channels, axis=axis)


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, Any]]]:
    """The most probable ImageNet classes of each image. The names are downloaded once, then kept.

    Args:
        preds: What a network with 1000 classes predicted, (batch, 1000).
        top: How many classes an image gets.

    Returns:
        For each image its `(WordNet's number, name, score)`, best first, as `("n02123045", "tabby", 0.61)`.

    Raises:
        ShapeError: Another shape: a network with other classes has other names.
        DownloadError: The names are neither on this machine nor reachable.
    """
    if len(preds.shape) != 2 or preds.shape[1] != 1000:
        raise ShapeError(
            f"decode_predictions takes predictions of the 1000 classes of ImageNet, of shape (batch, 1000); got "
            f"{tuple(preds.shape)}. A network with classes of your own: name them by np.argsort(preds)."
        )
    names = _class_index()
    scores = np.asarray(ops.convert_to_numpy(preds))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [[(*names[k], row[k]) for k in order] for row, order in zip(scores, best, strict=True)]


@functools.cache
def _class_index() -> list[tuple[str, str]]:
    """(WordNet's number, name) of each class."""
    path = Path(download(**_CLASS_INDEX))
    index = json.loads(path.read_text(encoding="utf-8"))
    return [(index[str(k)][0], index[str(k)][1]) for k in range(1000)]


def download(file_name: str, file_hash: str | None, origin: str, mend: str = "") -> str:
    """The path of a file of Keras's from the web, checked, in the folder `models` of the cache.

    Raises:
        DownloadError: It is neither on this machine nor reachable, or has another checksum. `mend` ends the message.
    """
    try:
        return get_file(file_name, origin, file_hash=file_hash, cache_subdir="models")
    except DownloadError as error:
        reason = str(error.__cause__ or error).rstrip(".")
        raise DownloadError(
            f"Cannot download {origin}: {reason}. Where there is a network, download it by hand; then "
            f"put it into the folder `models` of LAMELLA_HOME (~/.lamella by default) as {file_name}{mend}."
        ) from error


def obtain_input_shape(
    input_shape: tuple[int | None, ...] | None,
    default_size: int,
    min_size: int,
    data_format: str,
    require_flatten: bool,
    weights: Any = None,
) -> tuple[int | None, ...]:
    """The shape of one image that a network takes: that asked for, checked, or the network's own.

    Args:
        input_shape: What the user asked for; None for the default.
        default_size: The height and width that the network was trained on.
        min_size: The smallest height and width that leave something of the image at the network's end.
        data_format: `"channels_last"` or `"channels_first"`.
        require_flatten: Whether the classifier needs a fixed size.
        weights: As the networks get it; those of ImageNet need 3 channels.

    Raises:
        ShapeError: A shape that the network, or its weights, cannot take.

    Example:
        >>> obtain_input_shape(None, 224, 32, "channels_last", require_flatten=True)
        (224, 224, 3)
        >>> obtain_input_shape(None, 224, 32, "channels_last", require_flatten=False)
        (None, None, 3)
    """
    first = data_format == "channels_first"

    def shape_of(size: int | None, channels: Any) -> tuple[int | None, ...]:
        return (channels, size, size) if first else (size, size, channels)

    if not input_shape:
        return shape_of(default_size if require_flatten else None, 3)
    shape = tuple(input_shape)
    if len(shape) != 3:
        raise ShapeError(f"`input_shape` must be three numbers, such as {shape_of(default_size, 3)}; got {shape}.")
    channels, sizes = (shape[0], shape[1:]) if first else (shape[-1], shape[:-1])
    if weights == "imagenet":
        if require_flatten and shape != shape_of(default_size, 3):
            raise ShapeError(
                f"With include_top=True and weights='imagenet', `input_shape` must be {shape_of(default_size, 3)}; got "
                f"{shape}. For images of another size: include_top=False, and a classifier of your own."
            )
        if channels != 3:
            raise ShapeError(f"weights='imagenet' needs 3 channels; got input_shape={shape}. Or: weights=None.")
    elif channels not in (1, 3):
        warnings.warn(f"Images usually have 1 or 3 channels; input_shape={shape} has {channels}.", stacklevel=4)
    if any(size is not None and size < min_size for size in sizes):
        raise ShapeError(f"Images must be at least {min_size} x {min_size}; got input_shape={shape}.")
    if require_flatten and None in shape:
        raise ShapeError(f"With include_top=True every size must be known; got input_shape={shape}.")
    return shape


def validate_activation(classifier_activation: Any, weights: Any) -> None:
    """Refuses a last activation that pretrained weights were not trained with.

    Raises:
        ArgumentError: Weights, and an activation other than softmax or None.
    """
    allowed = (activations.get("softmax"), activations.get(None))
    if weights is not None and activations.get(classifier_activation) not in allowed:
        raise ArgumentError(
            f"Pretrained weights with include_top=True go with classifier_activation='softmax', or None for the "
            f"logits; got {classifier_activation!r}."
        )
