"""What the cells of recurrent layers share: kernels with a block for each gate, and dropout that is kept over time."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar

import torch
import torch.nn.functional as F

from lamella import activations, constraints, initializers, regularizers
from lamella.engine.eager import are_plain
from lamella.engine.random import generator
from lamella.errors import ArgumentError
from lamella.layers.base import Layer
from lamella.layers.dense import positive_int

States = list[torch.Tensor]
Step = Callable[[torch.Tensor, States], tuple[torch.Tensor, States]]
LayerClass = TypeVar("LayerClass", bound=type)


class DropoutCell(Layer):
    """A cell with dropout of its inputs and of its state; the noise is drawn once and kept until it is reset.

    Args:
        dropout: The share of the inputs that is dropped while training.
        recurrent_dropout: The share of the state that is dropped while training.
        seed: An integer for a sequence of noise of its own.
        noises: How many noises are drawn, one for each gate; None for one for all.
        **kwargs: As for every layer.
    """

    def __init__(
        self,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        noises: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dropout = min(1.0, max(0.0, dropout))
        self.recurrent_dropout = min(1.0, max(0.0, recurrent_dropout))
        if seed is not None and not isinstance(seed, int):
            raise ArgumentError(f"{type(self).__name__} {self.name!r}: `seed` must be an integer; got {seed!r}.")
        self.seed = seed
        self._noises = noises
        self._dropout_mask: torch.Tensor | None = None
        self._recurrent_dropout_mask: torch.Tensor | None = None
        self._generator: torch.Generator | None = None

    def get_dropout_mask(self, step_input: torch.Tensor) -> torch.Tensor | None:
        """What the inputs of every step are multiplied by; None without dropout."""
        if self._dropout_mask is None and self.dropout > 0:
            self._dropout_mask = self._noise(step_input, self.dropout)
        return self._dropout_mask

    def get_recurrent_dropout_mask(self, state: torch.Tensor) -> torch.Tensor | None:
        """What the state is multiplied by in every step; None without dropout."""
        if self._recurrent_dropout_mask is None and self.recurrent_dropout > 0:
            self._recurrent_dropout_mask = self._noise(state, self.recurrent_dropout)
        return self._recurrent_dropout_mask

    def reset_dropout_mask(self) -> None:
        """Lets the next sequence have new noise on its inputs."""
        if self._dropout_mask is not None:
            self._dropout_mask = None

    def reset_recurrent_dropout_mask(self) -> None:
        """Lets the next sequence have new noise on the state."""
        if self._recurrent_dropout_mask is not None:
            self._recurrent_dropout_mask = None

    def _noise(self, like: torch.Tensor, rate: float) -> torch.Tensor:
        shape = like.shape if self._noises is None else (self._noises, *like.shape)
        if rate == 1.0:
            return like.new_zeros(shape)
        if like.is_meta:  # while shapes are found
            return like.new_empty(shape)
        if self.seed is not None and (self._generator is None or self._generator.device != like.device):
            self._generator = generator(self.seed, like.device)
        noise = torch.empty(shape, dtype=self._float, device=like.device).uniform_(generator=self._generator)
        return noise.lt_(1.0 - rate).mul_(1.0 / (1.0 - rate))

    # -- one step, and all of them --------------------------------------------------------------------------

    def call(self, inputs: torch.Tensor, states: Any, training: bool | None = None) -> tuple[torch.Tensor, Any]:
        nested = isinstance(states, (list, tuple))
        before = list(states) if nested else [states]
        if inputs.is_meta:
            output, after = self.on_meta(inputs)
        else:
            projected, step = self.steps(inputs.unsqueeze(0), before, training)
            output, after = step(projected[0], before)
        return output, after if nested else after[0]

    def steps(self, x: torch.Tensor, states: States, training: bool | None) -> tuple[tuple[torch.Tensor, ...], Step]:
        """The inputs' share of each step, computed for all at once, and the function that makes a step of it.

        Args:
            x: (time, batch, ...).
            states: The states at first.
            training: Whether to drop.
        """
        raise NotImplementedError

    def on_meta(self, inputs: torch.Tensor) -> tuple[torch.Tensor, States]:
        """Outputs and states for one or all steps on the meta device: the shapes, without loading torch's compiler."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        # A torch.Generator cannot be copied, and noise belongs to one call: both are made anew.
        nothing = {"_generator": None, "_dropout_mask": None, "_recurrent_dropout_mask": None}
        return {**super().__getstate__(), **nothing}


