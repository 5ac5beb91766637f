"""Small residual networks for small images, such as CIFAR's (He et al., 2015, section 4.2): a CPU can train them."""

from __future__ import annotations

from typing import Any

from lamella import layers, ops
from lamella.applications import imagenet_utils, pretrained
from lamella.engine.image_data_format import channels_last_inside
from lamella.errors import ArgumentError
from lamella.models import Model

__all__ = ["ResNet20", "ResNet32", "ResNet44", "ResNet56"]


def ResNet20(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    name: str | None = "resnet20",
) -> Model:
    """The residual network of 20 layers for 32x32 images, 0.27 million weights (He et al., 2015, arXiv:1512.03385).

    Where a stage halves the image and doubles the channels, the shortcut takes every second pixel and adds channels of
    zeros: the paper's option A, without weights of its own. Bring the pixels to mean 0 and deviation 1 or so first.
    The paper trains with a weight decay of 1e-4, which is the optimizer's: `SGD(0.1, momentum=0.9, weight_decay=1e-4)`.

    Args:
        include_top: Whether the classifier, a mean over the image and a dense layer, is part of it.
        weights: None (random), or the path of a file of weights.
        input_tensor: A symbolic batch of images to begin with, in place of a new one.
        input_shape: (height, width, channels) of an image, at least 8 x 8.
        pooling: Without the classifier: None for the last feature map, (batch, height / 4, width / 4, 64); `"avg"` or
            `"max"` over it for (batch, 64).
        classes: How many classes the classifier tells apart.
        classifier_activation: The last activation; None for logits.
        name: The model's name.

    Raises:
        ArgumentError: Arguments that do not go together, or weights that are no file.
        ShapeError: An `input_shape` that it cannot take.

    Example:
        >>> model = ResNet20()
        >>> model.output_shape, model.count_params()
        ((None, 10), 271098)
    """
    arguments = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    return small_residual_network(3, *arguments)


def ResNet32(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    name: str | None = "resnet32",
) -> Model:
    """The residual network of 32 layers for small images, 0.46 million weights. As `ResNet20`."""
    arguments = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    return small_residual_network(5, *arguments)


def ResNet44(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    name: str | None = "resnet44",
) -> Model:
    """The residual network of 44 layers for small images, 0.66 million weights. As `ResNet20`."""
    arguments = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    return small_residual_network(7, *arguments)


def ResNet56(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    name: str | None = "resnet56",
) -> Model:
    """The residual network of 56 layers for small images, 0.85 million weights. As `ResNet20`."""
    arguments = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    return small_residual_network(9, *arguments)


@channels_last_inside
def small_residual_network(
    depth: int,
    include_top: bool,
    weights: Any,
    input_tensor: Any,
    input_shape: tuple[int | None, ...] | None,
    pooling: str | None,
    classes: int,
    classifier_activation: Any,
    name: str | None,
) -> Model:
    """The network of 6 * `depth` + 2 layers; the other arguments are those of `ResNet20`."""
    if weights == "imagenet":
        raise ArgumentError("The small ResNets have no ImageNet weights: weights=None, or the path of a file.")
    pretrained.check_arguments(include_top, weights, pooling, classes)
    image = pretrained.image_input(input_tensor, input_shape, 32, 8, include_top, weights)
    x = layers.Activation("relu", name="stem_relu")(_convolved(image, 16, "stem"))
    for stage, filters in enumerate((16, 32, 64), start=1):
        for i in range(1, depth + 1):
            x = _block(x, filters, f"stage{stage}_block{i}", shrink=stage > 1 and i == 1)
    if include_top:
        imagenet_utils.validate_activation(classifier_activation, weights)
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    else:
        x = pretrained.pooled(x, pooling, "avg_pool", "max_pool")
    model = pretrained.functional(input_tensor, image, x, name)
    if weights is not None:
        model.load_weights(weights)
    return model


def _block(x: Any, filters: int, name: str, shrink: bool) -> Any:
    """Two 3 x 3 convolutions added to `x`."""
    shortcut = x
    if shrink:
        shortcut = ops.pad(x[:, ::2, ::2], [[0, 0], [0, 0], [0, 0], [0, filters // 2]])
    x = layers.Activation("relu", name=f"{name}_1_relu")(_convolved(x, filters, f"{name}_1", 2 if shrink else 1))
    x = layers.Add(name=f"{name}_add")([shortcut, _convolved(x, filters, f"{name}_2")])
    return layers.Activation("relu", name=f"{name}_out")(x)


@channels_last_inside
def _convolved(x: Any, filters: int, name: str, strides: int = 1) -> Any:
    if strides > 1:  # "same" would centre the windows beside the pixels that the shortcut takes
        x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    convolution = layers.Conv2D(
        filters,
        3,
        strides=strides,
        padding="same" if strides == 1 else "valid",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )
    return layers.BatchNormalization(name=f"{name}_bn")(convolution(x))
