"""`Slices`: a stream of the samples of arrays, of which whole batches are taken at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella.data.arrays import writable
from lamella.engine.strings import Strings, holds_strings
from lamella.errors import ShapeError
from lamella.utils.stream import Stream


class Slices(Stream):
    """The samples of arrays in any nesting of tuples and dicts; lists and data frames are arrays.

    Shuffling, repeating and the like move only the samples' numbers, and a batch is taken from the arrays in one piece.

    Args:
        arrays: The arrays, all with the same number of samples.
        numbers: A stream of the numbers of the samples; all in their order by default.

    Raises:
        ShapeError: Other numbers of samples, or no axis of samples.

    Example:
        >>> [batch.tolist() for batch in Slices([1, 2, 3]).repeat(2).batch(4)]
        [[1, 2, 3, 1], [2, 3]]
    """

    def __init__(self, arrays: Any, numbers: Stream | None = None) -> None:
        self.arrays = arrays if numbers is not None else pytree.tree_map(_as_array, arrays, is_leaf=_is_array)
        if numbers is None:
            count = _count(pytree.tree_leaves(self.arrays))
            numbers = Stream(lambda: iter(range(count)), count)
        self.numbers = numbers
        super().__init__(self._samples, numbers._length, numbers)

    def _samples(self) -> Iterator[Any]:
        leaves, nesting = pytree.tree_flatten(self.arrays)
        return (pytree.tree_unflatten([array[number] for array in leaves], nesting) for number in self.numbers)

    def take(self, count: int) -> Stream:
        return Slices(self.arrays, self.numbers.take(count))

    def skip(self, count: int) -> Stream:
        return Slices(self.arrays, self.numbers.skip(count))

    def shuffle(
        self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True, **kwargs: Any
    ) -> Stream:
        return Slices(self.arrays, self.numbers.shuffle(buffer_size, seed, reshuffle_each_iteration))

    def repeat(self, count: int | None = None) -> Stream:
        return Slices(self.arrays, self.numbers.repeat(count))

    def shard(self, num_shards: int, index: int, **kwargs: Any) -> Stream:
        return Slices(self.arrays, self.numbers.shard(num_shards, index))

    def batch(self, batch_size: int, drop_remainder: bool = False, **kwargs: Any) -> Stream:
        def taken(numbers: torch.Tensor) -> Any:
            return pytree.tree_map(lambda array: _rows(array, numbers), self.arrays)

        return self.numbers.batch(batch_size, drop_remainder).map(taken)


def _is_array(value: Any) -> bool:
    """Whether it is one array: a list of numbers or of arrays is one, a tuple or a dict is several."""
    return not isinstance(value, (tuple, dict)) or hasattr(value, "iloc")


def _as_array(value: Any) -> Any:
    """A tensor; texts as an array of texts. Python's whole numbers are int32, its other numbers float32."""
    if isinstance(value, torch.Tensor) or hasattr(value, "joined"):
        return value
    if isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
        return torch.stack(value)
    if isinstance(value, list) and holds_strings(value):
        return Strings.of(value)  # NumPy's own arrays of bytes would lose zeros at their ends
    array = np.asarray(value)
    if array.dtype.kind in "USO":
        return Strings.of(array)
    if not hasattr(value, "dtype") and not hasattr(value, "iloc") and array.dtype.kind in "if":
        array = array.astype("int32" if array.dtype.kind == "i" else "float32")
    return torch.as_tensor(writable(array))


def _count(arrays: list[Any]) -> int:
    if not arrays or any(array.ndim == 0 for array in arrays):
        raise ShapeError("The samples of a data set lie along the first axis: a single number has none.")
    counts = {len(array) for array in arrays}
    if len(counts) > 1:
        raise ShapeError(f"All arrays of a data set must have the same number of samples; got {sorted(counts)}.")
    return counts.pop()


def _rows(array: Any, numbers: torch.Tensor) -> Any:
    return array[numbers.to(array.device)] if isinstance(array, torch.Tensor) else array[numbers.numpy()]
