"""MobileNetV2: thin layers between wide ones, and depthwise convolutions (Sandler et al., 2018).

Example:
    >>> from lamella.applications import MobileNetV2
    >>> MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=5).output_shape
    (None, 5)
"""

from __future__ import annotations

import warnings
from typing import Any

from lamella import layers
from lamella.applications import imagenet_utils
from lamella.applications.blocks import correct_pad, round_channels, trained_size
from lamella.applications.imagenet_utils import decode_predictions
from lamella.applications.pretrained import check_arguments, functional, image_input, load_weights, pooled
from lamella.errors import ArgumentError
from lamella.models import Model

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
_SIZES = (96, 128, 160, 192, 224)
_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
_BLOCKS = (
    # expansion, filters, blocks, stride of the first block: table 2 of the paper
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def MobileNetV2(
    input_shape: tuple[int | None, ...] | None = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Model:
    """The network of "MobileNetV2: inverted residuals and linear bottlenecks" (Sandler et al., 2018).

    Pixels go through `preprocess_input` (-1..1). Images are at least 32 x 32.

    Args:
        input_shape: The shape of an image; by default (224, 224, 3), or any size without the classifier.
        alpha: The width: every layer but the last has `alpha` times the paper's channels, in eights.
            Weights on ImageNet exist for 0.35, 0.5, 0.75, 1, 1.3 and 1.4, and squares of 96, 128, 160, 192 and 224.
        include_top: Whether the network ends with its classifier.
        weights: `"imagenet"` (downloaded once), the path of a file with weights, or None for random ones.
        input_tensor: A symbolic batch of images to begin with, in place of a new input.
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
    if weights == "imagenet" and alpha not in _ALPHAS:
        raise ArgumentError(f"weights='imagenet' exist for `alpha` of {_ALPHAS}; got {alpha!r}. Or: weights=None.")
    image = image_input(input_tensor, input_shape, trained_size(input_shape, _SIZES), 32, include_top, weights)
    rows, columns = image.shape[1:3]
    if weights == "imagenet" and (rows != columns or rows not in _SIZES):
        warnings.warn(f"No weights for {rows} x {columns} images: those for 224 x 224 are loaded.", stacklevel=2)
        rows = 224
    x = _features(image, alpha)
    if include_top:
        imagenet_utils.validate_activation(classifier_activation, weights)
        x = layers.GlobalAveragePooling2D()(x)
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    else:
        x = pooled(x, pooling)
    model = functional(input_tensor, image, x, name or f"mobilenetv2_{alpha:0.2f}_{rows}")
    top = "" if include_top else "_no_top"
    file = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{rows}{top}.h5"
    return load_weights(model, weights, file, None, _WEIGHTS + file)


def _features(image: Any, alpha: float) -> Any:
    x = _convolution(image, round_channels(32 * alpha), 3, "Conv1", "bn_Conv1", strides=2)
    x = layers.ReLU(6.0, name="Conv1_relu")(x)
    block = 0
    for expansion, filters, repeats, stride in _BLOCKS:
        for repeat in range(repeats):
            x = _inverted_residual(x, expansion, round_channels(int(filters * alpha)), 1 if repeat else stride, block)
            block += 1
    last = round_channels(1280 * alpha) if alpha > 1.0 else 1280  # the paper narrows all layers but the last
    x = _convolution(x, last, 1, "Conv_1", "Conv_1_bn")
    return layers.ReLU(6.0, name="out_relu")(x)


def _inverted_residual(image: Any, expansion: int, filters: int, stride: int, block: int) -> Any:
    prefix = f"block_{block}_" if block else "expanded_conv_"
    channels = image.shape[-1]
    x = image
    if block:
        x = _convolution(x, expansion * channels, 1, f"{prefix}expand", f"{prefix}expand_BN")
        x = layers.ReLU(6.0, name=f"{prefix}expand_relu")(x)
    if stride == 2:
        x = layers.ZeroPadding2D(correct_pad(x, 3), name=f"{prefix}pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False, name=f"{prefix}depthwise")(x)
    x = _normalized(x, f"{prefix}depthwise_BN")
    x = layers.ReLU(6.0, name=f"{prefix}depthwise_relu")(x)
    x = _convolution(x, filters, 1, f"{prefix}project", f"{prefix}project_BN")
    if stride == 1 and channels == filters:
        x = layers.Add(name=f"{prefix}add")([image, x])
    return x


def _convolution(x: Any, filters: int, size: int, name: str, norm_name: str, strides: int = 1) -> Any:
    x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False, name=name)(x)
    return _normalized(x, norm_name)


def _normalized(x: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.999, name=name)(x)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels from 0..255 to -1..1, on which the weights were trained."""
    return imagenet_utils.preprocess_input(x, data_format=data_format, mode="tf")
