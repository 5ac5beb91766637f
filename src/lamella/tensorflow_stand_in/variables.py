"""`tf.Variable`: a weight or a state, with TensorFlow's further methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import torch

from lamella.engine.variable import State, Weight, assignable_part
from lamella.errors import ArgumentError, ShapeError
from lamella.keras_names import Variable as KerasVariable
from lamella.tensorflow_stand_in.indexed_slices import IndexedSlices
from lamella.tensorflow_stand_in.scattering import (
    tensor_scatter_nd_add,
    tensor_scatter_nd_sub,
    tensor_scatter_nd_update,
)
from lamella.tensorflow_stand_in.tensors import constant, convert_to_tensor


class Variable(KerasVariable):
    """A tensor that can be assigned, in whole or in part; gradients flow to it if it is of a floating-point type and
    `trainable`.

    What is read of it (`v[0]`, `v.value()`, `v.numpy()`, `tf.reshape(v, ...)`) is the value of then: it does not change
    when the variable does.

    Args:
        initial_value: A number, an array, a tensor, or a function that gives one.
        trainable: Whether gradients flow to it.
        name: A name.
        dtype: The data type; that of the value by default.
        shape: The shape that the value is given.
        **kwargs: TensorFlow's other arguments: they change nothing here.

    Example:
        >>> v = Variable([3.0, 5.0])
        >>> v.assign_add([1.0, 1.0]).tolist(), v[0].assign(0.0).tolist()
        ([4.0, 6.0], [0.0, 6.0])
    """

    def __new__(  # type: ignore[misc]
        cls,
        initial_value: Any,
        trainable: bool | None = True,
        name: str | None = None,
        dtype: Any = None,
        shape: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        value = constant(initial_value() if callable(initial_value) else initial_value, dtype, shape)
        made = super().__new__(cls, value, trainable=trainable is not False, name=name)
        variable: torch.Tensor = TrainedVariable(made.detach()) if isinstance(made, Weight) else KeptVariable(made)
        variable.path = made.path  # type: ignore[attr-defined]
        return variable


class _ReadAsOfNow:
    """What TensorFlow's variables do besides Keras's."""

    def __getitem__(self, index: Any) -> torch.Tensor:
        return assignable_part(self, index, super().__getitem__(index).clone())  # type: ignore[misc]

    def assign(self, value: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Puts a value of the same shape in the place of the variable's; TensorFlow's other arguments change nothing.

        Raises:
            ShapeError: Another shape, which torch would repeat.
        """
        return super().assign(self._of_own_shape(value))  # type: ignore[misc, no-any-return]

    def assign_add(self, value: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Adds a value of the same shape."""
        return super().assign_add(self._of_own_shape(value))  # type: ignore[misc, no-any-return]

    def assign_sub(self, value: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Subtracts a value of the same shape."""
        return super().assign_sub(self._of_own_shape(value))  # type: ignore[misc, no-any-return]

    def _of_own_shape(self, value: Any) -> torch.Tensor:
        found: torch.Tensor = constant(value)
        own = tuple(self.shape)  # type: ignore[attr-defined]
        if tuple(found.shape) != own:
            raise ShapeError(
                f"The variable has shape {own}, the value that is assigned {tuple(found.shape)}: they must be equal. "
                "`tf.fill(v.shape, x)` is one number everywhere."
            )
        return found

    def scatter_nd_update(self, indices: Any, updates: Any, name: str | None = None) -> torch.Tensor:
        """Puts numbers (or slices) at the places in the last axis of `indices`."""
        return self.assign(tensor_scatter_nd_update(self, indices, updates))

    def scatter_nd_add(self, indices: Any, updates: Any, name: str | None = None) -> torch.Tensor:
        """Adds numbers (or slices) at the places, one after the other where places repeat."""
        return self.assign(tensor_scatter_nd_add(self, indices, updates))

    def scatter_nd_sub(self, indices: Any, updates: Any, name: str | None = None) -> torch.Tensor:
        """Subtracts numbers (or slices) at the places."""
        return self.assign(tensor_scatter_nd_sub(self, indices, updates))

    def scatter_update(self, sparse_delta: IndexedSlices, use_locking: bool = False, name: str | None = None) -> Any:
        """Puts the slices of `sparse_delta` at their places along the first axis."""
        return self.scatter_nd_update(*_of_slices(sparse_delta))

    def scatter_add(self, sparse_delta: IndexedSlices, use_locking: bool = False, name: str | None = None) -> Any:
        """Adds the slices of `sparse_delta` at their places along the first axis."""
        return self.scatter_nd_add(*_of_slices(sparse_delta))

    def scatter_sub(self, sparse_delta: IndexedSlices, use_locking: bool = False, name: str | None = None) -> Any:
        """Subtracts the slices of `sparse_delta` at their places along the first axis."""
        return self.scatter_nd_sub(*_of_slices(sparse_delta))

    def read_value(self) -> torch.Tensor:
        """The value of now, through which gradients flow."""
        return self.clone()  # type: ignore[attr-defined]

    value = read_value

    def _refuse(self, other: Any) -> NoReturn:
        raise ArgumentError(
            "A tf.Variable is not changed by +=, -=, *= or /=: write `v.assign_add(x)` (or `assign_sub`, `assign`) to "
            "change it, `y = v + x` for a new tensor."
        )

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ifloordiv__ = __ipow__ = __imod__ = _refuse


class TrainedVariable(_ReadAsOfNow, Weight):  # type: ignore[misc]
    """A variable that gradients flow to."""


class KeptVariable(_ReadAsOfNow, State):  # type: ignore[misc]
    """A variable that gradients do not flow to."""


def _of_slices(delta: IndexedSlices) -> tuple[torch.Tensor, torch.Tensor]:
    """The places and the values of slices, as the `scatter_nd` functions have them."""
    return convert_to_tensor(delta.indices)[..., None], convert_to_tensor(delta.values)
