"""ResNet V2: normalization and ReLU before each convolution, so that nothing bars the shortcuts (He et al., 2016)."""

from __future__ import annotations

from typing import Any

from lamella.applications import imagenet_utils
from lamella.applications.imagenet_utils import decode_predictions
from lamella.applications.resnet import residual_network
from lamella.models import Model

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]


def ResNet50V2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "resnet50v2",
) -> Model:
    """The preactivated residual network of 50 layers, 26 million weights (He et al., 2016, arXiv 1603.05027).

    Arguments and errors are those of `ResNet50`; images go through this module's `preprocess_input`.

    Example:
        >>> ResNet50V2(include_top=False, weights=None, input_shape=(64, 64, 3), pooling="max").output_shape
        (None, 2048)
    """
    arguments = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    return residual_network("resnet50v2", (3, 4, 6, 3), *arguments)


def ResNet101V2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "resnet101v2",
) -> Model:
    """The preactivated residual network of 101 layers, 45 million weights. As `ResNet50V2`."""
    arguments = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    return residual_network("resnet101v2", (3, 4, 23, 3), *arguments)


def ResNet152V2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "resnet152v2",
) -> Model:
    """The preactivated residual network of 152 layers, 60 million weights. As `ResNet50V2`."""
    arguments = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    return residual_network("resnet152v2", (3, 8, 36, 3), *arguments)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """RGB pixels of 0..255 as ResNet V2 was trained on: -1..1. See `imagenet_utils`."""
    return imagenet_utils.preprocess_input(x, data_format, mode="tf")
