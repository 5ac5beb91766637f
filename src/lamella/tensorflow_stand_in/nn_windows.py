"""What `tf.nn` computes over windows: convolutions and poolings."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from lamella import ops
from lamella.errors import ArgumentError
from lamella.tensorflow_stand_in.tensors import convert_to_tensor, sizes

__all__ = [
    "atrous_conv2d",
    "avg_pool",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "conv1d",
    "conv2d",
    "conv2d_transpose",
    "conv3d",
    "depthwise_conv2d",
    "max_pool",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "separable_conv2d",
]


def conv1d(
    input: Any,
    filters: Any,
    stride: Any,
    padding: str,
    data_format: str = "NWC",
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """The convolution of sequences with filters (length, channels in, channels out)."""
    return _convolved(input, filters, stride, padding, data_format, dilations)


def conv2d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: str,
    data_format: str = "NHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """The convolution of pictures with filters (height, width, channels in, channels out)."""
    return _convolved(input, filters, strides, padding, data_format, dilations)


def conv3d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: str,
    data_format: str = "NDHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """The convolution of volumes with filters (depth, height, width, channels in, channels out)."""
    return _convolved(input, filters, strides, padding, data_format, dilations)


def atrous_conv2d(value: Any, filters: Any, rate: int, padding: str, name: str | None = None) -> Any:
    """The convolution of pictures with filters whose numbers are `rate` pixels apart."""
    return _convolved(value, filters, 1, padding, "NHWC", rate)


def depthwise_conv2d(
    input: Any,
    filter: Any,
    strides: Any,
    padding: str,
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """The convolution of each channel by itself, with filters (height, width, channels, how many for each)."""
    layout = data_format or "NHWC"
    return ops.depthwise_conv(
        convert_to_tensor(input),
        convert_to_tensor(filter),
        _spatial(strides, layout),
        padding.lower(),
        data_format=channels(layout),
        dilation_rate=_spatial(dilations or 1, layout),
    )


def separable_conv2d(
    input: Any,
    depthwise_filter: Any,
    pointwise_filter: Any,
    strides: Any,
    padding: str,
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """`depthwise_conv2d`, then a convolution with filters (1, 1, channels in, channels out)."""
    apart = depthwise_conv2d(input, depthwise_filter, strides, padding, data_format, dilations)
    return conv2d(apart, pointwise_filter, 1, "VALID", data_format or "NHWC")


def conv2d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: str = "SAME",
    data_format: str = "NHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """The pictures of `output_shape` whose `conv2d` has the input's shape: that one's gradient.

    Args:
        input: Pictures (batch, height, width, channels in).
        filters: (height, width, channels out, channels in).
        output_shape: The shape of the result, with the batch.
        strides: How many pixels of the result lie between two of the input.
        padding: `"SAME"` or `"VALID"`: of that `conv2d`.
        data_format: `"NHWC"` or `"NCHW"`.
        dilations: How many pixels lie between two numbers of a filter.
        name: TensorFlow's argument: it changes nothing here.

    Raises:
        ArgumentError: A `conv2d` of `output_shape` has another shape than the input.
    """
    first = data_format.startswith("NC")
    x, kernel = convert_to_tensor(input), convert_to_tensor(filters)
    x = x if first else x.permute(0, 3, 1, 2)
    steps, apart = _spatial(strides, data_format), _spatial(dilations or 1, data_format)
    wanted = sizes(output_shape)[2:] if first else sizes(output_shape)[1:3]
    same = padding.upper() == "SAME"
    reach = [(kernel.shape[i] - 1) * apart[i] + 1 for i in range(2)]
    for i in range(2):
        there = -(-wanted[i] // steps[i]) if same else -(-(wanted[i] - reach[i] + 1) // steps[i])
        if there != x.shape[2 + i]:
            raise ArgumentError(
                f"tf.nn.conv2d_transpose: a convolution of output_shape {sizes(output_shape)} has "
                f"{there} along axis {i + (2 if first else 1)}, but the input has {x.shape[2 + i]}."
            )
    whole = functional.conv_transpose2d(x, kernel.permute(3, 2, 0, 1), stride=steps, dilation=apart)
    pads: list[int] = []
    for i in range(2):
        before = max((x.shape[2 + i] - 1) * steps[i] + reach[i] - wanted[i], 0) // 2 if same else 0
        pads = [-before, wanted[i] + before - whole.shape[2 + i], *pads]
    found = functional.pad(whole, pads)
    return found if first else found.permute(0, 2, 3, 1)


def _pooling(pool: Any, layout: str, said: str) -> Any:
    def pooled(
        input: Any, ksize: Any, strides: Any, padding: str, data_format: str = layout, name: str | None = None
    ) -> Any:
        axes = len(data_format) - 2
        window, steps = _spatial(ksize, data_format, axes), _spatial(strides, data_format, axes)
        return pool(convert_to_tensor(input), window, steps, padding.lower(), data_format=channels(data_format))

    pooled.__doc__ = said
    return pooled


max_pool1d = _pooling(ops.max_pool, "NWC", "The largest number of each window of sequences.")
max_pool2d = _pooling(ops.max_pool, "NHWC", "The largest number of each window of pictures.")
max_pool3d = _pooling(ops.max_pool, "NDHWC", "The largest number of each window of volumes.")
avg_pool1d = _pooling(ops.average_pool, "NWC", "The mean of each window of sequences.")
avg_pool2d = _pooling(ops.average_pool, "NHWC", "The mean of each window of pictures.")
avg_pool3d = _pooling(ops.average_pool, "NDHWC", "The mean of each window of volumes.")
max_pool, avg_pool = max_pool2d, avg_pool2d


def channels(data_format: str) -> str:
    """Keras's word for where the channels are."""
    return "channels_first" if data_format.startswith("NC") else "channels_last"


def _convolved(input: Any, filters: Any, strides: Any, padding: str, data_format: str, dilations: Any) -> Any:
    kernel = convert_to_tensor(filters)
    axes = kernel.ndim - 2
    steps, apart = _spatial(strides, data_format, axes), _spatial(dilations or 1, data_format, axes)
    x = convert_to_tensor(input)
    return ops.conv(x, kernel, steps, padding.lower(), data_format=channels(data_format), dilation_rate=apart)


def _spatial(numbers: Any, data_format: str, axes: int = 2) -> tuple[int, ...]:
    """A number for each axis of space, of one number, of so many, or of one for each axis of the tensor."""
    if isinstance(numbers, (int, torch.Tensor)):
        return (int(numbers),) * axes
    given = list(numbers)
    if len(given) == axes + 2:
        given = given[2:] if data_format.startswith("NC") else given[1:-1]
    return tuple(int(each) for each in (given * axes if len(given) == 1 else given))
