"""`SimpleRNN`: each step sees the output of the step before."""

from __future__ import annotations

from typing import Any

import torch

from lamella.layers import fused_recurrent
from lamella.layers.base import InputSpec, registry
from lamella.layers.recurrent import RNN
from lamella.layers.recurrent_cell import RecurrentCell, States, shows


@registry.register()
class SimpleRNNCell(RecurrentCell):
    """One step of `SimpleRNN`: h' = activation(x @ kernel + h @ recurrent_kernel + bias).

    Args:
        units: The number of outputs.
        activation: A name or function; tanh by default.
        use_bias: Whether to add a bias.
        kernel_initializer: Where the kernel starts.
        recurrent_initializer: Where the recurrent kernel starts.
        bias_initializer: Where the bias starts.
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

    Shapes: inputs (batch, features) and states [(batch, units)] -> (batch, units) and [(batch, units)].
    Weights: kernel (features, units), recurrent_kernel (units, units), bias (units,).

    Example:
        >>> import torch
        >>> from lamella.layers import SimpleRNNCell
        >>> output, states = SimpleRNNCell(4)(torch.ones(2, 3), [torch.zeros(2, 4)])
        >>> output.shape, len(states)
        (torch.Size([2, 4]), 1)
    """

    def step(self, x: torch.Tensor, states: States, noise: torch.Tensor | None) -> tuple[torch.Tensor, States]:
        h = self.activation(x + self._recurrent(states[0], noise))
        return h, [h]

    def _is_usual(self) -> bool:
        return fused_recurrent.is_tanh(self.activation) or fused_recurrent.is_relu(self.activation)

    def fused(
        self, x: torch.Tensor, states: States, training: bool | None, padding: torch.Tensor | None
    ) -> tuple[torch.Tensor, States]:
        relu = fused_recurrent.is_relu(self.activation)
        x = self._dropped(x, training)
        noise = self.get_recurrent_dropout_mask(states[0]) if training else None
        return fused_recurrent.simple(x, states[0], self.kernel, self.recurrent_kernel, self.bias, relu, noise, padding)


@registry.register()
@shows(SimpleRNNCell)
class SimpleRNN(RNN):
    """The plain recurrent layer: h[t] = activation(x[t] @ kernel + h[t-1] @ recurrent_kernel + bias).

    With tanh or relu all steps are computed by one kernel, with a mask too: torch's (cuDNN on CUDA), or in training on
    the CPU Lamella's own, with recurrent dropout too; otherwise step by step, to the same result.

    Args:
        units: The number of outputs.
        activation: A name or function; tanh by default.
        use_bias: Whether to add a bias.
        kernel_initializer: Where the kernel starts.
        recurrent_initializer: Where the recurrent kernel starts.
        bias_initializer: Where the bias starts.
        kernel_regularizer: A penalty on the kernel.
        recurrent_regularizer: A penalty on the recurrent kernel.
        bias_regularizer: A penalty on the bias.
        activity_regularizer: A penalty on the output.
        kernel_constraint: A projection of the kernel after each update.
        recurrent_constraint: A projection of the recurrent kernel.
        bias_constraint: A projection of the bias.
        dropout: The share of the inputs that is dropped while training, the same ones in all steps.
        recurrent_dropout: The share of the state that is dropped, the same in all steps.
        return_sequences: Whether to return the outputs of all steps, or of the last one.
        return_state: Whether to return the last state too.
        go_backwards: Whether to read the sequence from its end.
        stateful: Whether a batch starts from the states in which the last one ended.
        unroll: Kept for Keras's signature: it changes nothing here.
        seed: An integer for a sequence of noise of its own.
        **kwargs: `zero_output_for_mask` (see `RNN`); `name`, `trainable`, `dtype`, as for every layer.

    Shapes: (batch, time, features) -> (batch, units), or (batch, time, units) with `return_sequences`.
    Weights: kernel (features, units), recurrent_kernel (units, units), bias (units,).

    Raises:
        ArgumentError: `units` is not a positive whole number; states that do not fit.
        ShapeError: An input that is not of rank 3.

    Source: Elman, 1990.

    Example:
        >>> import torch
        >>> from lamella.layers import SimpleRNN
        >>> SimpleRNN(4)(torch.ones(2, 5, 3)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        cell = SimpleRNNCell(
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
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="simple_rnn_cell",
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
