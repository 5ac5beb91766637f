"""EfficientNetV2: EfficientNet with plain convolutions in its first stages, faster to train (Tan and Le, 2021).

Example:
    >>> from lamella.applications import EfficientNetV2B0
    >>> EfficientNetV2B0(weights=None, include_top=False, pooling="avg").output_shape
    (None, 1280)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lamella import layers
from lamella.applications import imagenet_utils
from lamella.applications.efficientnet import (
    classified,
    convolution,
    kernel_initializer,
    normalized_swish,
    residual,
    squeeze_and_excite,
)
from lamella.applications.imagenet_utils import decode_predictions
from lamella.applications.pretrained import check_arguments, functional, image_input, load_weights, pooled
from lamella.models import Model

__all__ = [
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "decode_predictions",
    "preprocess_input",
]

_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications/efficientnet_v2/"
_HASHES = {  # with the classifier, without
    "b0": ("21ecbf6da12460d5c40bb2f29ceb2188", "893217f2bb855e2983157299931e43ff"),
    "b1": ("069f0534ff22adf035c89e2d9547a9dc", "0e80663031ca32d657f9caa404b6ec37"),
    "b2": ("424e49f28180edbde1e94797771950a7", "1dfe2e7a5d45b6632553a8961ea609eb"),
    "b3": ("1f1fc43bd98a6e4fd8fdfd551e02c7a0", "f6abf7b5849ac99a89b50dd3fd532856"),
    "s": ("e1d88a8495beba45748fedd0cecbe016", "af0682fb74e8c54910f2d4393339c070"),
    "m": ("a3bf6aa3276309f4fc6a34aa114c95cd", "1b8dc055df72dde80d614482840fe342"),
    "l": ("27e6d408b53c7ebc868fefa357689935", "b0b66b5c863aef5b46e8608fe1711615"),
}
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class _Stage(NamedTuple):
    fused: bool  # one convolution in place of the 1x1 and the depthwise one
    blocks: int
    filters: int
    expansion: int
    stride: int  # of the first block


_B = (
    _Stage(True, 1, 16, 1, 1),
    _Stage(True, 2, 32, 4, 2),
    _Stage(True, 2, 48, 4, 2),
    _Stage(False, 3, 96, 4, 2),
    _Stage(False, 5, 112, 6, 1),
    _Stage(False, 8, 192, 6, 2),
)
_S = (
    _Stage(True, 2, 24, 1, 1),
    _Stage(True, 4, 48, 4, 2),
    _Stage(True, 4, 64, 4, 2),
    _Stage(False, 6, 128, 4, 2),
    _Stage(False, 9, 160, 6, 1),
    _Stage(False, 15, 256, 6, 2),
)
_M = (
    _Stage(True, 3, 24, 1, 1),
    _Stage(True, 5, 48, 4, 2),
    _Stage(True, 5, 80, 4, 2),
    _Stage(False, 7, 160, 4, 2),
    _Stage(False, 14, 176, 6, 1),
    _Stage(False, 18, 304, 6, 2),
    _Stage(False, 5, 512, 6, 1),
)
_L = (
    _Stage(True, 4, 32, 1, 1),
    _Stage(True, 7, 64, 4, 2),
    _Stage(True, 7, 96, 4, 2),
    _Stage(False, 10, 192, 4, 2),
    _Stage(False, 19, 224, 6, 1),
    _Stage(False, 25, 384, 6, 2),
    _Stage(False, 7, 640, 6, 1),
)
_MOMENTUM = 0.9
_DROP_CONNECT = 0.2

_DOC = """EfficientNetV2-{letter}, of "EfficientNetV2: smaller models and faster training" (Tan and Le, 2021).

    It takes pixels from 0..255 and scales them itself. Images are at least 32 x 32.

    Args:
        include_top: Whether the network ends with its classifier.
        weights: `"imagenet"` (downloaded once), the path of a file with weights, or None for random ones.
        input_tensor: A symbolic batch of images to begin with, in place of a new input.
        input_shape: The shape of an image. By default ({size}, {size}, 3), or any size without the classifier.
        pooling: Without the classifier: `"avg"` or `"max"` over the image, or None for the map of features.
        classes: The number of classes; 1000 with ImageNet's classifier.
        classifier_activation: The activation of the last layer; None gives logits.
        include_preprocessing: Whether the network scales the pixels; without, they are -1..1 already.
        name: The name of the model.

    Shapes: (batch, height, width, 3) -> (batch, classes), or features without the classifier.

    Raises:
        ArgumentError: Arguments that contradict each other, or unknown weights.
        ShapeError: Images that the network, or its weights, cannot take.
    """


def _variant(
    letter: str, size: int, stages: Sequence[_Stage], width: float = 1.0, depth: float = 1.0
) -> Callable[..., Model]:
    """The function that makes one of the networks: `width` times the channels of `stages`, `depth` times the layers."""
    key = letter.lower()

    def build(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        input_shape: tuple[int | None, ...] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        include_preprocessing: bool = True,
        name: str = f"efficientnetv2-{key}",
    ) -> Model:
        check_arguments(include_top, weights, pooling, classes)
        image = image_input(input_tensor, input_shape, size, 32, include_top, weights)
        x = _scaled(image, stages) if include_preprocessing else image
        x = _features(x, stages, width, depth)
        if include_top:
            imagenet_utils.validate_activation(classifier_activation, weights)
            x = classified(x, classes, classifier_activation, 0.2)
        else:
            x = pooled(x, pooling, "avg_pool", "max_pool")
        model = functional(input_tensor, image, x, name)
        file = f"efficientnetv2-{key}{'' if include_top else '_notop'}.h5"
        return load_weights(model, weights, file, _HASHES[key][not include_top], _WEIGHTS + file)

    build.__name__ = build.__qualname__ = f"EfficientNetV2{letter}"
    build.__doc__ = _DOC.format(letter=letter, size=size)
    return build


EfficientNetV2B0 = _variant("B0", 224, _B)
EfficientNetV2B1 = _variant("B1", 240, _B, depth=1.1)
EfficientNetV2B2 = _variant("B2", 260, _B, width=1.1, depth=1.2)
EfficientNetV2B3 = _variant("B3", 300, _B, width=1.2, depth=1.4)
EfficientNetV2S = _variant("S", 384, _S)
EfficientNetV2M = _variant("M", 480, _M)
EfficientNetV2L = _variant("L", 480, _L)


def _scaled(image: Any, stages: Sequence[_Stage]) -> Any:
    """Pixels from 0..255 as the weights were trained: B0 to B3 on normalized ones, the others on -1..1."""
    if stages is _B and image.shape[-1] == 3:
        x = layers.Rescaling(1.0 / 255)(image)
        return layers.Normalization(mean=_MEAN, variance=[std**2 for std in _STD])(x)
    return layers.Rescaling(1.0 / 128.0, offset=-1)(image)


def _features(image: Any, stages: Sequence[_Stage], width: float, depth: float) -> Any:
    stem = 24 if stages in (_S, _M) else 32
    x = convolution(image, _round(stem * width), 3, "stem_conv", strides=2)
    x = normalized_swish(x, "stem_bn", "stem_activation", _MOMENTUM)
    total, block = sum(stage.blocks for stage in stages), 0
    for i, stage in enumerate(stages, start=1):
        for j in range(math.ceil(depth * stage.blocks)):
            build = _fused_block if stage.fused else _block
            name, drop_rate = f"block{i}{chr(ord('a') + j)}_", _DROP_CONNECT * block / total
            x = build(x, _round(stage.filters * width), stage.expansion, 1 if j else stage.stride, drop_rate, name)
            block += 1
    x = convolution(x, _round(1280 * width), 1, "top_conv")
    return normalized_swish(x, "top_bn", "top_activation", _MOMENTUM)


def _block(image: Any, filters: int, expansion: int, stride: int, drop_rate: float, name: str) -> Any:
    channels = image.shape[-1]
    x = convolution(image, channels * expansion, 1, f"{name}expand_conv")
    x = normalized_swish(x, f"{name}expand_bn", f"{name}expand_activation", _MOMENTUM)
    x = layers.DepthwiseConv2D(
        3,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=kernel_initializer(),
        name=f"{name}dwconv2",
    )(x)
    x = normalized_swish(x, f"{name}bn", f"{name}activation", _MOMENTUM)
    x = squeeze_and_excite(x, max(1, channels // 4), name)
    x = convolution(x, filters, 1, f"{name}project_conv")
    x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}project_bn")(x)
    return residual(x, image, stride, drop_rate, name)


def _fused_block(image: Any, filters: int, expansion: int, stride: int, drop_rate: float, name: str) -> Any:
    if expansion == 1:
        x = convolution(image, filters, 3, f"{name}project_conv", strides=stride)
        x = normalized_swish(x, f"{name}project_bn", f"{name}project_activation", _MOMENTUM)
    else:
        channels = image.shape[-1]
        x = convolution(image, channels * expansion, 3, f"{name}expand_conv", strides=stride)
        x = normalized_swish(x, f"{name}expand_bn", f"{name}expand_activation", _MOMENTUM)
        x = convolution(x, filters, 1, f"{name}project_conv")
        x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}project_bn")(x)
    return residual(x, image, stride, drop_rate, name)


def _round(channels: float) -> int:
    """The nearest multiple of 8, and at least 8."""
    return max(8, int(channels + 4) // 8 * 8)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """`x` as it is: the network itself takes pixels from 0..255."""
    return x
