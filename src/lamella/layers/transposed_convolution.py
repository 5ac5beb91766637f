"""Transposed convolutions: the way back through a convolution, from a small map to a larger one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella import constraints, initializers, regularizers
from lamella.errors import ArgumentError
from lamella.layers.base import registry
from lamella.layers.convolution import WindowedConvolution
from lamella.layers.dense import positive_int
from lamella.layers.windows import lifted, sizes

_TRANSPOSE = {1: F.conv_transpose2d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


class TransposedConvolution(WindowedConvolution):
    """The base of transposed convolutions over `rank` axes."""

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = positive_int(self, "filters", filters)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self._refuse_strides_with_dilation()
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = sizes(self, "output_padding", output_padding, self.rank, least=0)
            if any(extra >= step for extra, step in zip(self.output_padding, self.strides, strict=True)):
                raise ArgumentError(
                    f"{type(self).__name__} {self.name!r}: `output_padding` {self.output_padding} must be less than "
                    f"`strides` {self.strides} along every axis."
                )
        self._set_output(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self._transpose = _TRANSPOSE[self.rank]
        self._set_margins()

    def _set_margins(self) -> None:
        """What torch cuts from both ends, what it adds at the end, and what is left to cut from the end."""
        given = self.output_padding or (None,) * self.rank
        each = zip(self.kernel_size, self.strides, self.dilation_rate, given, strict=True)
        margins = [cut_at_the_ends(window, step, spread, self.padding, extra) for window, step, spread, extra in each]
        self._cut = lifted(tuple(before for before, _ in margins), 0)
        self._added = lifted(tuple(max(before - after, 0) for before, after in margins), 0)
        rest = lifted(tuple(max(after - before, 0) for before, after in margins), 0)
        self._owns_result = not any(rest)
        self._kept = (..., *(slice(None, -size or None) for size in rest))

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        self.kernel = self._add_kernel(
            (*self.kernel_size, self.filters, channels),
            self.kernel_initializer,
            self.kernel_regularizer,
            self.kernel_constraint,
        )
        self._add_bias(self.filters)

    def convolve(self, inputs: torch.Tensor) -> torch.Tensor:
        x, kernel = self._floating(inputs), self._torch_kernel(self.kernel)
        y = self._transpose(x, kernel, self.bias, self._steps, self._cut, self._added, 1, self._spread)
        return y if self._owns_result else y[self._kept]


def cut_at_the_ends(window: int, step: int, dilation: int, padding: str, output_padding: int | None) -> tuple[int, int]:
    """How much of the full result, (input - 1) * step + reach, is cut before and after; negative where it grows.

    `"same"` leaves input * step; `"valid"` leaves all, and fills up to input * step where the window is smaller than
    its step. A given `output_padding` stands in place of what either adds by itself.
    """
    reach = (window - 1) * dilation + 1
    if padding == "valid":
        total = min(reach - step, 0) if output_padding is None else -output_padding
    else:
        total = reach - step if output_padding is None else reach - reach % 2 - output_padding
    before = max(total // 2, 0)
    return before, total - before


@registry.register("Convolution1DTranspose")
class Conv1DTranspose(TransposedConvolution):
    """The transpose of a convolution over sequences: each input adds a window of outputs.

    Args:
        filters: The number of output channels.
        kernel_size: The length of the window.
        strides: How far apart the windows of two neighbouring inputs are: the output is so many times as long.
        padding: `"valid"` (everything) or `"same"` (length input * strides).
        output_padding: How much is added at the end, less than `strides`; by default what makes the length right.
        data_format: `"channels_last"` (the default and the faster) or `"channels_first"`.
        dilation_rate: The distance between the taps of the window.
        activation: A name or function; none by default.
        use_bias: Whether to add a bias.
        kernel_initializer: Where the kernel starts.
        bias_initializer: Where the bias starts.
        kernel_regularizer: A penalty on the kernel.
        bias_regularizer: A penalty on the bias.
        activity_regularizer: A penalty on the output.
        kernel_constraint: A projection of the kernel after each update.
        bias_constraint: A projection of the bias.
        **kwargs: As for every layer.

    Shapes: (batch, steps, in) -> (batch, steps', filters). Weights: kernel (kernel_size, filters, in), bias
    (filters,).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank or number of channels.

    Example:
        >>> import torch
        >>> from lamella.layers import Conv1DTranspose
        >>> Conv1DTranspose(8, 4, strides=2, padding="same")(torch.ones(1, 10, 3)).shape
        torch.Size([1, 20, 8])
    """

    rank = 1


@registry.register("Convolution2DTranspose")
class Conv2DTranspose(TransposedConvolution):
    """The transpose of a convolution over pictures: each pixel adds a window of outputs ("deconvolution").

    Args:
        filters: The number of output channels.
        kernel_size: The window, (height, width) or one number. A multiple of `strides` avoids a checkerboard.
        strides: How far apart the windows of two neighbouring pixels are: the output is so many times as large.
        padding: `"valid"` (everything) or `"same"` (size input * strides).
        output_padding: How much is added at the end, less than `strides`; by default what makes the size right.
        data_format: `"channels_last"` (the default and the faster) or `"channels_first"`.
        dilation_rate: The distance between the taps of the window.
        activation: A name or function; none by default.
        use_bias: Whether to add a bias.
        kernel_initializer: Where the kernel starts.
        bias_initializer: Where the bias starts.
        kernel_regularizer: A penalty on the kernel.
        bias_regularizer: A penalty on the bias.
        activity_regularizer: A penalty on the output.
        kernel_constraint: A projection of the kernel after each update.
        bias_constraint: A projection of the bias.
        **kwargs: As for every layer.

    Shapes: (batch, height, width, in) -> (batch, height', width', filters). Weights: kernel
    (*kernel_size, filters, in), bias (filters,).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank or number of channels.

    Source: Zeiler et al., Deconvolutional networks, 2010.

    Example:
        >>> import torch
        >>> from lamella.layers import Conv2DTranspose
        >>> Conv2DTranspose(8, 2, strides=2)(torch.ones(1, 7, 7, 16)).shape
        torch.Size([1, 14, 14, 8])
    """

    rank = 2


@registry.register("Convolution3DTranspose")
class Conv3DTranspose(TransposedConvolution):
    """The transpose of a convolution over volumes: each input adds a window of outputs.

    Args:
        filters: The number of output channels.
        kernel_size: The window, (depth, height, width) or one number.
        strides: How far apart the windows of two neighbouring inputs are: the output is so many times as large.
        padding: `"valid"` (everything) or `"same"` (size input * strides).
        data_format: `"channels_last"` (the default and the faster) or `"channels_first"`.
        output_padding: How much is added at the end, less than `strides`; by default what makes the size right.
        dilation_rate: The distance between the taps of the window.
        activation: A name or function; none by default.
        use_bias: Whether to add a bias.
        kernel_initializer: Where the kernel starts.
        bias_initializer: Where the bias starts.
        kernel_regularizer: A penalty on the kernel.
        bias_regularizer: A penalty on the bias.
        activity_regularizer: A penalty on the output.
        kernel_constraint: A projection of the kernel after each update.
        bias_constraint: A projection of the bias.
        **kwargs: As for every layer.

    Shapes: (batch, depth, height, width, in) -> (batch, depth', height', width', filters). Weights: kernel
    (*kernel_size, filters, in), bias (filters,).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank or number of channels.

    Example:
        >>> import torch
        >>> from lamella.layers import Conv3DTranspose
        >>> Conv3DTranspose(4, 2, strides=2)(torch.ones(1, 3, 5, 5, 8)).shape
        torch.Size([1, 6, 10, 10, 4])
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,  # here, and here only, Keras has it before `output_padding`
        output_padding: int | Sequence[int] | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            output_padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            **kwargs,
        )


Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
