"""MobileNetV3: MobileNetV2 as a search for speed on phones changed it (Howard et al., 2019).

Example:
    >>> from lamella.applications import MobileNetV3Small
    >>> MobileNetV3Small(weights=None, classes=5).output_shape
    (None, 5)
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from lamella import layers
from lamella.applications import imagenet_utils
from lamella.applications.blocks import correct_pad, round_channels
from lamella.applications.imagenet_utils import decode_predictions
from lamella.applications.pretrained import check_arguments, functional, image_input, load_weights, pooled
from lamella.errors import ArgumentError
from lamella.models import Model

__all__ = ["MobileNetV3Large", "MobileNetV3Small", "decode_predictions", "preprocess_input"]

_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v3/"
_HASHES = {  # with the classifier, without
    "large_224_0.75_float": ("765b44a33ad4005b3ac83185abf1d0eb", "40af19a13ebea4e2ee0c676887f69a2e"),
    "large_224_1.0_float": ("59e551e166be033d707958cf9e29a6a7", "07fb09a5933dd0c8eaafa16978110389"),
    "large_minimalistic_224_1.0_float": ("675e7b876c45c57e9e63e6d90a36599c", "ec5221f64a2f6d1ef965a614bdae7973"),
    "small_224_0.75_float": ("cb65d4e5be93758266aa0a7f2c6708b7", "ebdb5cc8e0b497cd13a7c275d475c819"),
    "small_224_1.0_float": ("8768d4c2e7dee89b9d02b2d03d65d862", "d3e8ec802a04aa4fc771ee12a9a9b836"),
    "small_minimalistic_224_1.0_float": ("99cd97fb2fcdad2bf028eb838de69e37", "cde8136e733e811080d9fcd8a252f7e4"),
}


class _Block(NamedTuple):
    expansion: float
    filters: int
    size: int  # of the kernel
    stride: int
    squeeze: bool
    swish: bool


_SMALL = (  # table 2 of the paper
    _Block(1, 16, 3, 2, True, False),
    _Block(72 / 16, 24, 3, 2, False, False),
    _Block(88 / 24, 24, 3, 1, False, False),
    _Block(4, 40, 5, 2, True, True),
    _Block(6, 40, 5, 1, True, True),
    _Block(6, 40, 5, 1, True, True),
    _Block(3, 48, 5, 1, True, True),
    _Block(3, 48, 5, 1, True, True),
    _Block(6, 96, 5, 2, True, True),
    _Block(6, 96, 5, 1, True, True),
    _Block(6, 96, 5, 1, True, True),
)
_LARGE = (  # table 1 of the paper
    _Block(1, 16, 3, 1, False, False),
    _Block(4, 24, 3, 2, False, False),
    _Block(3, 24, 3, 1, False, False),
    _Block(3, 40, 5, 2, True, False),
    _Block(3, 40, 5, 1, True, False),
    _Block(3, 40, 5, 1, True, False),
    _Block(6, 80, 3, 2, False, True),
    _Block(2.5, 80, 3, 1, False, True),
    _Block(2.3, 80, 3, 1, False, True),
    _Block(2.3, 80, 3, 1, False, True),
    _Block(6, 112, 3, 1, True, True),
    _Block(6, 112, 3, 1, True, True),
    _Block(6, 160, 5, 2, True, True),
    _Block(6, 160, 5, 1, True, True),
    _Block(6, 160, 5, 1, True, True),
)
_KINDS = {"small": (_SMALL, 1024), "large": (_LARGE, 1280)}  # and the channels before the classifier


def MobileNetV3Small(
    input_shape: tuple[int | None, ...] | None = None,
    alpha: float = 1.0,
    minimalistic: bool = False,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    classes: int = 1000,
    pooling: str | None = None,
    dropout_rate: float = 0.2,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "MobileNetV3Small",
) -> Model:
    """MobileNetV3-Small, of "Searching for MobileNetV3" (Howard et al., 2019).

    It takes pixels from 0..255 and scales them itself. Images are at least 32 x 32, of any size by default.

    Args:
        input_shape: The shape of an image; by default any size, (None, None, 3).
        alpha: The width: every layer but the last has `alpha` times the paper's channels, in eights.
            Weights on ImageNet exist for 0.75 and 1; for 1 alone if `minimalistic`.
        minimalistic: Only ReLU, 3x3 convolutions, and no squeeze-and-excite: for accelerators slow at the others.
        include_top: Whether the network ends with its classifier.
        weights: `"imagenet"` (downloaded once), the path of a file with weights, or None for random ones.
        input_tensor: A symbolic batch of images to begin with, in place of a new input.
        pooling: Without the classifier: `"avg"` or `"max"` over the image, or None for the map of features.
        classes: The number of classes; 1000 with ImageNet's classifier.
        dropout_rate: The share that is dropped before the classifier in training.
        classifier_activation: The activation of the last layer; None gives logits.
        include_preprocessing: Whether the network scales the pixels; without, they are -1..1 already.
        name: The name of the model.

    Shapes: (batch, height, width, 3) -> (batch, classes), or features without the classifier.

    Raises:
        ArgumentError: Arguments that contradict each other, or unknown weights.
        ShapeError: Images that the network, or its weights, cannot take.
    """
    return _mobile_net(
        "small",
        input_shape,
        alpha,
        minimalistic,
        include_top,
        weights,
        input_tensor,
        classes,
        pooling,
        dropout_rate,
        classifier_activation,
        include_preprocessing,
        name,
    )


def MobileNetV3Large(
    input_shape: tuple[int | None, ...] | None = None,
    alpha: float = 1.0,
    minimalistic: bool = False,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    classes: int = 1000,
    pooling: str | None = None,
    dropout_rate: float = 0.2,
    classifier_activation: Any = "softmax",
    include_preprocessing: bool = True,
    name: str = "MobileNetV3Large",
) -> Model:
    """MobileNetV3-Large, of "Searching for MobileNetV3" (Howard et al., 2019).

    It takes pixels from 0..255 and scales them itself. Images are at least 32 x 32, of any size by default.

    Args:
        input_shape: The shape of an image; by default any size, (None, None, 3).
        alpha: The width: every layer but the last has `alpha` times the paper's channels, in eights.
            Weights on ImageNet exist for 0.75 and 1; for 1 alone if `minimalistic`.
        minimalistic: Only ReLU, 3x3 convolutions, and no squeeze-and-excite: for accelerators slow at the others.
        include_top: Whether the network ends with its classifier.
        weights: `"imagenet"` (downloaded once), the path of a file with weights, or None for random ones.
        input_tensor: A symbolic batch of images to begin with, in place of a new input.
        pooling: Without the classifier: `"avg"` or `"max"` over the image, or None for the map of features.
        classes: The number of classes; 1000 with ImageNet's classifier.
        dropout_rate: The share that is dropped before the classifier in training.
        classifier_activation: The activation of the last layer; None gives logits.
        include_preprocessing: Whether the network scales the pixels; without, they are -1..1 already.
        name: The name of the model.

    Shapes: (batch, height, width, 3) -> (batch, classes), or features without the classifier.

    Raises:
        ArgumentError: Arguments that contradict each other, or unknown weights.
        ShapeError: Images that the network, or its weights, cannot take.
    """
    return _mobile_net(
        "large",
        input_shape,
        alpha,
        minimalistic,
        include_top,
        weights,
        input_tensor,
        classes,
        pooling,
        dropout_rate,
        classifier_activation,
        include_preprocessing,
        name,
    )


def _mobile_net(
    kind: str,
    input_shape: tuple[int | None, ...] | None,
    alpha: float,
    minimalistic: bool,
    include_top: bool,
    weights: Any,
    input_tensor: Any,
    classes: int,
    pooling: str | None,
    dropout_rate: float,
    classifier_activation: Any,
    include_preprocessing: bool,
    name: str,
) -> Model:
    check_arguments(include_top, weights, pooling, classes)
    variant = f"{kind}{'_minimalistic' if minimalistic else ''}_224_{float(alpha)}_float"
    if weights == "imagenet" and variant not in _HASHES:
        raise ArgumentError(
            f"weights='imagenet' exist for `alpha` of 0.75 and 1, and minimalistic for 1 alone; got {alpha!r}. "
            f"Or: weights=None."
        )
    # The classifier is a convolution, so that it needs no fixed size.
    image = image_input(input_tensor, input_shape, 224, 32, include_top=False, weights=weights)
    if weights == "imagenet" and tuple(image.shape[1:3]) != (224, 224):
        warnings.warn("The weights were trained on 224 x 224 images; others are less sure.", stacklevel=3)
    blocks, last = _KINDS[kind]
    if minimalistic:
        blocks = tuple(_minimal(block) for block in blocks)
    x = layers.Rescaling(1.0 / 127.5, offset=-1.0)(image) if include_preprocessing else image
    x = _features(x, blocks, alpha, swish=not minimalistic)
    if include_top:
        imagenet_utils.validate_activation(classifier_activation, weights)
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Conv2D(round_channels(last * alpha) if alpha > 1.0 else last, 1, padding="same", name="conv_2")(x)
        x = _activation(x, swish=not minimalistic)
        if dropout_rate > 0:
            x = layers.Dropout(dropout_rate)(x)
        x = layers.Conv2D(classes, 1, padding="same", name="logits")(x)
        x = layers.Flatten()(x)
        x = layers.Activation(classifier_activation, name="predictions")(x)
    else:
        x = pooled(x, pooling, "avg_pool", "max_pool")
    model = functional(input_tensor, image, x, name)
    file = f"weights_mobilenet_v3_{variant}{'' if include_top else '_no_top_v2'}.h5"
    file_hash = _HASHES.get(variant, (None, None))[not include_top]
    return load_weights(model, weights, file, file_hash, _WEIGHTS + file)


def _minimal(block: _Block) -> _Block:
    """The block without what phones' accelerators are slow at."""
    return block._replace(size=3, squeeze=False, swish=False)


