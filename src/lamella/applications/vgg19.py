"""VGG19: VGG16 with a fourth convolution in each of the last three blocks (Simonyan and Zisserman, 2014)."""

from __future__ import annotations

from typing import Any

from lamella.applications.imagenet_utils import decode_predictions
from lamella.applications.vgg16 import preprocess_input, vgg
from lamella.models import Model

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]


def VGG19(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "vgg19",
) -> Model:
    """The 19-layer network of VGG, 144 million weights. Arguments, images and errors are those of `VGG16`.

    Example:
        >>> VGG19(include_top=False, weights=None, input_shape=(64, 64, 3)).output_shape
        (None, 2, 2, 512)
    """
    arguments = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    return vgg("vgg19", (2, 2, 4, 4, 4), *arguments)
