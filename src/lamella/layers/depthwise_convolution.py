"""Depthwise convolutions: every channel has windows of its own, and nothing is summed over channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella import constraints, initializers, regularizers
from lamella.layers.base import registry
from lamella.layers.convolution import WindowedConvolution
from lamella.layers.dense import positive_int


class PerChannelConvolution(WindowedConvolution):
    """What depthwise and separable convolutions share: a kernel (*window, in, multiplier)."""

    depth_multiplier: int
    depthwise_initializer: Any
    depthwise_regularizer: Any
    depthwise_constraint: Any

    def _add_depthwise_kernel(self, input_shape: Any, name: str) -> torch.Tensor:
        channels = self._channels(input_shape)
        if self.padding == "valid":
            self.check_fits(input_shape, self.kernel_size, self.dilation_rate)
        return self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
            name=name,
            # torch joins the two last axes and has them first: so they lie, and joining them is a view.
            memory_order=(self.rank, self.rank + 1, *range(self.rank)),
        )

    def _per_channel(self, inputs: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Each channel convolved with its own windows, as torch orders the axes."""
        x = self._floating(inputs)
        if self.rank == 1:
            kernel = kernel.unsqueeze(0)
        last = kernel.ndim - 1
        kernel = kernel.permute(last - 1, last, *range(last - 1)).flatten(0, 1).unsqueeze(1)
        return self._slide(x, kernel, bias, x.shape[1])


class DepthwiseConvolution(PerChannelConvolution):
    """The base of depthwise convolutions over `rank` axes."""

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.depth_multiplier = positive_int(self, "depth_multiplier", depth_multiplier)
        self._set_output(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)

    def build(self, input_shape: Any) -> None:
        self.kernel = self._add_depthwise_kernel(input_shape, "kernel")
        self._add_bias(self.kernel.shape[-2] * self.depth_multiplier)

    def convolve(self, inputs: torch.Tensor) -> torch.Tensor:
        return self._per_channel(inputs, self.kernel, self.bias)


@registry.register()
class DepthwiseConv1D(DepthwiseConvolution):
    """A convolution over sequences in which every channel has `depth_multiplier` windows of its own.

    Args:
        kernel_size: The length of the window.
        strides: The step of the window.
        padding: `"valid"` (none) or `"same"` (zeros, so that the output has length ceil(input / strides)).
        depth_multiplier: The number of windows, and so of outputs, of each channel.
        data_format: `"channels_last"` (the default and the faster) or `"channels_first"`.
        dilation_rate: The distance between the taps of the window.
        activation: A name or function; none by default.
        use_bias: Whether to add a bias.
        depthwise_initializer: Where the kernel starts.
        bias_initializer: Where the bias starts.
        depthwise_regularizer: A penalty on the kernel.
        bias_regularizer: A penalty on the bias.
        activity_regularizer: A penalty on the output.
        depthwise_constraint: A projection of the kernel after each update.
        bias_constraint: A projection of the bias.
        **kwargs: As for every layer.

    Shapes: (batch, steps, in) -> (batch, steps', in * depth_multiplier). Weights: kernel
    (kernel_size, in, depth_multiplier), bias (in * depth_multiplier,).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank or number of channels, or shorter than the window.

    Example:
        >>> import torch
        >>> from lamella.layers import DepthwiseConv1D
        >>> DepthwiseConv1D(3, depth_multiplier=2)(torch.ones(1, 10, 4)).shape
        torch.Size([1, 8, 8])
    """

    rank = 1


@registry.register()
class DepthwiseConv2D(DepthwiseConvolution):
    """A convolution over pictures in which every channel has `depth_multiplier` windows of its own.

    Args:
        kernel_size: The window, (height, width) or one number.
        strides: The step of the window.
        padding: `"valid"` (none) or `"same"` (zeros, so that the output has size ceil(input / strides)).
        depth_multiplier: The number of windows, and so of outputs, of each channel.
        data_format: `"channels_last"` (the default and the faster) or `"channels_first"`.
        dilation_rate: The distance between the taps of the window.
        activation: A name or function; none by default.
        use_bias: Whether to add a bias.
        depthwise_initializer: Where the kernel starts.
        bias_initializer: Where the bias starts.
        depthwise_regularizer: A penalty on the kernel.
        bias_regularizer: A penalty on the bias.
        activity_regularizer: A penalty on the output.
        depthwise_constraint: A projection of the kernel after each update.
        bias_constraint: A projection of the bias.
        **kwargs: As for every layer.

    Shapes: (batch, height, width, in) -> (batch, height', width', in * depth_multiplier). Weights: kernel
    (*kernel_size, in, depth_multiplier), bias (in * depth_multiplier,).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank or number of channels, or smaller than the window.

    Source: Howard et al., MobileNets, 2017.

    Example:
        >>> import torch
        >>> from lamella.layers import DepthwiseConv2D
        >>> DepthwiseConv2D(3, padding="same")(torch.ones(1, 28, 28, 16)).shape
        torch.Size([1, 28, 28, 16])
    """

    rank = 2
