"""Operators between ragged tensors, and functions of their values one by one."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lamella.errors import ShapeError
from lamella.tensorflow_stand_in.ragged_tensor import RaggedTensor
from lamella.tensorflow_stand_in.tensors import constant


def _operator(name: str) -> Callable[[Any, Any], Any]:
    function = getattr(operator, name)

    def of_both(self: Any, other: Any) -> Any:
        return elementwise(function, self, other)

    return of_both


def _of_one(name: str) -> Callable[[Any], Any]:
    function = getattr(operator, name)
    return lambda self: self.mapped(function)


def _turned(name: str) -> Callable[[Any, Any], Any]:
    function = getattr(operator, name)

    def of_both(self: Any, other: Any) -> Any:
        return elementwise(lambda a, b: function(b, a), self, other)

    return of_both


for _name in "add sub mul truediv floordiv mod pow".split():
    setattr(RaggedTensor, f"__{_name}__", _operator(_name))
    setattr(RaggedTensor, f"__r{_name}__", _turned(_name))
for _name in "eq ne lt le gt ge and_ or_ xor".split():
    setattr(RaggedTensor, f"__{_name.rstrip('_')}__", _operator(_name))
for _name in "neg abs invert".split():
    setattr(RaggedTensor, f"__{_name}__", _of_one(_name))


def elementwise(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The function of the innermost values of what is ragged, all with the same rows, and of single values.

    Raises:
        ShapeError: Other rows.
    """
    ragged = [each for each in args if isinstance(each, RaggedTensor)]
    if not ragged:
        return function(*args, **kwargs)
    first = ragged[0]
    for other in ragged[1:]:
        if [each.tolist() for each in other.nested_row_splits] != [each.tolist() for each in first.nested_row_splits]:
            raise ShapeError(
                f"Ragged tensors must have rows of the same lengths; got {first.row_lengths().tolist()} and "
                f"{other.row_lengths().tolist()}."
            )
    flat = [each.flat_values if isinstance(each, RaggedTensor) else _beside(first, each) for each in args]
    return first.with_flat_values(function(*flat, **kwargs))


def _beside(ragged: RaggedTensor, other: Any) -> Any:
    """One value, or one for each row (rows, 1), for each of the ragged tensor's values."""
    if not isinstance(other, (torch.Tensor, np.ndarray, list)) or np.ndim(other) == 0:
        return other
    other = constant(other)
    if ragged.ragged_rank == 1 and other.ndim == 2 and tuple(other.shape) == (len(ragged), 1):
        return other[ragged.value_rowids(), 0]
    if ragged.ragged_rank == 1 and other.ndim == 2:
        return RaggedTensor.from_tensor(other).values
    raise ShapeError(f"A tensor of shape {tuple(other.shape)} does not go beside a ragged one of shape {ragged.shape}.")
