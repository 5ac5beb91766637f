"""`RNN`: any cell over time; and `StackedRNNCells`: several cells as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from lamella.engine.registry import deserialize, serialize
from lamella.engine.variable import State
from lamella.errors import ArgumentError, ShapeError
from lamella.layers.base import InputSpec, Layer, registry
from lamella.layers.layer_config import passed_arguments
from lamella.layers.recurrent_cell import DropoutCell, RecurrentCell, is_own
from lamella.layers.recurrent_loop import Ran, call_cell, run


@registry.register()
class StackedRNNCells(Layer):
    """Several cells that work as one: each step's output of a cell is the input of the next.

    Args:
        cells: The cells, the first to see the input first.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Something without `call` or `state_size` among the cells.

    Example:
        >>> import torch
        >>> from lamella.layers import RNN, GRUCell, LSTMCell, StackedRNNCells
        >>> RNN(StackedRNNCells([LSTMCell(4), GRUCell(5)]))(torch.ones(2, 7, 3)).shape
        torch.Size([2, 5])
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells: Sequence[Any] = [_checked_cell(cell, f"StackedRNNCells {self.name!r}") for cell in cells]
        if not self._trainable:
            self.trainable = False

    @property
    def state_size(self) -> list[Any]:
        """The state sizes of the cells."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """The output size of the last cell."""
        return output_size(self.cells[-1])

    def build(self, input_shape: Any) -> None:
        for cell in self.cells:
            build_cell(cell, input_shape)
            input_shape = (input_shape[0], output_size(cell))

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """The states of the cells before the first step."""
        return [initial_state(cell, batch_size, self._device()) for cell in self.cells]

    def call(self, inputs: torch.Tensor, states: Any, training: bool | None = None) -> tuple[torch.Tensor, list[Any]]:
        after = []
        for cell, own in zip(self.cells, states, strict=True):
            nested = isinstance(own, (list, tuple))
            inputs, new = call_cell(cell, inputs, list(own) if nested else [own], training)
            new = list(new) if isinstance(new, (list, tuple)) else [new]
            after.append(new if nested else new[0])
        return inputs, after

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["cells"] = [serialize(cell) for cell in self.cells]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Layer:
        cells = [deserialize(cell, custom_objects, registry) for cell in config["cells"]]
        return cls(**{**config, "cells": cells})


@registry.register()
class RNN(Layer):
    """Runs a cell over the steps of a sequence.

    Args:
        cell: A cell, or a list of cells (stacked). A cell of your own has `state_size` (a number, or a list of
            numbers), `call(inputs, states)` that returns (output, new states), and perhaps `output_size` and
            `get_initial_state(batch_size)`.
        return_sequences: Whether to return the outputs of all steps, or of the last one.
        return_state: Whether to return the last states too, as a tuple (output, *states).
        go_backwards: Whether to read the sequence from its end (outputs stay in the order in which they are made).
        stateful: Whether a batch starts from the states in which the last one ended; sample i goes on from sample i.
        unroll: Kept for Keras's signature: it changes nothing here, but asks for a known number of steps.
        zero_output_for_mask: Whether the output of a masked step is 0; else it is that of the step before.
        **kwargs: As for every layer.

    Called on (batch, time, ...), and with `initial_state=[...]` to start from other states than zeros, as in a
    decoder; `mask` (batch, time) is True where a step is real. The states pass over the steps that are not.

    Raises:
        ArgumentError: Something that is no cell; states that do not fit the cell.
        ShapeError: A batch of another size than the states of a stateful layer have.

    Example:
        >>> import torch
        >>> from lamella.layers import RNN, Layer
        >>> class Sum(Layer):
        ...     state_size = 3
        ...     def call(self, inputs, states):
        ...         total = states[0] + inputs
        ...         return total, [total]
        >>> RNN(Sum())(torch.ones(1, 5, 3))
        tensor([[5., 5., 5.]])
    """

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        self.cell = _checked_cell(cell, f"{type(self).__name__} {self.name!r}")
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.use_cudnn: str | bool = "auto"
        self.supports_masking = True
        self._state_spec: Any = None
        if not self._trainable:
            self.trainable = False

    @property
    def state_size(self) -> list[Any]:
        """The sizes of the states."""
        size = self.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]

    # -- building -------------------------------------------------------------------------------------------

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        rank = None if self.input_spec is None else self.input_spec.ndim
        if len(sequences_shape) != (rank or max(3, len(sequences_shape))):
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} takes inputs (batch, time, ...) of rank {rank or '3 or more'}; "
                f"got shape {tuple(sequences_shape)}. Is the batch, the time or the last axis missing? Try "
                f"expand_dims(x, 0) or, if each step is one number, expand_dims(x, -1)."
            )
        if self.unroll and sequences_shape[1] is None:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: unroll=True needs a known number of steps; the input has shape "
                f"{tuple(sequences_shape)}. Give it in Input(shape=(steps, ...)), or leave unroll out."
            )
        build_cell(self.cell, (sequences_shape[0], *sequences_shape[2:]))
        if self.input_spec is not None:
            self.input_spec = InputSpec(shape=(None, None, *sequences_shape[2:]))
        if self.stateful and self._state_spec is None and sequences_shape[0] is not None:
            self._make_states(sequences_shape[0])

    def _can_be_quick(self) -> bool:
        return self.activity_regularizer is None  # without a mask there is none to make

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = first_mask(mask)
        own = mask if self.return_sequences else None
        return [own, *[None for _ in self.state_size]] if self.return_state else own

    # -- states ---------------------------------------------------------------------------------------------

    def _cast_with_it(self) -> list[Layer]:
        modules = self.cell.modules() if isinstance(self.cell, Layer) else ()
        return [self, *(module for module in modules if isinstance(module, Layer))]

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """The states before the first step, as the cell has them."""
        states = initial_state(self.cell, batch_size, self._device())
        return list(states) if isinstance(states, (list, tuple)) else [states]

    @property
    def states(self) -> list[Any] | None:
        """The states in which the last batch ended, of a stateful layer; None before there are any."""
        if self._state_spec is None:
            return None
        return list(pytree.tree_unflatten(self._kept_states(), self._state_spec))

    def _kept_states(self) -> list[torch.Tensor]:
        return [self._buffers[f"rnn_state_{i}"] for i in range(self._state_spec.num_leaves)]  # type: ignore[misc]

    def _make_states(self, batch: int) -> None:
        flat, self._state_spec = pytree.tree_flatten(self.get_initial_state(batch))
        for i, state in enumerate(flat):
            self.register_buffer(f"rnn_state_{i}", State(state), persistent=False)

    def reset_state(self) -> None:
        """Sets the states of a stateful layer to zeros."""
        if self._state_spec is not None:
            with torch.no_grad():
                for state in self._kept_states():
                    state.zero_()

    def reset_states(self) -> None:
        """The same as `reset_state`."""
        self.reset_state()

    def _start(self, sequences: torch.Tensor, given: Any) -> list[Any]:
        batch, own = sequences.shape[0], self.stateful and not sequences.is_meta
        if own and self._state_spec is None:
            self._make_states(batch)
        if own and self._kept_states()[0].shape[0] != batch:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} is stateful: its states are those of "
                f"{self._kept_states()[0].shape[0]} samples, but this batch has {batch}. Use one batch size throughout "
                f"(with a number of samples that it divides), or reset the layer by building the model anew."
            )
        if given is None and own:  # copied, as what autograd keeps of them must not change
            return list(pytree.tree_unflatten([state.clone() for state in self._kept_states()], self._state_spec))
        if given is None:
            if is_own(self.cell):
                return self.cell.get_initial_state(batch)
            states = self.get_initial_state(batch)
            return pytree.tree_map_only(torch.Tensor, lambda s: s.to(sequences.device), states)
        states = list(given) if isinstance(given, (list, tuple)) else [given]
        self._check_states(states, batch)
        return states

    def _check_states(self, states: list[Any], batch: int) -> None:
        sizes = self.state_size
        if len(states) != len(sizes):
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r} has {len(sizes)} states, but `initial_state` has {len(states)}."
            )
        for state, size in zip(states, sizes, strict=True):
            known = isinstance(state, torch.Tensor) and isinstance(size, int) and size > 0
            if known and tuple(state.shape) != (batch, size):
                raise ShapeError(
                    f"{type(self).__name__} {self.name!r}: every state must have shape (batch, {size}), here "
                    f"({batch}, {size}); `initial_state` has one of shape {tuple(state.shape)}."
                )

    # -- calling --------------------------------------------------------------------------------------------

    def call(
        self,
        sequences: torch.Tensor,
        initial_state: Any = None,
        mask: Any = None,
        training: bool | None = None,
    ) -> Any:
        sequences = self._in_floats(sequences)
        states, mask = self._start(sequences, initial_state), self._checked_mask(mask, sequences)
        if self.go_backwards:
            sequences, mask = sequences.flip(1), None if mask is None else mask.flip(1)
        if self.use_cudnn is True:
            self._check_fused(training)
        zero, fuse = self.zero_output_for_mask, self.use_cudnn is not False
        try:
            outputs, last, states = _run(self.cell, sequences, states, mask, training, zero, fuse)
        finally:
            _reset_noise(self.cell)
        if self.stateful and not sequences.is_meta:
            self._keep(states)
        output = outputs if self.return_sequences else last
        return (output, *states) if self.return_state else output

    def _checked_mask(self, mask: Any, sequences: torch.Tensor) -> torch.Tensor | None:
        mask = first_mask(mask)
        if mask is None:
            return None
        if mask.ndim == 3 and mask.shape[-1] == 1:
            mask = mask.squeeze(-1)
        if mask.ndim != 2 or mask.shape != sequences.shape[:2]:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: the mask must have shape (batch, time) = "
                f"{tuple(sequences.shape[:2])}; got {tuple(mask.shape)}."
            )
        return mask if mask.dtype is torch.bool else mask.to(torch.bool)

    def _check_fused(self, training: bool | None) -> None:
        cell = self.cell
        usual = getattr(cell, "recurrent_activation", None)
        if not (is_own(cell) and isinstance(cell, RecurrentCell) and cell.can_be_fused(training)):
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: use_cudnn=True, but no fused kernel computes it: that needs "
                f"activation='tanh', recurrent_activation='sigmoid' (it is {usual!r}), recurrent_dropout=0 and, in a "
                f"GRU, reset_after=True. Leave use_cudnn at 'auto' to go step by step."
            )

    def _keep(self, states: Any) -> None:
        with torch.no_grad():
            for kept, new in zip(self._kept_states(), pytree.tree_leaves(states), strict=True):
                kept.copy_(new)

    # -- configuration --------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("use_cudnn", None)  # as in Keras: it says how, not what
        if type(self) is RNN or "cell" in passed_arguments(self):
            config["cell"] = serialize(self.cell)
        else:
            config.pop("cell", None)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Layer:
        if isinstance(config.get("cell"), dict):
            config = {**config, "cell": deserialize(config["cell"], custom_objects, registry)}
        return super().from_config(config)


def _run(
    cell: Any,
    x: torch.Tensor,
    states: list[Any],
    mask: torch.Tensor | None,
    training: bool | None,
    zero_output: bool,
    fuse: bool,
) -> Ran:
    """`run`, for a stack of cells one cell after the other: each over all steps, in its own fused kernel."""
    if type(cell) is not StackedRNNCells:
        return run(cell, x, states, mask, training, zero_output, fuse)
    if len(states) != len(cell.cells):
        raise ArgumentError(
            f"The stack {cell.name!r} has {len(cell.cells)} cells, but {len(states)} states were given."
        )
    after: list[Any] = []
    last = x
    for cell_of_stack, own in zip(cell.cells, states, strict=True):
        nested = isinstance(own, (list, tuple))
        zero = zero_output and len(after) == len(states) - 1
        x, last, new = _run(cell_of_stack, x, list(own) if nested else [own], mask, training, zero, fuse)
        after.append(new if nested else new[0])
    return x, last, after


# -- what a cell offers -------------------------------------------------------------------------------------


def _checked_cell(cell: Any, who: str) -> Any:
    for needed in ("call", "state_size"):
        if not hasattr(type(cell), needed) and not hasattr(cell, needed):
            raise ArgumentError(
                f"{who} needs cells with `call(inputs, states)` and `state_size`; {cell!r} ({type(cell).__name__}) has "
                f"no `{needed}`."
            )
    if cell.state_size is None:
        raise ArgumentError(f"{who}: the `state_size` of {cell!r} is None; it must be a number or a list of numbers.")
    return cell


def output_size(cell: Any) -> Any:
    """The size of a cell's output: its `output_size`, else that of its first state."""
    size = getattr(cell, "output_size", None)
    if size is None:
        size = cell.state_size[0] if isinstance(cell.state_size, (list, tuple)) else cell.state_size
    return size


