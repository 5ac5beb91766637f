"""The network of `YOLO`: a backbone, a neck that mixes its scales, and a head on each of three scales."""

from __future__ import annotations

import math
from typing import Any

from lamella import layers
from lamella.engine.image_data_format import channels_last_inside
from lamella.initializers import Constant
from lamella.layers import Input
from lamella.models import Model

STRIDES = (8, 16, 32)
"""Pixels from one point of a map to the next, for each scale on which boxes are found."""

SIZES = {
    "n": ((16, 32, 64, 128, 256), (1, 2)),
    "s": ((32, 64, 128, 256, 512), (1, 2)),
    "m": ((48, 96, 192, 384, 576), (2, 4)),
}
"""The channels at strides 2 to 32; the blocks in a stage, and in the longer ones of the middle of the backbone."""


def yolo_network(image_size: tuple[int, int], num_classes: int, size: str = "n", bins: int = 16) -> Model:
    """From pictures (batch, height, width, 3) to the raw maps of three scales.

    Args:
        image_size: (height, width), multiples of 32.
        num_classes: How many classes.
        size: A key of `SIZES`.
        bins: How many whole distances (in strides) from a point to a side of its box have a score.

    Returns:
        A model with a list of two outputs for each stride, (batch, height / stride, width / stride, 4 * bins) and
        (batch, height / stride, width / stride, num_classes).

    Source: as YOLOv8 (Jocher et al., 2023). Stages: Wang et al., 2020 (CSPNet); pooling: He et al., 2015 (SPP); neck:
    Liu et al., 2018 (PANet); heads: Ge et al., 2021 (YOLOX).

    Example:
        >>> [tuple(output.shape) for output in yolo_network((64, 96), 3).outputs[:2]]
        [(None, 8, 12, 64), (None, 8, 12, 3)]
    """
    (c2, c4, c8, c16, c32), (few, many) = SIZES[size]
    images = Input((*image_size, 3), name="images")
    x = layers.Rescaling(1 / 255, name="rescaling")(images)
    x = convolve(x, c2, 3, 2, name="backbone_2")
    x = stage(convolve(x, c4, 3, 2, name="backbone_4"), c4, few, True, name="backbone_4_stage")
    x8 = stage(convolve(x, c8, 3, 2, name="backbone_8"), c8, many, True, name="backbone_8_stage")
    x16 = stage(convolve(x8, c16, 3, 2, name="backbone_16"), c16, many, True, name="backbone_16_stage")
    x32 = stage(convolve(x16, c32, 3, 2, name="backbone_32"), c32, few, True, name="backbone_32_stage")
    x32 = pool_pyramid(x32, c32, name="backbone_pool")

    # The neck: what large shapes are there goes up to the fine maps, and where exactly comes back down.
    up16 = stage(joined(enlarged(x32, "neck_up_16"), x16, "neck_up_16"), c16, few, False, name="neck_up_16_stage")
    y8 = stage(joined(enlarged(up16, "neck_up_8"), x8, "neck_up_8"), c8, few, False, name="neck_8_stage")
    y16 = joined(convolve(y8, c8, 3, 2, name="neck_down_16"), up16, "neck_down_16")
    y16 = stage(y16, c16, few, False, name="neck_16_stage")
    y32 = joined(convolve(y16, c16, 3, 2, name="neck_down_32"), x32, "neck_down_32")
    y32 = stage(y32, c32, few, False, name="neck_32_stage")

    outputs: list[Any] = []
    for stride, y in zip(STRIDES, (y8, y16, y32), strict=True):
        outputs += head(y, stride, image_size, num_classes, bins, widths=(max(c8 // 4, 4 * bins), max(c8, num_classes)))
    return Model(images, outputs, name="yolo_network")


@channels_last_inside
def convolve(x: Any, filters: int, size: int, strides: int = 1, *, name: str) -> Any:
    """A convolution, normalized, and SiLU."""
    x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=0.97, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.Activation("silu", name=f"{name}_silu")(x)


def stage(x: Any, filters: int, blocks: int, residual: bool, *, name: str) -> Any:
    """Half of the channels pass through a row of blocks; the other half, and what each block made, go on unchanged."""
    half = filters // 2
    x = convolve(x, filters, 1, name=f"{name}_in")
    parts, y = [x], x[..., half:]
    for block in range(blocks):
        z = convolve(y, half, 3, name=f"{name}_{block}_a")
        z = convolve(z, half, 3, name=f"{name}_{block}_b")
        y = layers.Add(name=f"{name}_{block}_add")([y, z]) if residual else z
        parts.append(y)
    return convolve(layers.Concatenate(name=f"{name}_join")(parts), filters, 1, name=f"{name}_out")


@channels_last_inside
def pool_pyramid(x: Any, filters: int, *, name: str) -> Any:
    """Each point beside the maxima of ever larger windows around it: 5, 9 and 13 points wide."""
    parts = [convolve(x, filters // 2, 1, name=f"{name}_in")]
    for step in range(3):
        parts.append(layers.MaxPooling2D(5, 1, padding="same", name=f"{name}_{step}")(parts[-1]))
    return convolve(layers.Concatenate(name=f"{name}_join")(parts), filters, 1, name=f"{name}_out")


@channels_last_inside
def enlarged(x: Any, name: str) -> Any:
    """Twice as high and wide."""
    return layers.UpSampling2D(2, name=f"{name}_enlarged")(x)


def joined(x: Any, y: Any, name: str) -> Any:
    """The channels of both."""
    return layers.Concatenate(name=f"{name}_join")([x, y])


@channels_last_inside
def head(
    x: Any, stride: int, image_size: tuple[int, int], num_classes: int, bins: int, widths: tuple[int, int]
) -> list[Any]:
    """Scores of the distances to the sides of a box, and of the classes, each by convolutions of its own."""
    points = image_size[0] * image_size[1] / stride**2
    prior = math.log(min(5 / num_classes / points, 0.01))  # a few boxes in a picture, of all that are possible
    outputs = []
    for name, width, channels, bias in (("box", widths[0], 4 * bins, 0.0), ("class", widths[1], num_classes, prior)):
        y = convolve(x, width, 3, name=f"{name}_{stride}_a")
        y = convolve(y, width, 3, name=f"{name}_{stride}_b")
        y = layers.Conv2D(channels, 1, bias_initializer=Constant(bias), name=f"{name}_{stride}")(y)
        outputs.append(y)
    return outputs
