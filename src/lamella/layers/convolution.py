"""Convolutions, in Keras's layout (batch, *space, channels) and in the kernels' fastest one at no cost.

An NHWC tensor permuted to NCHW *is* torch's channels_last format, so nothing is copied on the way in or
out. The kernel has Keras's shape (*window, in, out) and lies in memory as (out, *window, in): permuted to
torch's (out, in, *window) it is channels_last too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella import activations, constraints, initializers, regularizers
from lamella.errors import ArgumentError, ShapeError
from lamella.layers.base import InputSpec, Layer, registry
from lamella.layers.dense import positive_int
from lamella.layers.reshaping import check_data_format

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class Convolution(Layer):
    """The base of convolutions over `rank` axes."""

    rank: int

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
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
        self.kernel_size = sizes(self, "kernel_size", kernel_size, self.rank)
        self.strides = sizes(self, "strides", strides, self.rank)
        self.padding = check_padding(self, padding)
        self.data_format = check_data_format(self, data_format)
        self.dilation_rate = sizes(self, "dilation_rate", dilation_rate, self.rank)
        self.groups = positive_int(self, "groups", groups)
        if self.filters % self.groups:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: `filters` ({filters}) must be a multiple of `groups` ({groups})."
            )
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: `strides` {self.strides} and `dilation_rate` "
                f"{self.dilation_rate} cannot both be more than 1."
            )
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = InputSpec(min_ndim=self.rank + 2)
        self.bias: torch.Tensor | None = None
        last = self.rank + 1
        channels_last = self.data_format == "channels_last"
        self._to_torch = (0, last, *range(1, last)) if channels_last else None
        self._from_torch = (0, *range(2, last + 1), 1) if channels_last else None
        self._kernel_to_torch = (last, last - 1, *range(self.rank))
        self._convolve = _CONVOLVE[self.rank]

    def build(self, input_shape: Any) -> None:
        axis = -1 if self.data_format == "channels_last" else 1
        channels = input_shape[axis]
        if channels is None or channels % self.groups:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: the input's channels (axis {axis} of {tuple(input_shape)}) "
                f"must be known and a multiple of `groups` ({self.groups})."
            )
        self.kernel = self.add_weight(
            (*self.kernel_size, channels // self.groups, self.filters),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
            memory_order=(self.rank + 1, *range(self.rank), self.rank),
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.filters,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={axis: channels})
        if self.padding == "valid":
            self._check_fits(input_shape)

    def _check_fits(self, input_shape: Any) -> None:
        space = input_shape[1:-1] if self.data_format == "channels_last" else input_shape[2:]
        for size, window, dilation in zip(space, self.kernel_size, self.dilation_rate, strict=True):
            if size is not None and size < (window - 1) * dilation + 1:
                raise ShapeError(
                    f"{type(self).__name__} {self.name!r}: a kernel of {self.kernel_size} does not fit in an input of "
                    f"size {tuple(space)}. Use padding='same', a smaller kernel or fewer poolings before it."
                )

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.activation is activations.relu:
            y = self.convolve(inputs).relu_()  # nobody else has these numbers, so they can be overwritten
            return y.permute(self._from_torch) if self._from_torch else y
        return self.activation(self.before_activation(inputs))

    def before_activation(self, inputs: torch.Tensor) -> torch.Tensor:
        """The convolution and the bias."""
        y = self.convolve(inputs)
        return y.permute(self._from_torch) if self._from_torch else y

    def convolve(self, inputs: torch.Tensor) -> torch.Tensor:
        """The convolution and the bias, as torch orders the axes: (batch, filters, *space)."""
        if not inputs.is_floating_point():
            inputs = inputs.to(self._float)
        x = inputs.permute(self._to_torch) if self._to_torch else inputs
        padding: Any = 0
        if self.padding != "valid":
            x, padding = padded(x, self.padding, self.kernel_size, self.strides, self.dilation_rate)
        kernel = self.kernel.permute(self._kernel_to_torch)
        return self._convolve(x, kernel, self.bias, self.strides, padding, self.dilation_rate, self.groups)


@registry.register("Convolution2D")
class Conv2D(Convolution):
    """A convolution over pictures: each output is a weighted sum of a window of the input.

    Args:
        filters: The number of output channels.
        kernel_size: The window, (height, width) or one number.
        strides: The step of the window.
        padding: `"valid"` (none) or `"same"` (zeros, so that the output has size ceil(input / strides)).
        data_format: `"channels_last"` (NHWC, the default and the faster) or `"channels_first"`.
        dilation_rate: The distance between the taps of the window.
        groups: The channels are split into so many groups, each convolved on its own.
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
    (*kernel_size, in / groups, filters), bias (filters,).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank or number of channels, or smaller than the window.

    Source: LeCun et al., 1998.

    Example:
        >>> import torch
        >>> from lamella.layers import Conv2D
        >>> Conv2D(32, 3)(torch.ones(1, 28, 28, 1)).shape
        torch.Size([1, 26, 26, 32])
    """

    rank = 2

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1),
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            groups,
            activation,
            use_bias,
            **kwargs,
        )


def padded(
    x: torch.Tensor, padding: str, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> tuple[torch.Tensor, Any]:
    """`x` (batch, channels, *space), and the symmetric padding that is left for the convolution to do.

    `"same"` puts the odd pixel at the end; where that is needed, it is put there here.
    """
    before, after = same_padding(x.shape[2:], window, strides, dilation)
    return (x, tuple(before)) if before == after else (F.pad(x, both_sides(before, after)), 0)


def same_padding(
    space: Sequence[int], window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> tuple[list[int], list[int]]:
    """How much `"same"` pads before and after each axis."""
    before, after = [], []
    for size, taps, step, spread in zip(space, window, strides, dilation, strict=True):
        total = max((-(-size // step) - 1) * step + (taps - 1) * spread + 1 - size, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return before, after


def both_sides(before: Sequence[int], after: Sequence[int]) -> list[int]:
    """The padding as `torch.nn.functional.pad` wants it: from the last axis to the first."""
    return [side for pair in zip(reversed(before), reversed(after), strict=True) for side in pair]


def sizes(layer: Layer, name: str, value: Any, rank: int) -> tuple[int, ...]:
    """`value` as a tuple of `rank` positive whole numbers; one number stands for all."""
    values = (value,) * rank if isinstance(value, int) else tuple(value) if isinstance(value, (list, tuple)) else ()
    if len(values) != rank or any(isinstance(v, bool) or not isinstance(v, int) or v < 1 for v in values):
        raise ArgumentError(
            f"{type(layer).__name__} {layer.name!r}: `{name}` must be a positive whole number or {rank} of them; "
            f"got {value!r}."
        )
    return values


def check_padding(layer: Layer, value: Any) -> str:
    """`value` in lower case, if it is `"valid"` or `"same"`."""
    lowered = value.lower() if isinstance(value, str) else value
    if lowered not in ("valid", "same"):
        raise ArgumentError(
            f"{type(layer).__name__} {layer.name!r}: `padding` must be 'valid' or 'same'; got {value!r}."
        )
    return lowered


Convolution2D = Conv2D
