"""`LSTM`: a recurrent layer with a carry that gates protect."""

from __future__ import annotations

from typing import Any

import torch

from lamella import activations, initializers
from lamella.layers import fused_recurrent, lstm_gradients
from lamella.layers.base import InputSpec, registry
from lamella.layers.recurrent import RNN, check_use_cudnn
from lamella.layers.recurrent_cell import RecurrentCell, States, shows


def forget_bias(initializer: Any, units: int, dtype: Any) -> torch.Tensor:
    """The bias of the four gates at first, with ones for the forget gate: at first nothing is forgotten."""
    ones = initializers.get("ones")((units,), dtype=dtype)
    return torch.cat([initializer((units,), dtype=dtype), ones, initializer((2 * units,), dtype=dtype)])


def lstm_step(z: torch.Tensor, carry: torch.Tensor, act: Any, gate: Any, axis: int) -> tuple[torch.Tensor, States]:
    """One step from the weighted sums of the four gates, which lie one after the other along `axis`."""
    i, f, candidate, o = z.chunk(4, axis)
    carry = gate(f) * carry + gate(i) * act(candidate)
    h = gate(o) * act(carry)
    return h, [h, carry]


@registry.register()
class LSTMCell(RecurrentCell):
    """One step of `LSTM`, with the gates i, f, c, o one after the other in each weight.

    Args:
        units: The number of outputs.
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
        kernel_constraint: A projection of the kernel after each update.
        recurrent_constraint: A projection of the recurrent kernel.
        bias_constraint: A projection of the bias.
        dropout: The share of the inputs that is dropped while training, the same ones in all steps.
        recurrent_dropout: The share of the state that is dropped, the same in all steps.
        seed: An integer for a sequence of noise of its own.
        **kwargs: As for every layer.

    Shapes: inputs (batch, features) and states [h, c], each (batch, units) -> (batch, units) and [h, c].
    Weights: kernel (features, 4 * units), recurrent_kernel (units, 4 * units), bias (4 * units,).

    Example:
        >>> import torch
        >>> from lamella.layers import LSTMCell, RNN
        >>> RNN([LSTMCell(4), LSTMCell(5)])(torch.ones(2, 7, 3)).shape
        torch.Size([2, 5])
    """

    gates = 4

    def __init__(
        self,
        units: int,
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
        apart = kwargs.pop("implementation", 2) == 1 or recurrent_dropout > 0
        super().__init__(
            units,
            activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            noises=4 if apart else None,
            **kwargs,
        )
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias

    @property
    def state_size(self) -> list[int]:
        """The sizes of the state and of the carry."""
        return [self.units, self.units]

    def _start_of_bias(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        if not self.unit_forget_bias:
            return super()._start_of_bias(shape, dtype)
        return forget_bias(self.bias_initializer, self.units, dtype)

    def step(self, x: torch.Tensor, states: States, noise: torch.Tensor | None) -> tuple[torch.Tensor, States]:
        z = x + self._recurrent(states[0], noise)
        return lstm_step(z, states[1], self.activation, self.recurrent_activation, 1)

    def _is_usual(self) -> bool:
        return fused_recurrent.is_tanh(self.activation) and fused_recurrent.is_sigmoid(self.recurrent_activation)

    def can_be_fused(self, training: bool | None, x: torch.Tensor | None = None) -> bool:
        # With noise for each gate on the inputs alone, step by step is as quick.
        return super().can_be_fused(training, x if self.recurrent_dropout else None)

    def fused(
        self, x: torch.Tensor, states: States, training: bool | None, padding: torch.Tensor | None
    ) -> tuple[torch.Tensor, States]:
        noise = self.get_dropout_mask(x[:, 0]) if training else None
        own_noise = self.get_recurrent_dropout_mask(states[0]) if training else None
        if own_noise is None:
            x = self._dropped(x, training)
            return fused_recurrent.lstm(x, states[0], states[1], self.kernel, self.recurrent_kernel, self.bias, padding)
        projected = self._projected(x.transpose(0, 1), noise)
        if padding is not None:
            projected = projected + padding.t().unsqueeze(-1) * fused_recurrent.gates_that_keep(self.kernel)
        y, h, c = lstm_gradients.lstm(projected, states[0], states[1], self.recurrent_kernel, own_noise)
        return y.transpose(0, 1), [h, c]


@registry.register()
@shows(LSTMCell)
class LSTM(RNN):
    """Long short-term memory: gates decide what a carry takes in, keeps and shows.

    With the default activations, all steps are computed by one kernel (oneDNN's on the CPU, cuDNN on CUDA; with
    recurrent dropout, on the CPU, Lamella's own), with a mask too; otherwise step by step, to the same result.

    Args:
        units: The number of outputs.
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
        unroll: Kept for Keras's signature: it changes nothing here.
        use_cudnn: `"auto"`; False for step by step; True for an error where there is no fused kernel.
        **kwargs: `zero_output_for_mask` (see `RNN`); `name`, `trainable`, `dtype`, as for every layer.

    Shapes: (batch, time, features) -> (batch, units), or (batch, time, units) with `return_sequences`; with
    `return_state` a tuple (output, h, c). Weights: kernel (features, 4 * units), recurrent_kernel
    (units, 4 * units), bias (4 * units,), the gates in the order i, f, c, o.

    Raises:
        ArgumentError: `units` is not a positive whole number; states that do not fit.
        ShapeError: An input that is not of rank 3.

    Source: Hochreiter and Schmidhuber, 1997; the forget gate Gers et al., 2000.

    Example:
        >>> import torch
        >>> from lamella.layers import LSTM
        >>> output, h, c = LSTM(4, return_sequences=True, return_state=True)(torch.ones(2, 5, 3))
        >>> output.shape, c.shape
        (torch.Size([2, 5, 4]), torch.Size([2, 4]))
    """

    def __init__(
        self,
        units: int,
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
        unroll: bool = False,
        use_cudnn: str | bool = "auto",
        **kwargs: Any,
    ) -> None:
        cell = LSTMCell(
            units,
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
            implementation=kwargs.pop("implementation", 2),
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="lstm_cell",
        )
        super().__init__(
            cell,
            return_sequences,
            return_state,
            go_backwards,
            stateful,
            unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.input_spec = InputSpec(ndim=3)
        self.use_cudnn = check_use_cudnn(self, use_cudnn)
