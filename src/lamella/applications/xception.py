"""Xception: Inception taken to its end, depthwise and pointwise convolutions alone (Chollet, 2017).

Example:
    >>> from lamella.applications import Xception
    >>> Xception(weights=None, include_top=False, pooling="avg").output_shape
    (None, 2048)
"""

from __future__ import annotations

from typing import Any

from lamella import layers
from lamella.applications import imagenet_utils
from lamella.applications.imagenet_utils import decode_predictions
from lamella.applications.pretrained import check_arguments, functional, image_input, load_weights, pooled
from lamella.models import Model

__all__ = ["Xception", "decode_predictions", "preprocess_input"]

_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications/xception/"
_HASHES = ("0a58e3b7378bc2990ea3b43d5981f1f6", "b0042744bf5b25fce3cb969f33bebb97")  # with the classifier, without


def Xception(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "xception",
) -> Model:
    """The network of "Xception: deep learning with depthwise separable convolutions" (Chollet, 2017).

    Pixels go through `preprocess_input` (-1..1). Images are at least 71 x 71.

    Args:
        include_top: Whether the network ends with its classifier.
        weights: `"imagenet"` (downloaded once), the path of a file with weights, or None for random ones.
        input_tensor: A symbolic batch of images to begin with, in place of a new input.
        input_shape: The shape of an image. By default (299, 299, 3), or any size without the classifier.
        pooling: Without the classifier: `"avg"` or `"max"` over the image, or None for the map of features.
        classes: The number of classes; 1000 with ImageNet's classifier.
        classifier_activation: The activation of the last layer; None gives logits.
        name: The name of the model.

    Shapes: (batch, height, width, 3) -> (batch, classes), or features without the classifier.

    Raises:
        ArgumentError: Arguments that contradict each other, or unknown weights.
        ShapeError: Images that the network, or its weights, cannot take.
    """
    check_arguments(include_top, weights, pooling, classes)
    image = image_input(input_tensor, input_shape, 299, 71, include_top, weights)
    x = _features(image)
    if include_top:
        imagenet_utils.validate_activation(classifier_activation, weights)
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    else:
        x = pooled(x, pooling)
    model = functional(input_tensor, image, x, name)
    file = f"xception_weights_tf_dim_ordering_tf_kernels{'' if include_top else '_notop'}.h5"
    return load_weights(model, weights, file, _HASHES[not include_top], _WEIGHTS + file)


def _features(image: Any) -> Any:
    x = image
    for i, (filters, stride) in enumerate(((32, 2), (64, 1)), start=1):
        x = layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=f"block1_conv{i}")(x)
        x = _normalized(x, f"block1_conv{i}_bn")
        x = _relu(x, f"block1_conv{i}_act")
    x = _entry_block(x, (128, 128), 2, relu_first=False)
    x = _entry_block(x, (256, 256), 3)
    x = _entry_block(x, (728, 728), 4)
    for block in range(5, 13):
        x = _middle_block(x, block)
    x = _entry_block(x, (728, 1024), 13)
    for i, filters in enumerate((1536, 2048), start=1):
        x = _separable(x, filters, f"block14_sepconv{i}")
        x = _relu(x, f"block14_sepconv{i}_act")
    return x


def _entry_block(x: Any, filters: tuple[int, int], block: int, relu_first: bool = True) -> Any:
    """Two separable convolutions beside a 1x1 convolution, at half the height and the width."""
    shortcut = layers.Conv2D(filters[1], 1, strides=2, padding="same", use_bias=False)(x)
    shortcut = _normalized(shortcut)
    if relu_first:
        x = _relu(x, f"block{block}_sepconv1_act")
    x = _separable(x, filters[0], f"block{block}_sepconv1")
    x = _relu(x, f"block{block}_sepconv2_act")
    x = _separable(x, filters[1], f"block{block}_sepconv2")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"block{block}_pool")(x)
    return layers.Add()([x, shortcut])


def _middle_block(image: Any, block: int) -> Any:
    x = image
    for i in (1, 2, 3):
        x = _relu(x, f"block{block}_sepconv{i}_act")
        x = _separable(x, 728, f"block{block}_sepconv{i}")
    return layers.Add()([x, image])


def _separable(x: Any, filters: int, name: str) -> Any:
    x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return _normalized(x, f"{name}_bn")


def _normalized(x: Any, name: str | None = None) -> Any:
    return layers.BatchNormalization(name=name)(x)


def _relu(x: Any, name: str) -> Any:
    return layers.Activation("relu", name=name)(x)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels from 0..255 to -1..1, on which the weights were trained."""
    return imagenet_utils.preprocess_input(x, data_format=data_format, mode="tf")
