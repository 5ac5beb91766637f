"""ResNet: layers that learn what to add to their input (He et al., 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella import layers
from lamella.applications import imagenet_utils, pretrained
from lamella.applications.imagenet_utils import decode_predictions
from lamella.models import Model

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]

_ORIGIN = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
_HASHES = {  # with the classifier, without
    "resnet50": ("2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
    "resnet101": ("f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
    "resnet152": ("100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
    "resnet50v2": ("3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"),
    "resnet101v2": ("6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"),
    "resnet152v2": ("a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33"),
}
_FILTERS = (64, 128, 256, 512)


def ResNet50(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "resnet50",
) -> Model:
    """The residual network of 50 layers, 26 million weights (He et al., 2015, arXiv 1512.03385).

    Args:
        include_top: Whether the classifier, a mean over the image and a dense layer, is part of it.
        weights: `"imagenet"` (downloaded once), None (random), or the path of a file of weights.
        input_tensor: A symbolic batch of images to begin with, in place of a new one.
        input_shape: (height, width, channels) of an image, at least 32 x 32: (224, 224, 3) by default, and with
            ImageNet's classifier; without a classifier any size.
        pooling: Without the classifier: None for the last feature map, (batch, height / 32, width / 32, 2048); `"avg"`
            or `"max"` over it for (batch, 2048).
        classes: How many classes the classifier tells apart; 1000 with ImageNet's.
        classifier_activation: The last activation; None for logits.
        name: The model's name.

    Raises:
        ArgumentError: Arguments that do not go together, or weights that are no file.
        ShapeError: An `input_shape` that it cannot take.
        DownloadError: The weights are neither on this machine nor reachable.

    Images go through `preprocess_input` first.

    Example:
        >>> model = ResNet50(weights=None, input_shape=(64, 64, 3), classes=10)
        >>> model.output_shape, model.count_params()
        ((None, 10), 23608202)
    """
    arguments = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    return residual_network("resnet50", (3, 4, 6, 3), *arguments)


def ResNet101(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "resnet101",
) -> Model:
    """The residual network of 101 layers, 45 million weights. Arguments, images and errors are those of `ResNet50`."""
    arguments = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    return residual_network("resnet101", (3, 4, 23, 3), *arguments)


def ResNet152(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "resnet152",
) -> Model:
    """The residual network of 152 layers, 60 million weights. Arguments, images and errors are those of `ResNet50`."""
    arguments = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    return residual_network("resnet152", (3, 8, 36, 3), *arguments)


def residual_network(
    network: str,
    depths: Sequence[int],
    include_top: bool,
    weights: Any,
    input_tensor: Any,
    input_shape: tuple[int | None, ...] | None,
    pooling: str | None,
    classes: int,
    classifier_activation: Any,
    name: str | None,
) -> Model:
    """The network whose stack `s` has `depths[s]` blocks, preactivated if `network` ends in v2.

    The other arguments are those of `ResNet50`.
    """
    pretrained.check_arguments(include_top, weights, pooling, classes)
    image = pretrained.image_input(input_tensor, input_shape, 224, 32, include_top, weights)
    preactivated = network.endswith("v2")
    x = layers.ZeroPadding2D(3, name="conv1_pad")(image)
    x = layers.Conv2D(64, 7, strides=2, name="conv1_conv")(x)
    if not preactivated:
        x = _normalized(x, "conv1_bn", relu="conv1_relu")
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    for stack, (depth, filters) in enumerate(zip(depths, _FILTERS, strict=True), start=2):
        for i in range(1, depth + 1):
            if preactivated:
                x = _preactivated_block(x, filters, f"conv{stack}_block{i}", i == 1, shrink=i == depth and stack < 5)
            else:
                x = _block(x, filters, f"conv{stack}_block{i}", i == 1, shrink=i == 1 and stack > 2)
    if preactivated:
        x = _normalized(x, "post_bn", relu="post_relu")
    if include_top:
        imagenet_utils.validate_activation(classifier_activation, weights)
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    else:
        x = pretrained.pooled(x, pooling, "avg_pool", "max_pool")
    model = pretrained.functional(input_tensor, image, x, name)
    file_name = f"{network}_weights_tf_dim_ordering_tf_kernels{'' if include_top else '_notop'}.h5"
    return pretrained.load_weights(
        model, weights, file_name, _HASHES[network][0 if include_top else 1], f"{_ORIGIN}{file_name}"
    )


def _block(x: Any, filters: int, name: str, project: bool, shrink: bool) -> Any:
    """Three convolutions (1 x 1, 3 x 3, 1 x 1) added to `x`, or to a projection of it where the shapes differ."""
    strides = 2 if shrink else 1
    shortcut = x
    if project:
        shortcut = layers.Conv2D(4 * filters, 1, strides=strides, name=f"{name}_0_conv")(x)
        shortcut = _normalized(shortcut, f"{name}_0_bn")
    x = layers.Conv2D(filters, 1, strides=strides, name=f"{name}_1_conv")(x)
    x = _normalized(x, f"{name}_1_bn", relu=f"{name}_1_relu")
    x = layers.Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(x)
    x = _normalized(x, f"{name}_2_bn", relu=f"{name}_2_relu")
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    x = _normalized(x, f"{name}_3_bn")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _preactivated_block(x: Any, filters: int, name: str, project: bool, shrink: bool) -> Any:
    """As `_block`, with the normalization and the ReLU before each convolution, so that nothing bars the shortcut."""
    strides = 2 if shrink else 1
    active = _normalized(x, f"{name}_preact_bn", relu=f"{name}_preact_relu")
    if project:
        shortcut = layers.Conv2D(4 * filters, 1, strides=strides, name=f"{name}_0_conv")(active)
    else:
        shortcut = layers.MaxPooling2D(1, strides=strides)(x) if shrink else x
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_1_conv")(active)
    x = _normalized(x, f"{name}_1_bn", relu=f"{name}_1_relu")
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = layers.Conv2D(filters, 3, strides=strides, use_bias=False, name=f"{name}_2_conv")(x)
    x = _normalized(x, f"{name}_2_bn", relu=f"{name}_2_relu")
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    return layers.Add(name=f"{name}_out")([shortcut, x])


def _normalized(x: Any, name: str, relu: str | None = None) -> Any:
    x = layers.BatchNormalization(epsilon=1.001e-5, name=name)(x)
    return layers.Activation("relu", name=relu)(x) if relu else x


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """RGB pixels of 0..255 as ResNet was trained on: blue, green, red, each minus its mean. See `imagenet_utils`."""
    return imagenet_utils.preprocess_input(x, data_format, mode="caffe")
