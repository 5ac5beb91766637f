"""Results collected over steps: `tf.TensorArray`, `tf.map_fn`, `tf.scan`, `tf.foldl`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.utils import _pytree as pytree

from lamella.errors import ArgumentError
from lamella.tensorflow_stand_in.ragged_tensor import RaggedTensor
from lamella.tensorflow_stand_in.tensors import convert_to_tensor

__all__ = ["TensorArray", "foldl", "foldr", "map_fn", "scan", "vectorized_map"]


class TensorArray:
    """A list of tensors, which is written at places and stacked at the end; `write`,
    `scatter`, `split` and `unstack` give the list.

    Args:
        dtype: The type of the tensors.
        size: How many there are.
        dynamic_size: Whether there may be more.
        **kwargs: TensorFlow's other arguments: they change nothing here.

    Example:
        >>> outputs = TensorArray(torch.float32, size=0, dynamic_size=True)
        >>> for i in range(3):
        ...     outputs = outputs.write(i, i * 2.0)
        >>> outputs.stack().tolist()
        [0.0, 2.0, 4.0]
    """

    def __init__(self, dtype: Any, size: int = 0, dynamic_size: bool = False, **kwargs: Any) -> None:
        self.dtype, self.dynamic_size = dtype, dynamic_size
        self._items: list[Any] = [None] * int(size)

    def write(self, index: Any, value: Any, name: str | None = None) -> TensorArray:
        """Puts a tensor at a place.

        Raises:
            ArgumentError: A place beyond a size that is fixed.
        """
        place = int(index)
        if place >= len(self._items) and not self.dynamic_size:
            raise ArgumentError(
                f"TensorArray.write: the place must be below the size, {len(self._items)}; got {place}. "
                "Make it with dynamic_size=True, or larger."
            )
        self._items += [None] * (place + 1 - len(self._items))
        self._items[place] = convert_to_tensor(value, self.dtype)
        return self

    def read(self, index: Any, name: str | None = None) -> Any:
        """The tensor at a place; zeros where none was written."""
        found = self._items[int(index)]
        return torch.zeros_like(self._any_written()) if found is None else found

    def size(self, name: str | None = None) -> int:
        """How many there are."""
        return len(self._items)

    def stack(self, name: str | None = None) -> Any:
        """All of them along a new first axis."""
        return torch.stack([self.read(i) for i in range(len(self._items))])

    def concat(self, name: str | None = None) -> Any:
        """All of them, one after the other along their first axis."""
        return torch.cat([self.read(i) for i in range(len(self._items))])

    def unstack(self, value: Any, name: str | None = None) -> TensorArray:
        """Takes the parts of a tensor along its first axis."""
        self._items = list(convert_to_tensor(value, self.dtype).unbind(0))
        return self

    def gather(self, indices: Any, name: str | None = None) -> Any:
        """Those at these places along a new first axis."""
        return torch.stack([self.read(place) for place in convert_to_tensor(indices).tolist()])

    def scatter(self, indices: Any, value: Any, name: str | None = None) -> TensorArray:
        """Puts the parts of a tensor along its first axis at these places."""
        for place, part in zip(convert_to_tensor(indices).tolist(), convert_to_tensor(value, self.dtype), strict=True):
            self.write(place, part)
        return self

    def split(self, value: Any, lengths: Any, name: str | None = None) -> TensorArray:
        """Takes the parts of a tensor of these lengths along its first axis."""
        self._items = list(convert_to_tensor(value, self.dtype).split(convert_to_tensor(lengths).tolist()))
        return self

    def identity(self) -> TensorArray:
        """The list itself."""
        return self

    def close(self, name: str | None = None) -> None:
        """Python frees the memory by itself."""

    def _any_written(self) -> Any:
        return next((each for each in self._items if each is not None), torch.zeros(()))


def map_fn(fn: Callable[[Any], Any], elems: Any, *args: Any, fn_output_signature: Any = None, **kwargs: Any) -> Any:
    """What the function gives for each part of a tensor (or of several) along the first axis, stacked."""
    found = [fn(part) for part in _parts(elems)]
    return pytree.tree_map(lambda *each: torch.stack([convert_to_tensor(one) for one in each]), *found)


def _in_rows(values: Any) -> Any:
    return values if isinstance(values, RaggedTensor) else convert_to_tensor(values).unbind(0)


def vectorized_map(fn: Callable[[Any], Any], elems: Any, **kwargs: Any) -> Any:
    """`map_fn`."""
    return map_fn(fn, elems)


def scan(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, **kwargs: Any) -> Any:
    """The results of `result = fn(result, part)` over the parts along the first axis, stacked.

    The first part is the first result where there is no `initializer`.
    """
    parts = list(convert_to_tensor(elems).unbind(0))
    found = [] if initializer is not None else [parts.pop(0)]
    result = found[0] if found else pytree.tree_map(convert_to_tensor, initializer)
    for part in parts:
        result = fn(result, part)
        found.append(result)
    return pytree.tree_map(lambda *each: torch.stack(each), *found)


def foldl(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, **kwargs: Any) -> Any:
    """The last result of `result = fn(result, part)` over the parts along the first axis.

    The first part is the first result where there is no `initializer`.
    """
    return _folded(fn, _parts(elems), initializer)


def foldr(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, **kwargs: Any) -> Any:
    """`foldl` from the last part to the first."""
    return _folded(fn, _parts(elems)[::-1], initializer)


def _parts(elems: Any) -> list[Any]:
    several, nesting = pytree.tree_flatten(elems)
    rows = zip(*(iter(_in_rows(each)) for each in several), strict=True)
    return [pytree.tree_unflatten(list(row), nesting) for row in rows]


def _folded(fn: Callable[[Any, Any], Any], parts: list[Any], initializer: Any) -> Any:
    first = parts.pop(0) if initializer is None else pytree.tree_map(convert_to_tensor, initializer)
    return functools.reduce(fn, parts, first)
