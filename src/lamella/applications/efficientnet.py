"""EfficientNet: depth, width and image size grown together (Tan and Le, 2019).

Example:
    >>> from lamella.applications import EfficientNetB0
    >>> EfficientNetB0(weights=None, include_top=False, pooling="avg").output_shape
    (None, 1280)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lamella import initializers, layers
from lamella.applications import imagenet_utils
from lamella.applications.blocks import correct_pad, round_channels
from lamella.applications.imagenet_utils import decode_predictions
from lamella.applications.pretrained import check_arguments, functional, image_input, load_weights, pooled
from lamella.models import Model

__all__ = [
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "decode_predictions",
    "preprocess_input",
]

_WEIGHTS = "https://storage.googleapis.com/keras-applications/"
_HASHES = (  # with the classifier, without
    ("902e53a9f72be733fc0bcb005b3ebbac", "50bc09e76180e00e4465e1a485ddc09d"),
    ("1d254153d4ab51201f1646940f018540", "74c4e6b3e1f6a1eea24c589628592432"),
    ("b15cce36ff4dcbd00b6dd88e7857a6ad", "111f8e2ac8aa800a7a99e3239f7bfb39"),
    ("ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226"),
    ("18c95ad55216b8f92d7e70b3a046e2fc", "ebc24e6d6c33eaebbd558eafbeedf1ba"),
    ("ace28f2a6363774853a83a0b21b9421a", "38879255a25d3c92d5e44e04ae6cec6f"),
    ("165f6e37dce68623721b423839de8be5", "9ecce42647a20130c1f39a5d4cb75743"),
    ("8c03f828fec3ef71311cd463b6759d99", "cbcfe4450ddf6f3ad90b1b398090fe4a"),
)
_STAGES = (
    # kernel size, blocks, filters, expansion, stride of the first block: table 1 of the paper
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
_STD = (0.229, 0.224, 0.225)
_DROP_CONNECT = 0.2

_DOC = """EfficientNet-B{number}, of "EfficientNet: rethinking model scaling" (Tan and Le, 2019).

    It takes pixels from 0..255 and normalizes them itself. Images are at least 32 x 32.

    Args:
        include_top: Whether the network ends with its classifier.
        weights: `"imagenet"` (downloaded once), the path of a file with weights, or None for random ones.
        input_tensor: A symbolic batch of images to begin with, in place of a new input.
        input_shape: The shape of an image. By default ({size}, {size}, 3), or any size without the classifier.
        pooling: Without the classifier: `"avg"` or `"max"` over the image, or None for the map of features.
        classes: The number of classes; 1000 with ImageNet's classifier.
        classifier_activation: The activation of the last layer; None gives logits.
        name: The name of the model.

    Shapes: (batch, height, width, 3) -> (batch, classes), or features without the classifier.

    Raises:
        ArgumentError: Arguments that contradict each other, or unknown weights.
        ShapeError: Images that the network, or its weights, cannot take.
    """


def _variant(number: int, width: float, depth: float, size: int, dropout: float) -> Callable[..., Model]:
    """The function that makes B`number`: `width` times the channels of B0, `depth` times the layers."""

    def build(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        input_shape: tuple[int | None, ...] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str = f"efficientnetb{number}",
    ) -> Model:
        check_arguments(include_top, weights, pooling, classes)
        image = image_input(input_tensor, input_shape, size, 32, include_top, weights)
        x = _features(image, width, depth, weights == "imagenet")
        if include_top:
            imagenet_utils.validate_activation(classifier_activation, weights)
            x = classified(x, classes, classifier_activation, dropout)
        else:
            x = pooled(x, pooling, "avg_pool", "max_pool")
        model = functional(input_tensor, image, x, name)
        file = f"efficientnetb{number}{'' if include_top else '_notop'}.h5"
        return load_weights(model, weights, file, _HASHES[number][not include_top], _WEIGHTS + file)

    build.__name__ = build.__qualname__ = f"EfficientNetB{number}"
    build.__doc__ = _DOC.format(number=number, size=size)
    return build


EfficientNetB0 = _variant(0, 1.0, 1.0, 224, 0.2)
EfficientNetB1 = _variant(1, 1.0, 1.1, 240, 0.2)
EfficientNetB2 = _variant(2, 1.1, 1.2, 260, 0.3)
EfficientNetB3 = _variant(3, 1.2, 1.4, 300, 0.3)
EfficientNetB4 = _variant(4, 1.4, 1.8, 380, 0.4)
EfficientNetB5 = _variant(5, 1.6, 2.2, 456, 0.4)
EfficientNetB6 = _variant(6, 1.8, 2.6, 528, 0.5)
EfficientNetB7 = _variant(7, 2.0, 3.1, 600, 0.5)


def _features(image: Any, width: float, depth: float, pretrained: bool) -> Any:
    x = layers.Rescaling(1.0 / 255.0)(image)
    x = layers.Normalization()(x)
    if pretrained:  # the weights on ImageNet were trained with pixels divided by the root of the deviation
        x = layers.Rescaling([1.0 / math.sqrt(std) for std in _STD])(x)
    x = layers.ZeroPadding2D(correct_pad(x, 3), name="stem_conv_pad")(x)
    x = convolution(x, round_channels(32 * width), 3, "stem_conv", strides=2, padding="valid")
    x = normalized_swish(x, "stem_bn", "stem_activation")
    repeats = [math.ceil(depth * stage[1]) for stage in _STAGES]
    block = 0
    for i, (size, _, filters, expansion, stride) in enumerate(_STAGES):
        for j in range(repeats[i]):
            name = f"block{i + 1}{chr(ord('a') + j)}_"
            drop_rate = _DROP_CONNECT * block / sum(repeats)
            x = _block(x, round_channels(filters * width), size, 1 if j else stride, expansion, drop_rate, name)
            block += 1
    x = convolution(x, round_channels(1280 * width), 1, "top_conv")
    return normalized_swish(x, "top_bn", "top_activation")


def _block(image: Any, filters: int, size: int, stride: int, expansion: int, drop_rate: float, name: str) -> Any:
    channels = image.shape[-1]
    x = image
    if expansion != 1:
        x = convolution(x, channels * expansion, 1, f"{name}expand_conv")
        x = normalized_swish(x, f"{name}expand_bn", f"{name}expand_activation")
    if stride == 2:
        x = layers.ZeroPadding2D(correct_pad(x, size), name=f"{name}dwconv_pad")(x)
    x = layers.DepthwiseConv2D(
        size,
        strides=stride,
        padding="same" if stride == 1 else "valid",
        use_bias=False,
        depthwise_initializer=kernel_initializer(),
        name=f"{name}dwconv",
    )(x)
    x = normalized_swish(x, f"{name}bn", f"{name}activation")
    x = squeeze_and_excite(x, max(1, channels // 4), name)
    x = convolution(x, filters, 1, f"{name}project_conv")
    x = layers.BatchNormalization(name=f"{name}project_bn")(x)
    return residual(x, image, stride, drop_rate, name)


def residual(x: Any, image: Any, stride: int, drop_rate: float, name: str) -> Any:
    """Adds the block's input where it has the shape of the output; the block is left out for some samples."""
    if stride != 1 or x.shape[-1] != image.shape[-1]:
        return x
    if drop_rate > 0:
        x = layers.Dropout(drop_rate, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(x)
    return layers.Add(name=f"{name}add")([x, image])


def squeeze_and_excite(image: Any, reduced: int, name: str) -> Any:
    """Weighs the channels by what the whole image shows, through `reduced` numbers."""
    filters = image.shape[-1]
    x = layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(image)
    x = layers.Reshape((1, 1, filters), name=f"{name}se_reshape")(x)
    for units, activation, part in ((reduced, "swish", "se_reduce"), (filters, "sigmoid", "se_expand")):
        x = layers.Conv2D(
            units,
            1,
            padding="same",
            activation=activation,
            kernel_initializer=kernel_initializer(),
            name=f"{name}{part}",
        )(x)
    return layers.Multiply(name=f"{name}se_excite")([image, x])


def convolution(x: Any, filters: int, size: int, name: str, strides: int = 1, padding: str = "same") -> Any:
    """A convolution without bias, started for swish."""
    return layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer=kernel_initializer(),
        name=name,
    )(x)


def classified(x: Any, classes: int, activation: Any, dropout: float) -> Any:
    """The classifier on a map of features."""
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dropout(dropout, name="top_dropout")(x)
    start = initializers.VarianceScaling(1.0 / 3.0, mode="fan_out", distribution="uniform")
    return layers.Dense(classes, activation=activation, kernel_initializer=start, name="predictions")(x)


def kernel_initializer() -> initializers.Initializer:
    """Where the kernels of convolutions start."""
    return initializers.VarianceScaling(2.0, mode="fan_out", distribution="truncated_normal")


def normalized_swish(x: Any, norm_name: str, swish_name: str, momentum: float = 0.99) -> Any:
    """Batch normalization and the activation x * sigmoid(x)."""
    x = layers.BatchNormalization(momentum=momentum, name=norm_name)(x)
    return layers.Activation("swish", name=swish_name)(x)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """`x` as it is: the network itself takes pixels from 0..255."""
    return x
