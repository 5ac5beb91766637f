"""Separable convolutions: first each channel over space, then each place over the channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella import constraints, initializers, regularizers
from lamella.layers.base import registry
from lamella.layers.dense import positive_int
from lamella.layers.depthwise_convolution import PerChannelConvolution


class SeparableConvolution(PerChannelConvolution):
    """The base of separable convolutions over `rank` axes."""

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = positive_int(self, "filters", filters)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.depth_multiplier = positive_int(self, "depth_multiplier", depth_multiplier)
        self._set_output(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self.pointwise_constraint = constraints.get(pointwise_constraint)

    def build(self, input_shape: Any) -> None:
        self.depthwise_kernel = self._add_depthwise_kernel(input_shape, "depthwise_kernel")
        between = self.depthwise_kernel.shape[-2] * self.depth_multiplier
        self.pointwise_kernel = self._add_kernel(
            (*(1,) * self.rank, between, self.filters),
            self.pointwise_initializer,
            self.pointwise_regularizer,
            self.pointwise_constraint,
            name="pointwise_kernel",
        )
        self._add_bias(self.filters)

    def convolve(self, inputs: torch.Tensor) -> torch.Tensor:
        between = self._per_channel(inputs, self.depthwise_kernel, None)
        return self._convolve(between, self._torch_kernel(self.pointwise_kernel), self.bias)


@registry.register("SeparableConvolution1D")
class SeparableConv1D(SeparableConvolution):
    """A convolution over sequences in two cheap parts: over time in each channel, then over the channels.

    Args:
        filters: The number of output channels.
        kernel_size: The length of the window.
        strides: The step of the window.
        padding: `"valid"` (none) or `"same"` (zeros, so that the output has length ceil(input / strides)).
        data_format: `"channels_last"` (the default and the faster) or `"channels_first"`.
        dilation_rate: The distance between the taps of the window.
        depth_multiplier: The number of windows of each channel.
        activation: A name or function; none by default.
        use_bias: Whether to add a bias.
        depthwise_initializer: Where the kernel of the first part starts.
        pointwise_initializer: Where the kernel of the second part starts.
        bias_initializer: Where the bias starts.
        depthwise_regularizer: A penalty on the kernel of the first part.
        pointwise_regularizer: A penalty on the kernel of the second part.
        bias_regularizer: A penalty on the bias.
        activity_regularizer: A penalty on the output.
        depthwise_constraint: A projection of the kernel of the first part after each update.
        pointwise_constraint: A projection of the kernel of the second part.
        bias_constraint: A projection of the bias.
        **kwargs: As for every layer.

    Shapes: (batch, steps, in) -> (batch, steps', filters). Weights: depthwise_kernel
    (kernel_size, in, depth_multiplier), pointwise_kernel (1, in * depth_multiplier, filters), bias (filters,).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank or number of channels, or shorter than the window.

    Example:
        >>> import torch
        >>> from lamella.layers import SeparableConv1D
        >>> SeparableConv1D(32, 3)(torch.ones(1, 10, 4)).shape
        torch.Size([1, 8, 32])
    """

    rank = 1


@registry.register("SeparableConvolution2D")
class SeparableConv2D(SeparableConvolution):
    """A convolution over pictures in two cheap parts: over space in each channel, then over the channels.

    Args:
        filters: The number of output channels.
        kernel_size: The window, (height, width) or one number.
        strides: The step of the window.
        padding: `"valid"` (none) or `"same"` (zeros, so that the output has size ceil(input / strides)).
        data_format: `"channels_last"` (the default and the faster) or `"channels_first"`.
        dilation_rate: The distance between the taps of the window.
        depth_multiplier: The number of windows of each channel.
        activation: A name or function; none by default.
        use_bias: Whether to add a bias.
        depthwise_initializer: Where the kernel of the first part starts.
        pointwise_initializer: Where the kernel of the second part starts.
        bias_initializer: Where the bias starts.
        depthwise_regularizer: A penalty on the kernel of the first part.
        pointwise_regularizer: A penalty on the kernel of the second part.
        bias_regularizer: A penalty on the bias.
        activity_regularizer: A penalty on the output.
        depthwise_constraint: A projection of the kernel of the first part after each update.
        pointwise_constraint: A projection of the kernel of the second part.
        bias_constraint: A projection of the bias.
        **kwargs: As for every layer.

    Shapes: (batch, height, width, in) -> (batch, height', width', filters). Weights: depthwise_kernel
    (*kernel_size, in, depth_multiplier), pointwise_kernel (1, 1, in * depth_multiplier, filters), bias (filters,).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank or number of channels, or smaller than the window.

    Source: Chollet, Xception, 2017.

    Example:
        >>> import torch
        >>> from lamella.layers import SeparableConv2D
        >>> SeparableConv2D(32, 3, padding="same")(torch.ones(1, 28, 28, 16)).shape
        torch.Size([1, 28, 28, 32])
    """

    rank = 2


SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D
