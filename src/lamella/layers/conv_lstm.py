"""`ConvLSTM1D`, `ConvLSTM2D` and `ConvLSTM3D`: an LSTM whose products are convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella import activations, constraints, initializers, regularizers
from lamella.errors import ArgumentError, ShapeError
from lamella.layers.base import InputSpec, registry
from lamella.layers.dense import positive_int
from lamella.layers.lstm import forget_bias, lstm_step
from lamella.layers.recurrent import RNN
from lamella.layers.recurrent_cell import DropoutCell, States, Step, shows
from lamella.layers.reshaping import check_data_format
from lamella.layers.windows import check_padding, padded, sizes

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class ConvLSTMCell(DropoutCell):
    """One step of a convolutional LSTM, whose states [h, c] have shape (batch, *space', filters)."""

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dropout, recurrent_dropout, seed, noises=4, **kwargs)
        self.rank = rank
        self.filters = positive_int(self, "filters", filters)
        self.kernel_size = sizes(self, "kernel_size", kernel_size, rank)
        self.strides = sizes(self, "strides", strides, rank)
        self.padding = check_padding(self, padding)
        self.data_format = check_data_format(self, data_format)
        self.dilation_rate = sizes(self, "dilation_rate", dilation_rate, rank)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: `strides` {self.strides} and `dilation_rate` "
                f"{self.dilation_rate} cannot both be more than 1."
            )
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.unit_forget_bias = unit_forget_bias
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias: torch.Tensor | None = None
        self._last = self.data_format == "channels_last"
        self._gate_axis = -1 if self._last else 1

    @property
    def state_size(self) -> list[int]:
        """Two states; their sizes depend on the input's."""
        return [-1, -1]

    def build(self, input_shape: Any) -> None:
        space = tuple(input_shape[1:-1] if self._last else input_shape[2:])
        channels = input_shape[self._gate_axis]
        if None in space or channels is None:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} needs known sizes of space and channels; each step has shape "
                f"{tuple(input_shape)}. Give them all in Input(shape=(None, ...)); only the steps may be None."
            )
        self._space = tuple(map(self._size_after, space, self.kernel_size, self.strides, self.dilation_rate))
        if min(self._space) < 1:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: a kernel of {self.kernel_size} does not fit in steps of size "
                f"{space}. Use padding='same' or a smaller kernel."
            )
        order = (self.rank + 1, *range(self.rank), self.rank)
        self.kernel = self.add_weight(
            (*self.kernel_size, channels, 4 * self.filters),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
            memory_order=order,
        )
        self.recurrent_kernel = self.add_weight(
            (*self.kernel_size, self.filters, 4 * self.filters),
            self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
            name="recurrent_kernel",
            memory_order=order,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (4 * self.filters,),
                self._start_of_bias,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def _size_after(self, size: int, window: int, stride: int, spread: int) -> int:
        return -(-size // stride) if self.padding == "same" else (size - (window - 1) * spread - 1) // stride + 1

    def _start_of_bias(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        if not self.unit_forget_bias:
            return self.bias_initializer(shape, dtype=dtype)
        return forget_bias(self.bias_initializer, self.filters, dtype)

    def _state_shape(self) -> tuple[int, ...]:
        return (*self._space, self.filters) if self._last else (self.filters, *self._space)

    def get_initial_state(self, batch_size: int | None = None) -> States:
        """The states before the first step: zeros."""
        shape = (1 if batch_size is None else batch_size, *self._state_shape())
        return [torch.zeros(shape, dtype=self._float, device=self._device()) for _ in range(2)]

    def on_meta(self, inputs: torch.Tensor) -> tuple[torch.Tensor, States]:
        shape = self._state_shape()
        states = [torch.empty((inputs.shape[0], *shape), dtype=inputs.dtype, device="meta") for _ in range(2)]
        lead = inputs.shape[: inputs.ndim - len(shape)]
        return torch.empty((*lead, *shape), dtype=inputs.dtype, device="meta"), states

    def steps(self, x: torch.Tensor, states: States, training: bool | None) -> tuple[tuple[torch.Tensor, ...], Step]:
        noise = self.get_dropout_mask(x[0]) if training else None
        recurrent_noise = self.get_recurrent_dropout_mask(states[0]) if training else None
        seen = x.flatten(0, 1)
        if noise is None:
            y = self._convolved(seen, self.kernel, self.bias)
        else:
            gates = self.kernel.chunk(4, -1)
            biases = [None] * 4 if self.bias is None else self.bias.chunk(4)
            dropped = [(x * each).flatten(0, 1) for each in noise.unbind(0)]
            y = torch.cat(list(map(self._convolved, dropped, gates, biases)), self._gate_axis)
        return y.unflatten(0, x.shape[:2]).unbind(0), lambda each, before: self._step(each, before, recurrent_noise)

    def _step(self, x: torch.Tensor, states: States, noise: torch.Tensor | None) -> tuple[torch.Tensor, States]:
        if noise is None:
            own = self._convolved_again(states[0], self.recurrent_kernel)
        else:
            gates = self.recurrent_kernel.chunk(4, -1)
            dropped = [states[0] * each for each in noise.unbind(0)]
            own = torch.cat(list(map(self._convolved_again, dropped, gates)), self._gate_axis)
        return lstm_step(x + own, states[1], self.activation, self.recurrent_activation, self._gate_axis)

    def _convolved(self, x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return self._convolution(x, kernel, bias, self.strides, self.padding, self.dilation_rate)

    def _convolved_again(self, h: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        ones = (1,) * self.rank
        return self._convolution(h, kernel, None, ones, "same", ones)

    def _convolution(
        self,
        x: torch.Tensor,
        kernel: torch.Tensor,
        bias: torch.Tensor | None,
        strides: Sequence[int],
        padding: str,
        dilation: Sequence[int],
    ) -> torch.Tensor:
        if self._last:
            x = x.movedim(-1, 1)
        around: Any = 0
        if padding == "same":
            x, around = padded(x, self.kernel_size, strides, dilation)
        kernel = kernel.permute(self.rank + 1, self.rank, *range(self.rank))
        y = _CONVOLVE[self.rank](x, kernel, bias, strides, around, dilation)
        return y.movedim(1, -1) if self._last else y


@shows(ConvLSTMCell)
class ConvLSTM(RNN):
    """The base of convolutional LSTMs over `rank` axes of space."""

    rank: int

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        cell = ConvLSTMCell(
            self.rank,
            filters,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            unit_forget_bias,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="conv_lstm_cell",
        )
        super().__init__(
            cell,
            return_sequences,
            return_state,
            go_backwards,
            stateful,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.input_spec = InputSpec(ndim=self.rank + 3)


@registry.register()
class ConvLSTM1D(ConvLSTM):
    """The LSTM of `ConvLSTM2D` over one axis of space: (batch, time, length, channels).

    Arguments, weights, errors and source as for `ConvLSTM2D`.

    Example:
        >>> import torch
        >>> from lamella.layers import ConvLSTM1D
        >>> ConvLSTM1D(4, 3)(torch.ones(2, 5, 9, 3)).shape
        torch.Size([2, 7, 4])
    """

    rank = 1


@registry.register()
class ConvLSTM2D(ConvLSTM):
    """An LSTM over films: its states are pictures, and its products convolutions.

    Args:
        filters: The number of output channels.
        kernel_size: The window of both convolutions.
        strides: The step of the window over the input.
        padding: Of the input: `"valid"` or `"same"`. The state's convolution always pads to the same size.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: The distance between the taps of the window over the input.
        activation: Of the candidate and of the carry; tanh by default.
        recurrent_activation: Of the gates; sigmoid by default.
        use_bias: Whether to add a bias.
        kernel_initializer: Where the kernel starts.
        recurrent_initializer: Where the recurrent kernel starts.
        bias_initializer: Where the bias starts.
        unit_forget_bias: Whether the bias of the forget gate starts at 1.
        kernel_regularizer: A penalty on the kernel.
        recurrent_regularizer: A penalty on the recurrent kernel.
        bias_regularizer: A penalty on the bias.
        activity_regularizer: A penalty on the output.
        kernel_constraint: A projection of the kernel after each update.
        recurrent_constraint: A projection of the recurrent kernel.
        bias_constraint: A projection of the bias.
        dropout: The share of the inputs that is dropped while training, the same ones in all steps.
        recurrent_dropout: The share of the state that is dropped, the same in all steps.
        seed: An integer for a sequence of noise of its own.
        return_sequences: Whether to return the outputs of all steps, or of the last one.
        return_state: Whether to return the last state and carry too.
        go_backwards: Whether to read the sequence from its end.
        stateful: Whether a batch starts from the states in which the last one ended.
        **kwargs: As for every layer.

    Shapes: (batch, time, height, width, channels) -> (batch, height', width', filters), or with a time axis with
    `return_sequences`. Weights: kernel (*kernel_size, channels, 4 * filters), recurrent_kernel
    (*kernel_size, filters, 4 * filters), bias (4 * filters,), the gates in the order i, f, c, o.

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank, of unknown size or smaller than the window.

    Source: Shi et al., 2015.

    Example:
        >>> import torch
        >>> from lamella.layers import ConvLSTM2D
        >>> ConvLSTM2D(4, 3, padding="same", return_sequences=True)(torch.ones(2, 5, 8, 8, 3)).shape
        torch.Size([2, 5, 8, 8, 4])
    """

    rank = 2


@registry.register()
class ConvLSTM3D(ConvLSTM):
    """The LSTM of `ConvLSTM2D` over three axes: (batch, time, depth, height, width, channels).

    Arguments, weights, errors and source as for `ConvLSTM2D`.

    Example:
        >>> import torch
        >>> from lamella.layers import ConvLSTM3D
        >>> ConvLSTM3D(2, 2)(torch.ones(1, 3, 4, 4, 4, 1)).shape
        torch.Size([1, 3, 3, 3, 2])
    """

    rank = 3
