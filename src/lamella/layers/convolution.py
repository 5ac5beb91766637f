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
from lamella.engine import winograd
from lamella.errors import ArgumentError, ShapeError
from lamella.layers.base import InputSpec, registry
from lamella.layers.dense import positive_int, warn_of_one_choice
from lamella.layers.input_spec import check_shape
from lamella.layers.lora import AdaptableLayer, AdaptedWeight, KeptWeight
from lamella.layers.windows import (
    SpatialLayer,
    both_sides,
    check_padding,
    lifted,
    padded,
    same_padding,
    sizes,
)

_CONVOLVE = {1: F.conv2d, 2: F.conv2d, 3: F.conv3d}


_FEW_PLACES = 1024


class WindowedConvolution(SpatialLayer):
    """What all convolutions share: a window, a bias and an activation."""

    paddings: Sequence[str] = ("valid", "same")

    def _set_window(self, kernel_size: Any, strides: Any, padding: Any, data_format: Any, dilation_rate: Any) -> None:
        self.kernel_size = sizes(self, "kernel_size", kernel_size, self.rank)
        self.strides = sizes(self, "strides", strides, self.rank)
        self.padding = check_padding(self, padding, self.paddings)
        self._set_data_format(data_format)
        self.dilation_rate = sizes(self, "dilation_rate", dilation_rate, self.rank)
        self.input_spec = InputSpec(min_ndim=self.rank + 2)
        self._window, self._steps = lifted(self.kernel_size), lifted(self.strides)
        self._spread = lifted(self.dilation_rate)
        last = len(self._window) + 1
        self._kernel_to_torch = (last, last - 1, *range(last - 1))
        self._convolve = _CONVOLVE[self.rank]
        self._owns_result = True

    def _set_output(self, activation: Any, use_bias: bool, initializer: Any, regularizer: Any, constraint: Any) -> None:
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.bias_initializer = initializers.get(initializer)
        self.bias_regularizer = regularizers.get(regularizer)
        self.bias_constraint = constraints.get(constraint)
        self.bias: torch.Tensor | None = None

    def _refuse_strides_with_dilation(self) -> None:
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: `strides` {self.strides} and `dilation_rate` "
                f"{self.dilation_rate} cannot both be more than 1."
            )

    def _channels(self, input_shape: Any, groups: int = 1) -> int:
        """The number of input channels, from now on the only one that the layer takes."""
        axis = -1 if self.channels_last else 1
        channels = input_shape[axis]
        if channels is None or channels % groups:
            multiple = f" and a multiple of `groups` ({groups})" if groups > 1 else ""
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: the input's channels (axis {axis} of {tuple(input_shape)}) "
                f"must be known{multiple}."
            )
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={axis: channels})
        check_shape(self, self.input_spec, tuple(input_shape))
        return channels

    def _add_kernel(
        self, shape: tuple[int, ...], initializer: Any, regularizer: Any, constraint: Any, name: str = "kernel"
    ) -> torch.Tensor:
        """A kernel of Keras's shape (*window, a, b) that is channels_last once permuted to (b, a, *window).

        Where b is one, it is contiguous: torch, without oneDNN, refuses to compute the gradient of another.
        """
        window, a, b = range(self.rank), self.rank, self.rank + 1
        order = (b, a, *window) if shape[-1] == 1 else (b, *window, a)
        return self.add_weight(
            shape, initializer, regularizer=regularizer, constraint=constraint, name=name, memory_order=order
        )

    def _add_bias(self, size: int) -> None:
        if self.use_bias:
            self.bias = self.add_weight(
                (size,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        # Nobody else has these numbers, so they can be overwritten (and for the shape of another relu torch would load
        # its compiler, most of a second).
        if self.activation is activations.relu and (self._owns_result or inputs.is_meta):
            return self.outward(self.convolve(inputs).relu_())
        z = self.before_activation(inputs)
        return z if self.activation is None else self.activation(z)  # None: taken away after the layer was made

    def before_activation(self, inputs: torch.Tensor) -> torch.Tensor:
        """The convolution and the bias."""
        return self.outward(self.convolve(inputs))

    def convolve(self, inputs: torch.Tensor) -> torch.Tensor:
        """The convolution and the bias, as torch orders the axes: (batch, filters, *space)."""
        raise NotImplementedError

    def _floating(self, inputs: torch.Tensor) -> torch.Tensor:
        """The inputs in torch's order of axes, as floating-point numbers."""
        return self.inward(self._in_floats(inputs))

    def _torch_kernel(self, kernel: torch.Tensor) -> torch.Tensor:
        """A kernel (*window, a, b) as torch wants it, (b, a, *window). A view."""
        return (kernel.unsqueeze(0) if self.rank == 1 else kernel).permute(*self._kernel_to_torch)

    def _slide(self, x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None, groups: int) -> torch.Tensor:
        """The window slid over `x`, with the layer's padding; everything in torch's order of axes."""
        padding: Any = 0
        if self.padding == "same":
            x, padding = padded(x, self._window, self._steps, self._spread)
        elif self.padding == "causal":
            x = F.pad(x, ((self.kernel_size[0] - 1) * self.dilation_rate[0], 0))
        return self._convolve(x, kernel, bias, self._steps, padding, self._spread, groups)


class Convolution(AdaptableLayer, WindowedConvolution):
    """The base of convolutions over `rank` axes."""

    kernel = AdaptedWeight("kernel")
    _kernel = KeptWeight()

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
        *,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = positive_int(self, "filters", filters)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self._refuse_strides_with_dilation()
        self.groups = positive_int(self, "groups", groups)
        if self.filters % self.groups:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: `filters` ({filters}) must be a multiple of `groups` ({groups})."
            )
        self._set_output(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)
        if self.channels_last:
            warn_of_one_choice(self, self.filters)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self._set_lora(lora_rank, lora_alpha)
        only_channels = max(self.kernel_size) == 1 and self.groups == 1
        flat = self.channels_last and self.rank == 2
        self._mixes_channels_only = only_channels and flat
        steady = max(self.strides) == max(self.dilation_rate) == self.groups == 1
        self._has_tiles = flat and self.kernel_size == (3, 3) and steady and self.padding == "same"

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape, self.groups)
        if self.padding == "valid":
            self.check_fits(input_shape, self.kernel_size, self.dilation_rate)
        self._add_kernel(
            (*self.kernel_size, channels // self.groups, self.filters),
            self.kernel_initializer,
            self.kernel_regularizer,
            self.kernel_constraint,
        )
        self._add_bias(self.filters)
        self._begin_with_lora()

    def convolve(self, inputs: torch.Tensor) -> torch.Tensor:
        return self._convolved(inputs, self.bias)

    def convolve_without_bias(self, inputs: torch.Tensor) -> torch.Tensor:
        """What `convolve` gives before the bias is added."""
        return self._convolved(inputs, None)

    def convolution_op(self, inputs: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        """The inputs under a kernel of the shape of the layer's own, without bias and activation.

        A subclass may write it anew, for another kernel say: the layer then computes with it.

        Example:
            >>> import torch
            >>> class Standardized(Conv2D):
            ...     def convolution_op(self, inputs, kernel):
            ...         return super().convolution_op(inputs, (kernel - kernel.mean()) / kernel.std())
            >>> Standardized(4, 3)(torch.ones(1, 5, 5, 2)).shape
            torch.Size([1, 3, 3, 4])
        """
        return self.outward(self._slide(self._floating(inputs), self._torch_kernel(kernel), None, self.groups))

    def _convolved(self, inputs: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if type(self).convolution_op is not Convolution.convolution_op:
            y = self.inward(self.convolution_op(inputs, self.kernel))
            return y.clone() if bias is None else y + bias.view(-1, *[1] * self.rank)
        x, kernel = self._floating(inputs), self._torch_kernel(self.kernel)
        if self._mixes_channels_only and self._sees_few_places(x):
            return self._product(x, kernel, bias)
        if self._has_tiles and winograd.pays(x, kernel):
            return winograd.convolution(x, kernel, bias)
        return self._slide(x, kernel, bias, self.groups)

    def _sees_few_places(self, x: torch.Tensor) -> bool:
        """Whether so few places share the kernel that to sort it anew for a convolution takes longer than its sums."""
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return False
        return x.numel() <= _FEW_PLACES * x.shape[1] * self._steps[0] * self._steps[1]

    def _product(self, x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """A window of one place is a product of matrices: of all places with the kernel."""
        down, across = self._steps
        places = x[:, :, ::down, ::across] if down * across > 1 else x
        return F.linear(places.permute(0, 2, 3, 1), kernel.flatten(1), bias).permute(0, 3, 1, 2)


@registry.register("Convolution1D")
class Conv1D(Convolution):
    """A convolution over sequences: each output is a weighted sum of a window of the input.

    Args:
        filters: The number of output channels.
        kernel_size: The length of the window.
        strides: The step of the window.
        padding: `"valid"` (none), `"same"` (zeros, so that the output has length ceil(input / strides)) or
            `"causal"` (zeros before the sequence only, so that no output sees what comes after it).
        data_format: `"channels_last"` (the default and the faster) or `"channels_first"`.
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
        lora_rank: Where given, the kernel is frozen and a change of this rank is trained: see `enable_lora`.
        lora_alpha: How much that change counts: it is multiplied by lora_alpha / lora_rank. By default lora_rank.
        **kwargs: As for every layer.

    Shapes: (batch, steps, in) -> (batch, steps', filters). Weights: kernel (kernel_size, in / groups, filters),
    bias (filters,).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank or number of channels, or shorter than the window.

    Source: causal and dilated, van den Oord et al., WaveNet, 2016.

    Example:
        >>> import torch
        >>> from lamella.layers import Conv1D
        >>> Conv1D(32, 3, padding="causal", dilation_rate=2)(torch.ones(1, 10, 4)).shape
        torch.Size([1, 10, 32])
    """

    rank = 1
    paddings = ("valid", "same", "causal")


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
        lora_rank: Where given, the kernel is frozen and a change of this rank is trained: see `enable_lora`.
        lora_alpha: How much that change counts: it is multiplied by lora_alpha / lora_rank. By default lora_rank.
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


@registry.register("Convolution3D")
class Conv3D(Convolution):
    """A convolution over volumes, or over films: each output is a weighted sum of a window of the input.

    Args:
        filters: The number of output channels.
        kernel_size: The window, (depth, height, width) or one number.
        strides: The step of the window.
        padding: `"valid"` (none) or `"same"` (zeros, so that the output has size ceil(input / strides)).
        data_format: `"channels_last"` (the default and the faster) or `"channels_first"`.
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
        lora_rank: Where given, the kernel is frozen and a change of this rank is trained: see `enable_lora`.
        lora_alpha: How much that change counts: it is multiplied by lora_alpha / lora_rank. By default lora_rank.
        **kwargs: As for every layer.

    Shapes: (batch, depth, height, width, in) -> (batch, depth', height', width', filters). Weights: kernel
    (*kernel_size, in / groups, filters), bias (filters,).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank or number of channels, or smaller than the window.

    Source: Ji et al., 3D convolutional neural networks for human action recognition, 2013.

    Example:
        >>> import torch
        >>> from lamella.layers import Conv3D
        >>> Conv3D(8, 3)(torch.ones(1, 6, 10, 10, 1)).shape
        torch.Size([1, 4, 8, 8, 8])
    """

    rank = 3


Convolution1D = Conv1D
Convolution2D = Conv2D
Convolution3D = Conv3D

__all__ = [
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Convolution",
    "Convolution1D",
    "Convolution2D",
    "Convolution3D",
    "WindowedConvolution",
    "both_sides",
    "check_padding",
    "padded",
    "same_padding",
    "sizes",
]
