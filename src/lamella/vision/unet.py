"""`UNet`: from pictures to the class of each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella import layers
from lamella.engine.image_data_format import channels_last_inside
from lamella.errors import ArgumentError
from lamella.models import Model
from lamella.saving import register_keras_serializable


@channels_last_inside
def UNet(
    num_classes: int = 1,
    input_shape: Sequence[int | None] = (None, None, 3),
    depth: int = 4,
    filters: int = 64,
    batch_normalization: bool = True,
    dropout: float = 0.0,
    activation: Any = "relu",
    up: str = "transpose",
    classifier_activation: Any = "auto",
    include_rescaling: bool = True,
    name: str = "unet",
) -> Model:
    """A network that narrows and widens again, with a bridge between the two at each size.

    It differs from the paper in that convolutions are padded, so that the masks are as large as the pictures; pictures
    may have any size. With a fixed `input_shape` whose sides are multiples of 2^depth it is made of Keras's layers
    alone, and Keras opens its `.keras` file; otherwise Lamella does, and weights go both ways in any case.

    Args:
        num_classes: 1 for an object and its background (one output), or the number of classes, background included.
        input_shape: (height, width, channels) of the pictures; None for sides that may differ from batch to batch.
        depth: How many times the picture is halved.
        filters: Channels of the first level; each further one has twice as many. 16 to 32 train well on a CPU.
        batch_normalization: Whether each convolution is normalized (and then has no bias).
        dropout: The share of activations dropped at the end of the narrowing path (its last two levels).
        activation: After each 3x3 convolution.
        up: How maps are doubled: `"transpose"`, a 2x2 transposed convolution as in the paper, or `"resize"`, a 1x1
            convolution and bilinear interpolation, which leaves no checkerboard and has fewer weights.
        classifier_activation: `"auto"` is a sigmoid for one output and a softmax for more; None leaves logits, for
            losses with `from_logits=True`.
        include_rescaling: Whether the network divides by 255 itself; then pictures have values from 0 to 255.
        name: A name.

    Returns:
        A functional model from (batch, height, width, channels) to (batch, height, width, num_classes).

    Raises:
        ArgumentError: Arguments that cannot be.

    Source: Ronneberger et al., U-Net: convolutional networks for biomedical image segmentation, 2015.

    Example:
        >>> import torch
        >>> model = UNet(num_classes=3, depth=2, filters=4)
        >>> model(torch.zeros(1, 30, 45, 3)).shape
        torch.Size([1, 30, 45, 3])
    """
    input_shape = tuple(input_shape)
    _check(num_classes, input_shape, depth, filters, dropout, up)
    if classifier_activation == "auto":
        classifier_activation = "sigmoid" if num_classes == 1 else "softmax"
    any_size = any(side is None or side % 2**depth for side in input_shape[:2])

    def block(x: Any, width: int, prefix: str) -> Any:
        for i in (1, 2):
            x = layers.Conv2D(
                width,
                3,
                padding="same",
                use_bias=not batch_normalization,
                kernel_initializer="he_normal",
                name=f"{prefix}_conv{i}",
            )(x)
            if batch_normalization:
                x = layers.BatchNormalization(momentum=0.9, name=f"{prefix}_norm{i}")(x)
            x = layers.Activation(activation, name=f"{prefix}_activation{i}")(x)
        return x

    def doubled(x: Any, width: int, prefix: str) -> Any:
        if up == "transpose":
            return layers.Conv2DTranspose(width, 2, 2, kernel_initializer="he_normal", name=f"{prefix}_up")(x)
        x = layers.Conv2D(width, 1, kernel_initializer="he_normal", name=f"{prefix}_narrow")(x)
        return layers.UpSampling2D(2, interpolation="bilinear", name=f"{prefix}_up")(x)

    images = layers.Input(input_shape, name="images")
    x = layers.Rescaling(1 / 255, name="rescaling")(images) if include_rescaling else images
    bridges = []
    for level in range(depth):
        x = block(x, filters * 2**level, f"down{level + 1}")
        if dropout and level == depth - 1:
            x = layers.Dropout(dropout, name=f"down{level + 1}_dropout")(x)
        bridges.append(x)
        x = layers.MaxPooling2D(2, padding="same", name=f"down{level + 1}_pool")(x)
    x = block(x, filters * 2**depth, "bottom")
    if dropout:
        x = layers.Dropout(dropout, name="bottom_dropout")(x)
    for level in reversed(range(depth)):
        prefix = f"up{level + 1}"
        x = doubled(x, filters * 2**level, prefix)
        if any_size:
            x = CropLike(name=f"{prefix}_crop")([x, bridges[level]])
        x = layers.Concatenate(name=f"{prefix}_bridge")([bridges[level], x])
        x = block(x, filters * 2**level, prefix)
    outputs = layers.Conv2D(num_classes, 1, activation=classifier_activation, name="classes")(x)
    return Model(images, outputs, name=name)


@register_keras_serializable(package="lamella")
class CropLike(layers.Layer):
    """Cuts rows and columns off the end of a map, so that it is as large as another.

    Shapes: [(batch, height, width, channels), (batch, height', width', any)] -> (batch, height', width', channels),
    where the first is the larger.

    Example:
        >>> import torch
        >>> CropLike()([torch.ones(1, 8, 8, 3), torch.ones(1, 7, 8, 5)]).shape
        torch.Size([1, 7, 8, 3])
    """

    def call(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        x, like = inputs
        return x[:, : like.shape[1], : like.shape[2]]


def _check(
    num_classes: int, input_shape: tuple[int | None, ...], depth: int, filters: int, dropout: float, up: str
) -> None:
    for argument, value in (("num_classes", num_classes), ("depth", depth), ("filters", filters)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ArgumentError(f"UNet: `{argument}` must be a whole number, 1 or more; got {value!r}.")
    if len(input_shape) != 3 or input_shape[2] is None:
        raise ArgumentError(
            f"UNet: `input_shape` must be (height, width, channels), with None for sides of any size; "
            f"got {input_shape}."
        )
    if not 0 <= dropout < 1:
        raise ArgumentError(f"UNet: `dropout` must be 0 or more and below 1; got {dropout!r}.")
    if up not in ("transpose", "resize"):
        raise ArgumentError(f"UNet: `up` must be 'transpose' or 'resize'; got {up!r}.")