class RecurrentCell(DropoutCell):
    """A cell whose inputs and state pass through one matrix each, with a block of columns for each gate."""

    gates = 1

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dropout, recurrent_dropout, seed, **kwargs)
        self.units = positive_int(self, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias: torch.Tensor | None = None

    @property
    def state_size(self) -> int | list[int]:
        """The size of the state, or of each of the states."""
        return self.units

    @property
    def output_size(self) -> int:
        """The size of the output."""
        return self.units

    def build(self, input_shape: Any) -> None:
        width = self.gates * self.units
        self.kernel = self.add_weight(
            (input_shape[-1], width),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
            memory_order=(1, 0),  # as torch's kernels have it: transposing costs nothing
        )
        self.recurrent_kernel = self.add_weight(
            (self.units, width),
            self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
            name="recurrent_kernel",
            memory_order=(1, 0),
        )
        if self.use_bias:
            self.bias = self.add_weight(
                self._bias_shape(),
                self._start_of_bias,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def _start_of_bias(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        return self.bias_initializer(shape, dtype=dtype)

    def get_initial_state(self, batch_size: int | None = None) -> States:
        """The states before the first step: zeros."""
        sizes = self.state_size if isinstance(self.state_size, list) else [self.state_size]
        device = self.kernel.device if self.built else self._device()
        return [
            torch.zeros(1 if batch_size is None else batch_size, size, dtype=self._float, device=device)
            for size in sizes
        ]

    def steps(self, x: torch.Tensor, states: States, training: bool | None) -> tuple[tuple[torch.Tensor, ...], Step]:
        noise = self.get_dropout_mask(x[0]) if training else None
        recurrent_noise = self.get_recurrent_dropout_mask(states[0]) if training else None
        projected = self._projected(x, noise)
        return projected.unbind(0), lambda each, before: self.step(each, before, recurrent_noise)

    def _projected(self, x: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        bias = self._input_bias()
        if noise is None or self._noises is None:
            x = x if noise is None else x * noise
            return F.linear(x.contiguous(), self.kernel.t(), bias)
        y = (x * noise.unsqueeze(1)).flatten(1, 2) @ self._by_gate(self.kernel)
        y = y.movedim(0, 1).reshape(*x.shape[:2], -1)
        return y if bias is None else y + bias

    def _input_bias(self) -> torch.Tensor | None:
        return self.bias

    def _by_gate(self, kernel: torch.Tensor) -> torch.Tensor:
        return kernel.unflatten(1, (self.gates, self.units)).movedim(1, 0)

    def _recurrent(self, h: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        """The state's share of a step, each gate with its own noise where there is one."""
        if noise is None:
            return h @ self.recurrent_kernel
        if self._noises is None:
            return (h * noise) @ self.recurrent_kernel
        return ((h * noise) @ self._by_gate(self.recurrent_kernel)).movedim(0, 1).flatten(1)

    def step(self, x: torch.Tensor, states: States, noise: torch.Tensor | None) -> tuple[torch.Tensor, States]:
        """One step, from the inputs' share of it (batch, gates * units) and the states."""
        raise NotImplementedError

    def can_be_fused(self, training: bool | None, x: torch.Tensor | None = None) -> bool:
        """Whether one kernel computes all steps of this cell, for the inputs `x` at least."""
        if not self._is_usual():
            return False
        if self._is_torchs(training):
            return True
        return x is not None and are_plain(x, self.kernel.t(), self.recurrent_kernel.t())

    def fused(
        self, x: torch.Tensor, states: States, training: bool | None, padding: torch.Tensor | None
    ) -> tuple[torch.Tensor, States]:
        """All steps in one kernel, where it can be: the outputs and the last states.

        Args:
            x: (batch, time, features).
            states: The states at first.
            training: Whether to drop.
            padding: (batch, time), True where no state but the first may change.
        """
        raise NotImplementedError

    def _is_usual(self) -> bool:
        """Whether the activations are those that the kernels have."""
        return False

    def _is_torchs(self, training: bool | None) -> bool:
        """Whether torch has a kernel for a usual cell: none has noise for each gate, or on the state."""
        return not (training and (self.recurrent_dropout or (self.dropout and self._noises is not None)))

    def _dropped(self, x: torch.Tensor, training: bool | None) -> torch.Tensor:
        noise = self.get_dropout_mask(x[:, 0]) if training else None
        return x if noise is None else x * noise.unsqueeze(1)

    def on_meta(self, inputs: torch.Tensor) -> tuple[torch.Tensor, States]:
        count = len(self.state_size) if isinstance(self.state_size, list) else 1
        batch = inputs.shape[0]
        states = [torch.empty(batch, self.units, dtype=inputs.dtype, device="meta") for _ in range(count)]
        return torch.empty((*inputs.shape[:-1], self.units), dtype=inputs.dtype, device="meta"), states


def is_own(cell: Any) -> bool:
    """Whether a cell computes as Lamella's does: a subclass of it with another `call` must be called."""
    return isinstance(cell, DropoutCell) and type(cell).call is DropoutCell.call


def shows(cell_class: Any) -> Callable[[LayerClass], LayerClass]:
    """Decorator: the arguments of the cell can be read from the recurrent layer (`layer.units`)."""

    def add(cls: LayerClass) -> LayerClass:
        for name in list(inspect.signature(cell_class.__init__).parameters)[1:]:
            if name != "kwargs":
                setattr(cls, name, property(attrgetter(f"cell.{name}")))
        return cls

    return add
