"""Poolings over windows, in Keras's layout (batch, *space, channels)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.image_data_format import checked_data_format
from lamella.ops.base import check_padding, op, sizes, tensor
from lamella.ops.nn_convolution import channels_back, channels_first, padded, same_padding

_MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_MEAN = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_ADAPTIVE_MAX = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}
_ADAPTIVE_MEAN = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


@op
def max_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> torch.Tensor:
    """The largest number of each window.

    Args:
        inputs: (batch, *space, channels), or channels second with `"channels_first"`.
        pool_size: The window, one number or one for each axis of space.
        strides: Its step; the window's size by default.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Example:
        >>> max_pool(torch.ones(1, 4, 4, 3), 2).shape
        torch.Size([1, 2, 2, 3])
    """
    padding, data_format = check_padding(padding), checked_data_format(data_format)
    x = channels_first(tensor(inputs), data_format, "max_pool")
    rank = x.ndim - 2
    window = sizes("pool_size", pool_size, rank)
    strides = window if strides is None else sizes("strides", strides, rank)
    if padding == "same":
        least = -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
        x = padded(x, same_padding(x.shape[2:], window, strides, (1,) * rank), least)
    return channels_back(_MAX[rank](x, window, strides), data_format)


@op
def average_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> torch.Tensor:
    """The mean of each window (of the part of it that lies in the input).

    Args:
        inputs: As for `max_pool`.
        pool_size: As for `max_pool`.
        strides: As for `max_pool`.
        padding: As for `max_pool`.
        data_format: As for `max_pool`.

    Example:
        >>> average_pool(torch.ones(1, 4, 4, 3), 2).shape
        torch.Size([1, 2, 2, 3])
    """
    padding, data_format = check_padding(padding), checked_data_format(data_format)
    x = channels_first(tensor(inputs), data_format, "average_pool")
    rank = x.ndim - 2
    window = sizes("pool_size", pool_size, rank)
    strides = window if strides is None else sizes("strides", strides, rank)
    if padding == "valid":
        return channels_back(_MEAN[rank](x, window, strides), data_format)
    pads = same_padding(x.shape[2:], window, strides, (1,) * rank)
    inside = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
    total, share = (_MEAN[rank](padded(each, pads), window, strides) for each in (x, inside))
    return channels_back(total / share, data_format)


def _adaptive(functions: Any, name: str, inputs: Any, output_size: Any, data_format: str | None) -> torch.Tensor:
    data_format = checked_data_format(data_format)
    x = channels_first(tensor(inputs), data_format, name)
    return channels_back(functions[x.ndim - 2](x, sizes("output_size", output_size, x.ndim - 2)), data_format)


@op
def adaptive_max_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> torch.Tensor:
    """The largest number of each of `output_size` windows that cover the input.

    Example:
        >>> adaptive_max_pool(torch.ones(1, 7, 7, 3), 2).shape
        torch.Size([1, 2, 2, 3])
    """
    return _adaptive(_ADAPTIVE_MAX, "adaptive_max_pool", inputs, output_size, data_format)


@op
def adaptive_average_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> torch.Tensor:
    """The mean of each of `output_size` windows that cover the input.

    Example:
        >>> adaptive_average_pool(torch.ones(1, 7, 7, 3), 2).shape
        torch.Size([1, 2, 2, 3])
    """
    return _adaptive(_ADAPTIVE_MEAN, "adaptive_average_pool", inputs, output_size, data_format)
