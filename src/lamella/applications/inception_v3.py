"""InceptionV3: branches of convolutions of several sizes, side by side (Szegedy et al., 2016).

Example:
    >>> from lamella.applications import InceptionV3
    >>> InceptionV3(weights=None, include_top=False, pooling="avg").output_shape
    (None, 2048)
"""

from __future__ import annotations

from typing import Any

from lamella import layers
from lamella.applications import imagenet_utils
from lamella.applications.imagenet_utils import decode_predictions
from lamella.applications.pretrained import check_arguments, functional, image_input, load_weights, pooled
from lamella.models import Model

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]

_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
_HASHES = ("9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63")  # with the classifier, without
Size = int | tuple[int, int]


def InceptionV3(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_v3",
) -> Model:
    """The network of "Rethinking the Inception architecture for computer vision" (Szegedy et al., 2016).

    Pixels go through `preprocess_input` (-1..1). Images are at least 75 x 75.

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
    image = image_input(input_tensor, input_shape, 299, 75, include_top, weights)
    x = _features(image)
    if include_top:
        imagenet_utils.validate_activation(classifier_activation, weights)
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    else:
        x = pooled(x, pooling)
    model = functional(input_tensor, image, x, name)
    file = f"inception_v3_weights_tf_dim_ordering_tf_kernels{'' if include_top else '_notop'}.h5"
    return load_weights(model, weights, file, _HASHES[not include_top], _WEIGHTS + file)


def _features(image: Any) -> Any:
    x = stem(image)
    for i, filters in enumerate((32, 64, 64)):
        x = _mixed_5x5(x, filters, f"mixed{i}")
    x = join([halved(x, 384), halved(chain(x, (64, 1), (96, 3)), 96), max_pooled(x)], "mixed3")
    for i, filters in enumerate((128, 160, 160, 192), start=4):
        x = _mixed_7x7(x, filters, f"mixed{i}")
    threes = halved(chain(x, (192, 1)), 320)
    sevens = halved(chain(x, (192, 1), (192, (1, 7)), (192, (7, 1))), 192)
    x = join([threes, sevens, max_pooled(x)], "mixed8")
    for i in range(2):
        x = _mixed_3x3(x, i)
    return x


def stem(image: Any) -> Any:
    """An eighth of the height and the width, with 192 channels."""
    x = halved(image, 32)
    x = convolution(x, 32, 3, padding="valid")
    x = convolution(x, 64, 3)
    x = max_pooled(x)
    x = convolution(x, 80, 1, padding="valid")
    x = convolution(x, 192, 3, padding="valid")
    return max_pooled(x)


def _mixed_5x5(x: Any, pooled: int, name: str) -> Any:
    """The first three modules: figure 5 of the paper, with 5x5 convolutions in one branch."""
    branches = [
        chain(x, (64, 1)),
        chain(x, (48, 1), (64, 5)),
        chain(x, (64, 1), (96, 3), (96, 3)),
        average_pooled(x, pooled),
    ]
    return join(branches, name)


def _mixed_7x7(x: Any, filters: int, name: str) -> Any:
    """The modules in the middle: figure 6 of the paper, 7x7 convolutions as 1x7 and 7x1."""
    wide, high = (1, 7), (7, 1)
    branches = [
        chain(x, (192, 1)),
        chain(x, (filters, 1), (filters, wide), (192, high)),
        chain(x, (filters, 1), (filters, high), (filters, wide), (filters, high), (192, wide)),
        average_pooled(x, 192),
    ]
    return join(branches, name)


def _mixed_3x3(x: Any, i: int) -> Any:
    """The last two modules: figure 7 of the paper, 1x3 and 3x1 convolutions side by side."""
    ones = chain(x, (320, 1))
    threes = _side_by_side(chain(x, (384, 1)), f"mixed9_{i}")
    doubles = _side_by_side(chain(x, (448, 1), (384, 3)))
    return join([ones, threes, doubles, average_pooled(x, 192)], f"mixed{9 + i}")


def _side_by_side(x: Any, name: str | None = None) -> Any:
    return join([chain(x, (384, (1, 3))), chain(x, (384, (3, 1)))], name)


def chain(x: Any, *convolutions: tuple[int, Size]) -> Any:
    """Convolutions of (filters, size), one after the other."""
    for filters, size in convolutions:
        x = convolution(x, filters, size)
    return x


def halved(x: Any, filters: int) -> Any:
    """A 3x3 convolution that halves the height and the width."""
    return convolution(x, filters, 3, strides=2, padding="valid")


def max_pooled(x: Any) -> Any:
    """The greatest of 3x3 values, at half the height and the width."""
    return layers.MaxPooling2D(3, strides=2)(x)


def average_pooled(x: Any, filters: int) -> Any:
    """The mean of 3x3 values at every place, then a 1x1 convolution."""
    x = layers.AveragePooling2D(3, strides=1, padding="same")(x)
    return convolution(x, filters, 1)


def join(branches: list[Any], name: str | None = None) -> Any:
    """The channels of all branches."""
    return layers.Concatenate(name=name)(branches)


def convolution(
    x: Any, filters: int, size: Size, strides: int = 1, padding: str = "same", name: str | None = None
) -> Any:
    """A convolution without bias, batch normalization without scale, ReLU."""
    x = layers.Conv2D(filters, size, strides=strides, padding=padding, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(scale=False, name=name and f"{name}_bn")(x)
    return layers.Activation("relu", name=name and f"{name}_ac")(x)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels from 0..255 to -1..1, on which the weights were trained."""
    return imagenet_utils.preprocess_input(x, data_format=data_format, mode="tf")
