"""MobileNet: depthwise convolutions, each followed by one across the channels (Howard et al., 2017).

Example:
    >>> from lamella.applications import MobileNet
    >>> MobileNet((32, 32, 3), alpha=0.25, weights=None, classes=5).output_shape
    (None, 5)
"""

from __future__ import annotations

import warnings
from typing import Any

from lamella import layers
from lamella.applications import imagenet_utils
from lamella.applications.blocks import trained_size
from lamella.applications.imagenet_utils import decode_predictions
from lamella.applications.pretrained import check_arguments, functional, image_input, load_weights, pooled
from lamella.errors import ArgumentError
from lamella.models import Model

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/"
_SIZES = (128, 160, 192, 224)
_ALPHAS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}  # as the names of the files spell them
_BLOCKS = (
    # filters, stride: table 1 of the paper
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)


def MobileNet(
    input_shape: tuple[int | None, ...] | None = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 1e-3,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Model:
    """The network of "MobileNets: efficient convolutional neural networks for mobile vision" (Howard et al., 2017).

    Pixels go through `preprocess_input` (-1..1). Images are at least 32 x 32.

    Args:
        input_shape: The shape of an image; by default (224, 224, 3), or any size without the classifier.
        alpha: The width: every layer has `alpha` times the paper's channels. Weights on ImageNet exist for 0.25,
            0.5, 0.75 and 1, and squares of 128, 160, 192 and 224.
        depth_multiplier: How many channels a depthwise convolution makes of one; 1 with ImageNet's weights.
        dropout: The share that is dropped before the classifier in training.
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
    if weights == "imagenet" and (alpha not in _ALPHAS or depth_multiplier != 1):
        raise ArgumentError(
            f"weights='imagenet' exist for `alpha` of {tuple(_ALPHAS)} and a `depth_multiplier` of 1; got {alpha!r} "
            f"and {depth_multiplier!r}. Or: weights=None."
        )
    image = image_input(input_tensor, input_shape, trained_size(input_shape, _SIZES), 32, include_top, weights)
    rows, columns = image.shape[1:3]
    if weights == "imagenet" and (rows != columns or rows not in _SIZES):
        warnings.warn(f"No weights for {rows} x {columns} images: those for 224 x 224 are loaded.", stacklevel=2)
        rows = 224
    x = _features(image, alpha, depth_multiplier)
    if include_top:
        imagenet_utils.validate_activation(classifier_activation, weights)
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Dropout(dropout, name="dropout")(x)
        x = layers.Conv2D(classes, 1, padding="same", name="conv_preds")(x)
        x = layers.Reshape((classes,), name="reshape_2")(x)
        x = layers.Activation(classifier_activation, name="predictions")(x)
    else:
        x = pooled(x, pooling)
    model = functional(input_tensor, image, x, name or f"mobilenet_{alpha:0.2f}_{rows}")
    file = f"mobilenet_{_ALPHAS.get(alpha)}_{rows}_tf{'' if include_top else '_no_top'}.h5"
    return load_weights(model, weights, file, None, _WEIGHTS + file)


def _features(image: Any, alpha: float, depth_multiplier: int) -> Any:
    x = layers.Conv2D(int(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="conv1")(image)
    x = _normalized_relu(x, "conv1")
    for i, (filters, stride) in enumerate(_BLOCKS, start=1):
        x = _separable(x, int(filters * alpha), depth_multiplier, stride, i)
    return x


def _separable(x: Any, filters: int, depth_multiplier: int, stride: int, i: int) -> Any:
    if stride == 2:
        x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{i}")(x)
    x = layers.DepthwiseConv2D(
        3,
        strides=stride,
        padding="same" if stride == 1 else "valid",
        depth_multiplier=depth_multiplier,
        use_bias=False,
        name=f"conv_dw_{i}",
    )(x)
    x = _normalized_relu(x, f"conv_dw_{i}")
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"conv_pw_{i}")(x)
    return _normalized_relu(x, f"conv_pw_{i}")


def _normalized_relu(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels from 0..255 to -1..1, on which the weights were trained."""
    return imagenet_utils.preprocess_input(x, data_format=data_format, mode="tf")
