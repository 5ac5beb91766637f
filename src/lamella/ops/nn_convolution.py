"""Convolutions in Keras's layout: inputs (batch, *space, channels), kernels (*window, in, out)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.image_data_format import checked_data_format
from lamella.errors import ShapeError
from lamella.ops.base import check_padding, op, sizes, tensor

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def channels_first(x: torch.Tensor, data_format: str, what: str) -> torch.Tensor:
    """`x` as (batch, channels, *space), a view.

    Raises:
        ShapeError: A rank other than 3, 4 or 5.
    """
    if x.ndim not in (3, 4, 5):
        raise ShapeError(f"{what} takes inputs of rank 3, 4 or 5 (1 to 3 axes of space); got shape {tuple(x.shape)}.")
    return x.movedim(-1, 1) if data_format == "channels_last" else x


def channels_back(x: torch.Tensor, data_format: str) -> torch.Tensor:
    """The inverse of `channels_first`."""
    return x.movedim(1, -1) if data_format == "channels_last" else x


def same_padding(
    space: Sequence[int], window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    """How much `"same"` pads before and after each axis: the odd one goes behind."""
    found = []
    for size, taps, step, spread in zip(space, window, strides, dilation, strict=True):
        total = max((-(-size // step) - 1) * step + (taps - 1) * spread + 1 - size, 0)
        found.append((total // 2, total - total // 2))
    return found


def padded(x: torch.Tensor, pads: Sequence[tuple[int, int]], value: float = 0.0) -> torch.Tensor:
    """`x` padded along its last axes."""
    return F.pad(x, [side for pair in reversed(pads) for side in pair], value=value)


def _torch_kernel(kernel: torch.Tensor) -> torch.Tensor:
    return kernel.permute(kernel.ndim - 1, kernel.ndim - 2, *range(kernel.ndim - 2))


@op
def conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> torch.Tensor:
    """A convolution over 1, 2 or 3 axes of space.

    Args:
        inputs: (batch, *space, channels), or channels second with `"channels_first"`.
        kernel: (*window, channels / groups, filters).
        strides: The step of the window, one number or one for each axis of space.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: The distance between the taps of the window.

    Raises:
        ShapeError: Ranks or channels that do not fit.

    Example:
        >>> conv(torch.ones(1, 5, 5, 3), torch.ones(3, 3, 3, 8)).shape
        torch.Size([1, 3, 3, 8])
    """
    padding, data_format = check_padding(padding), checked_data_format(data_format)
    x, kernel = channels_first(tensor(inputs), data_format, "conv"), tensor(kernel)
    rank = x.ndim - 2
    if kernel.ndim != x.ndim or x.shape[1] % kernel.shape[-2]:
        raise ShapeError(
            f"conv: a kernel of shape {tuple(kernel.shape)} does not fit inputs with {x.shape[1]} channels and rank "
            f"{x.ndim}: expected (*window, channels / groups, filters)."
        )
    strides, dilation = sizes("strides", strides, rank), sizes("dilation_rate", dilation_rate, rank)
    groups = x.shape[1] // kernel.shape[-2]
    pads: Any = 0
    if padding == "same":
        sides = same_padding(x.shape[2:], kernel.shape[:rank], strides, dilation)
        pads = tuple(before for before, _ in sides)
        if any(before != after for before, after in sides):
            x, pads = padded(x, sides), 0
    found = _CONVOLUTIONS[rank](x, _torch_kernel(kernel), None, strides, pads, dilation, groups)
    return channels_back(found, data_format)


@op
def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> torch.Tensor:
    """A convolution of each channel on its own.

    Args:
        inputs: As for `conv`.
        kernel: (*window, channels, depth_multiplier).
        strides: As for `conv`.
        padding: As for `conv`.
        data_format: As for `conv`.
        dilation_rate: As for `conv`.

    Raises:
        ShapeError: Ranks or channels that do not fit.

    Example:
        >>> depthwise_conv(torch.ones(1, 5, 5, 3), torch.ones(3, 3, 3, 2)).shape
        torch.Size([1, 3, 3, 6])
    """
    inputs, kernel = tensor(inputs), tensor(kernel)
    channels = inputs.shape[-1 if checked_data_format(data_format) == "channels_last" else 1]
    if kernel.ndim != inputs.ndim or kernel.shape[-2] != channels:
        raise ShapeError(
            f"depthwise_conv: a kernel of shape {tuple(kernel.shape)} does not fit inputs with {channels} channels: "
            f"expected (*window, {channels}, depth_multiplier)."
        )
    kernel = kernel.reshape(*kernel.shape[:-2], 1, kernel.shape[-2] * kernel.shape[-1])
    return conv(inputs, kernel, strides, padding, data_format, dilation_rate)


@op
def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> torch.Tensor:
    """A depthwise convolution, then one of window 1 across the channels (Chollet, 2017).

    Args:
        inputs: As for `conv`.
        depthwise_kernel: (*window, channels, depth_multiplier).
        pointwise_kernel: (1, ..., channels * depth_multiplier, filters).
        strides: As for `conv`, of the depthwise convolution.
        padding: As for `conv`.
        data_format: As for `conv`.
        dilation_rate: As for `conv`.

    Example:
        >>> separable_conv(torch.ones(1, 5, 5, 3), torch.ones(3, 3, 3, 2), torch.ones(1, 1, 6, 4)).shape
        torch.Size([1, 3, 3, 4])
    """
    found = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(found, pointwise_kernel, 1, "valid", data_format)


@op
def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> torch.Tensor:
    """The transposed convolution: what `conv` with this kernel does to gradients.

    Args:
        inputs: As for `conv`.
        kernel: (*window, filters, channels).
        strides: By how much it enlarges.
        padding: `"valid"` or `"same"` (then the output is `strides` times as large).
        output_padding: How much larger the output is made behind; found from the rest by default.
        data_format: As for `conv`.
        dilation_rate: As for `conv`.

    Raises:
        ShapeError: Ranks or channels that do not fit.

    Example:
        >>> conv_transpose(torch.ones(1, 5, 5, 3), torch.ones(3, 3, 8, 3), strides=2, padding="same").shape
        torch.Size([1, 10, 10, 8])
    """
    padding, data_format = check_padding(padding), checked_data_format(data_format)
    x, kernel = channels_first(tensor(inputs), data_format, "conv_transpose"), tensor(kernel)
    rank = x.ndim - 2
    if kernel.ndim != x.ndim or kernel.shape[-1] != x.shape[1]:
        raise ShapeError(
            f"conv_transpose: a kernel of shape {tuple(kernel.shape)} does not fit inputs with {x.shape[1]} channels "
            f"and rank {x.ndim}: expected (*window, filters, {x.shape[1]})."
        )
    strides, dilation = sizes("strides", strides, rank), sizes("dilation_rate", dilation_rate, rank)
    outputs = [None] * rank if output_padding is None else output_padding
    outputs = [outputs] * rank if isinstance(outputs, int) else list(outputs)
    found = _TRANSPOSED[rank](x, _torch_kernel(kernel), None, strides, 0, 0, 1, dilation)
    pads = [
        _trim(taps, step, spread, padding, extra)
        for taps, step, spread, extra in zip(kernel.shape[:rank], strides, dilation, outputs, strict=True)
    ]
    return channels_back(padded(found, pads) if any(map(any, pads)) else found, data_format)


def _trim(taps: int, step: int, spread: int, padding: str, extra: int | None) -> tuple[int, int]:
    """How much is added (or, where negative, cut) before and behind the full transposed convolution."""
    reach = (taps - 1) * spread + 1
    if padding == "valid":
        return 0, max(step - reach, 0) if extra is None else extra
    total = step + reach - 2 if extra is None else reach + reach % 2 - 2 + extra
    before = min(total - total // 2, reach - 1)
    return before - (reach - 1), total - before - (reach - 1)
