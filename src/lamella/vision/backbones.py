"""Residual networks that give their maps of several scales: what detectors build on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella import layers
from lamella.engine.image_data_format import channels_last_inside
from lamella.layers import Input
from lamella.models import Model


def small_backbone(image_size: tuple[int, int]) -> Model:
    """A residual network of 1.6 million weights, for training from scratch on few pictures and few processor cores.

    Args:
        image_size: (height, width) of the pictures (batch, height, width, 3), of values from 0 to 255.

    Returns:
        A model with three outputs: maps of strides 8, 16 and 32.

    Example:
        >>> [output.shape for output in small_backbone((64, 96)).outputs]
        [(None, 8, 12, 96), (None, 4, 6, 160), (None, 2, 3, 256)]
    """
    images = Input((*image_size, 3), name="images")
    x = layers.Rescaling(1 / 255, name="rescaling")(images)
    x = convolve(x, 24, 3, 2, name="stem_2")
    x = convolve(x, 48, 3, 2, name="stem_4")
    maps = stages(x, widths=(48, 96, 160, 256), blocks=(1, 1, 1, 1))
    return Model(images, maps[1:], name="small_backbone")


@channels_last_inside
def resnet18(image_size: tuple[int, int]) -> Model:
    """ResNet-18, without its classifier.

    Args:
        image_size: (height, width) of the pictures (batch, height, width, 3), of values from 0 to 255.

    Returns:
        A model with four outputs: maps of strides 4, 8, 16 and 32.

    Source: He et al., 2015.
    """
    images = Input((*image_size, 3), name="images")
    x = layers.Rescaling(1 / 255, name="rescaling")(images)
    x = convolve(x, 64, 7, 2, name="stem_2")
    x = layers.MaxPooling2D(3, 2, padding="same", name="stem_4")(x)
    return Model(images, stages(x, widths=(64, 128, 256, 512), blocks=(2, 2, 2, 2)), name="resnet18")


def resnet50(image_size: tuple[int, int], weights: str | None = None) -> Model:
    """`lamella.applications.ResNet50`, without its classifier.

    Args:
        image_size: (height, width) of the pictures (batch, height, width, 3), of values from 0 to 255.
        weights: As for `ResNet50`: None, `"imagenet"` or the path of a file.

    Returns:
        A model with four outputs: maps of strides 4, 8, 16 and 32.

    Source: He et al., 2015.
    """
    from lamella.applications import resnet50 as room

    body = room.ResNet50(include_top=False, weights=weights, input_shape=(*image_size, 3))
    ends = ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out")
    body = Model(body.inputs, [body.get_layer(name).output for name in ends], name="resnet50")
    images = Input((*image_size, 3), name="images")
    return Model(images, body(room.preprocess_input(images)), name="resnet50_from_pixels")


def stages(x: Any, widths: Sequence[int], blocks: Sequence[int]) -> list[Any]:
    """Rows of residual blocks; every row but the first starts by halving the map. The output of each row."""
    maps = []
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        for block in range(count):
            stride = 2 if stage and not block else 1
            x = residual(x, width, stride, name=f"stage_{4 * 2**stage}_{block}")
        maps.append(x)
    return maps


def residual(x: Any, width: int, stride: int, *, name: str) -> Any:
    """Two convolutions beside a short cut."""
    short = x
    if stride > 1 or x.shape[-1] != width:
        short = convolve(x, width, 1, stride, relu=False, name=f"{name}_short")
    x = convolve(x, width, 3, stride, name=f"{name}_a")
    x = convolve(x, width, 3, relu=False, name=f"{name}_b")
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, short]))


@channels_last_inside
def convolve(x: Any, width: int, size: int, stride: int = 1, relu: bool = True, *, name: str) -> Any:
    """A convolution, normalized, and a ReLU."""
    x = layers.Conv2D(width, size, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x