def _features(image: Any, blocks: Sequence[_Block], alpha: float, swish: bool) -> Any:
    x = _convolution(image, 16, 3, "conv", strides=2)
    x = _activation(x, swish)
    for i, block in enumerate(blocks):
        x = _inverted_residual(x, block, round_channels(block.filters * alpha), i)
    x = _convolution(x, round_channels(6 * x.shape[-1]), 1, "conv_1")
    return _activation(x, swish)


def _inverted_residual(image: Any, block: _Block, filters: int, i: int) -> Any:
    prefix = f"expanded_conv_{i}_" if i else "expanded_conv_"
    channels = image.shape[-1]
    inner = round_channels(channels * block.expansion)
    x = image
    if i:
        x = _convolution(x, inner, 1, f"{prefix}expand")
        x = _activation(x, block.swish)
    if block.stride == 2:
        x = layers.ZeroPadding2D(correct_pad(x, block.size), name=f"{prefix}depthwise_pad")(x)
    x = layers.DepthwiseConv2D(
        block.size,
        strides=block.stride,
        padding="same" if block.stride == 1 else "valid",
        use_bias=False,
        name=f"{prefix}depthwise",
    )(x)
    x = _normalized(x, f"{prefix}depthwise")
    x = _activation(x, block.swish)
    if block.squeeze:
        x = _squeeze_and_excite(x, inner, prefix)
    x = _convolution(x, filters, 1, f"{prefix}project")
    if block.stride == 1 and channels == filters:
        x = layers.Add(name=f"{prefix}add")([image, x])
    return x


def _squeeze_and_excite(image: Any, filters: int, prefix: str) -> Any:
    x = layers.GlobalAveragePooling2D(keepdims=True, name=f"{prefix}squeeze_excite_avg_pool")(image)
    x = layers.Conv2D(round_channels(filters / 4), 1, padding="same", name=f"{prefix}squeeze_excite_conv")(x)
    x = layers.ReLU(name=f"{prefix}squeeze_excite_relu")(x)
    x = layers.Conv2D(filters, 1, padding="same", name=f"{prefix}squeeze_excite_conv_1")(x)
    x = layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)
    return layers.Multiply(name=f"{prefix}squeeze_excite_mul")([image, x])


def _convolution(x: Any, filters: int, size: int, name: str, strides: int = 1) -> Any:
    x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False, name=name)(x)
    return _normalized(x, name)


def _normalized(x: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.999, name=f"{name}_bn")(x)


def _activation(x: Any, swish: bool) -> Any:
    return layers.Activation("hard_swish")(x) if swish else layers.ReLU()(x)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """`x` as it is: the network itself takes pixels from 0..255."""
    return x
