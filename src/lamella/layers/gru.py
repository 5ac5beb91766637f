"""`GRU`: a recurrent layer with an update gate and a reset gate."""

from __future__ import annotations

from typing import Any

import torch

from lamella import activations
from lamella.layers import fused_recurrent, gru_gradients, reset_before_gradients
from lamella.layers.base import InputSpec, registry
from lamella.layers.recurrent import RNN, check_use_cudnn
from lamella.layers.recurrent_cell import RecurrentCell, States, shows


@registry.register()
class GRUCell(RecurrentCell):
    """One step of `GRU`, with the gates z (update), r (reset), h (candidate) one after the other in each weight.

    Args:
        units: The number of outputs.
        activation: Of the candidate; tanh by default.
        recurrent_activation: Of the gates; sigmoid by default.
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
        reset_after: Whether the reset gate acts after the product with the recurrent kernel (as cuDNN has it), or
            before it (as in the first paper).
        seed: An integer for a sequence of noise of its own.
        **kwargs: As for every layer.

    Shapes: inputs (batch, features) and states [(batch, units)] -> (batch, units) and [(batch, units)].
    Weights: kernel (features, 3 * units), recurrent_kernel (units, 3 * units), bias (2, 3 * units) for the inputs
    and the state, or (3 * units,) without `reset_after`.

    Example:
        >>> import torch
        >>> from lamella.layers import GRUCell
        >>> output, states = GRUCell(4)(torch.ones(2, 3), [torch.zeros(2, 4)])
        >>> output.shape
        torch.Size([2, 4])
    """

    gates = 3

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
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
            noises=3 if apart else None,
            **kwargs,
        )
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = reset_after

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _input_bias(self) -> torch.Tensor | None:
        return self.bias[0] if self.reset_after and self.bias is not None else self.bias

    def step(self, x: torch.Tensor, states: States, noise: torch.Tensor | None) -> tuple[torch.Tensor, States]:
        before = states[0]
        x_z, x_r, x_h = x.chunk(3, 1)
        if self.reset_after:
            own = self._recurrent(before, noise)
            own_z, own_r, own_h = (own if self.bias is None else own + self.bias[1]).chunk(3, 1)
            z, r = self.recurrent_activation(x_z + own_z), self.recurrent_activation(x_r + own_r)
            own_h = r * own_h
        else:
            noises: Any = (None, None, None) if noise is None else noise
            kernels = self.recurrent_kernel.chunk(3, 1)
            own_z, own_r = (_product(before, kernels[i], noises[i]) for i in (0, 1))
            z, r = self.recurrent_activation(x_z + own_z), self.recurrent_activation(x_r + own_r)
            own_h = _product(r * before, kernels[2], noises[2])
        h = z * before + (1.0 - z) * self.activation(x_h + own_h)
        return h, [h]

    def _is_usual(self) -> bool:
        return fused_recurrent.is_tanh(self.activation) and fused_recurrent.is_sigmoid(self.recurrent_activation)

    def _is_torchs(self, training: bool | None) -> bool:
        return self.reset_after and super()._is_torchs(training)

    def fused(
        self, x: torch.Tensor, states: States, training: bool | None, padding: torch.Tensor | None
    ) -> tuple[torch.Tensor, States]:
        if self._is_torchs(training):
            x = self._dropped(x, training)
            return fused_recurrent.gru(x, states[0], self.kernel, self.recurrent_kernel, self.bias)
        noise = self.get_dropout_mask(x[:, 0]) if training else None
        own_noise = self.get_recurrent_dropout_mask(states[0]) if training else None
        projected = self._projected(x.transpose(0, 1), noise)
        if self.reset_after:
            own_bias = None if self.bias is None else self.bias[1]
            y, h = gru_gradients.gru(projected, states[0], self.recurrent_kernel, own_bias, own_noise)
        else:
            y, h = reset_before_gradients.gru_reset_before(projected, states[0], self.recurrent_kernel, own_noise)
        return y.transpose(0, 1), [h]


def _product(h: torch.Tensor, kernel: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
    return (h if noise is None else h * noise) @ kernel


@registry.register()
@shows(GRUCell)
class GRU(RNN):
    """The gated recurrent unit: one gate mixes the old state with a candidate, another resets what the candidate sees.

    With the default activations, all steps are computed by one kernel, with a mask too: with `reset_after` and no
    recurrent dropout torch's (cuDNN on CUDA; in training on the CPU Lamella's own), else, on the CPU, Lamella's own.
    Otherwise step by step, to the same result.

    Args:
        units: The number of outputs.
        activation: Of the candidate; tanh by default.
        recurrent_activation: Of the gates; sigmoid by default.
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
        seed: An integer for a sequence of noise of its own.
        return_sequences: Whether to return the outputs of all steps, or of the last one.
        return_state: Whether to return the last state too.
        go_backwards: Whether to read the sequence from its end.
        stateful: Whether a batch starts from the states in which the last one ended.
        unroll: Kept for Keras's signature: it changes nothing here.
        reset_after: Whether the reset gate acts after the product with the recurrent kernel (as cuDNN has it), or
            before it (as in the first paper).
        use_cudnn: `"auto"`; False for step by step; True for an error where there is no fused kernel.
        **kwargs: `zero_output_for_mask` (see `RNN`); `name`, `trainable`, `dtype`, as for every layer.

    Shapes: (batch, time, features) -> (batch, units), or (batch, time, units) with `return_sequences`; with
    `return_state` a tuple (output, h). Weights: kernel (features, 3 * units), recurrent_kernel (units, 3 * units),
    bias (2, 3 * units), or (3 * units,) without `reset_after`; the gates in the order z, r, h.

    Raises:
        ArgumentError: `units` is not a positive whole number; states that do not fit.
        ShapeError: An input that is not of rank 3.

    Source: Cho et al., 2014.

    Example:
        >>> import torch
        >>> from lamella.layers import GRU
        >>> GRU(4, return_sequences=True)(torch.ones(2, 5, 3)).shape
        torch.Size([2, 5, 4])
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
        reset_after: bool = True,
        use_cudnn: str | bool = "auto",
        **kwargs: Any,
    ) -> None:
        cell = GRUCell(
            units,
            activation,
            recurrent_activation,
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
            reset_after,
            seed,
            implementation=kwargs.pop("implementation", 2),
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="gru_cell",
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