def build_cell(cell: Any, input_shape: Any) -> None:
    """Makes the weights of a cell, if it is a layer that has none yet."""
    if isinstance(cell, Layer) and not cell.built:
        cell.build(input_shape)
        cell._mark_built()


def initial_state(cell: Any, batch_size: int | None, device: torch.device) -> Any:
    """The states of a cell before the first step: its `get_initial_state`, else zeros."""
    if hasattr(cell, "get_initial_state"):
        return cell.get_initial_state(batch_size=batch_size)
    dtype = getattr(cell, "_float", torch.float32)

    def zeros(size: Any) -> torch.Tensor:
        shape = (size,) if isinstance(size, int) else tuple(size)
        return torch.zeros(1 if batch_size is None else batch_size, *shape, dtype=dtype, device=device)

    sizes = cell.state_size
    return [zeros(size) for size in sizes] if isinstance(sizes, (list, tuple)) else zeros(sizes)


def check_use_cudnn(layer: Layer, value: Any) -> str | bool:
    """`value`, if it is 'auto', True or False."""
    if not (isinstance(value, bool) or value == "auto"):
        raise ArgumentError(
            f"{type(layer).__name__} {layer.name!r}: `use_cudnn` must be 'auto', True or False; got {value!r}."
        )
    return value


def first_mask(mask: Any) -> Any:
    """The mask, or the first of several: that of the sequences comes first."""
    if isinstance(mask, (list, tuple)):
        return next((each for each in mask if each is not None), None)
    return mask


def _reset_noise(cell: Any) -> None:
    for each in getattr(cell, "cells", [cell]):
        if isinstance(each, DropoutCell):
            each.reset_dropout_mask()
            each.reset_recurrent_dropout_mask()
