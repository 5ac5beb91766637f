"""InceptionResNetV2: Inception's branches as residuals (Szegedy et al., 2017).

Example:
    >>> from lamella.applications.inception_resnet_v2 import preprocess_input
    >>> import numpy as np
    >>> preprocess_input(np.array([[[0.0, 127.5, 255.0]]])).tolist()
    [[[-1.0, 0.0, 1.0]]]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella import layers
from lamella.applications import imagenet_utils
from lamella.applications.imagenet_utils import decode_predictions
from lamella.applications.inception_v3 import Size, average_pooled, chain, convolution, halved, join, max_pooled, stem
from lamella.applications.pretrained import check_arguments, functional, image_input, load_weights, pooled
from lamella.layers.base import registry
from lamella.models import Model

__all__ = ["InceptionResNetV2", "decode_predictions", "preprocess_input"]

_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications/inception_resnet_v2/"
_HASHES = ("e693bd0210a403b3192acc6073ad2e96", "d19885ff4a710c122648d3b5c3b684e4")  # with the classifier, without
_Branches = Sequence[Sequence[tuple[int, Size]]]
_BLOCK35: _Branches = (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3)))
_BLOCK17: _Branches = (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1))))
_BLOCK8: _Branches = (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1))))


@registry.register(written_as=("keras.src.applications.inception_resnet_v2", "CustomScaleLayer"))
class CustomScaleLayer(layers.Layer):
    """The first input plus `scale` times the second: a residual made small, so that training stays stable.

    Args:
        scale: The factor of the second input.
        **kwargs: As for every layer.

    Shapes: two tensors of the same shape -> that shape.

    Example:
        >>> import torch
        >>> CustomScaleLayer(0.5)([torch.ones(2), torch.ones(2)])
        tensor([1.5000, 1.5000])
    """

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """The sum."""
        return inputs[0] + inputs[1] * self.scale

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the layer anew."""
        return {**super().get_config(), "scale": self.scale}


def InceptionResNetV2(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_resnet_v2",
) -> Model:
    """The network of "Inception-v4, Inception-ResNet and the impact of residual connections" (Szegedy et al., 2017).

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
    file = f"inception_resnet_v2_weights_tf_dim_ordering_tf_kernels{'' if include_top else '_notop'}.h5"
    return load_weights(model, weights, file, _HASHES[not include_top], _WEIGHTS + file)


def _features(image: Any) -> Any:
    x = stem(image)
    branches = [chain(x, (96, 1)), chain(x, (48, 1), (64, 5)), chain(x, (64, 1), (96, 3), (96, 3))]
    x = join([*branches, average_pooled(x, 64)], "mixed_5b")
    for i in range(1, 11):
        x = _residual(x, _BLOCK35, 0.17, f"block35_{i}")
    x = join([halved(x, 384), halved(chain(x, (256, 1), (256, 3)), 384), max_pooled(x)], "mixed_6a")
    for i in range(1, 21):
        x = _residual(x, _BLOCK17, 0.1, f"block17_{i}")
    branches = [
        halved(chain(x, (256, 1)), 384),
        halved(chain(x, (256, 1)), 288),
        halved(chain(x, (256, 1), (288, 3)), 320),
        max_pooled(x),
    ]
    x = join(branches, "mixed_7a")
    for i in range(1, 10):
        x = _residual(x, _BLOCK8, 0.2, f"block8_{i}")
    x = _residual(x, _BLOCK8, 1.0, "block8_10", activation=None)
    return convolution(x, 1536, 1, name="conv_7b")


def _residual(x: Any, branches: _Branches, scale: float, name: str, activation: str | None = "relu") -> Any:
    mixed = join([chain(x, *branch) for branch in branches], f"{name}_mixed")
    change = layers.Conv2D(x.shape[-1], 1, padding="same", name=f"{name}_conv")(mixed)
    x = CustomScaleLayer(scale)([x, change])
    return x if activation is None else layers.Activation(activation, name=f"{name}_ac")(x)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels from 0..255 to -1..1, on which the weights were trained."""
    return imagenet_utils.preprocess_input(x, data_format=data_format, mode="tf")
