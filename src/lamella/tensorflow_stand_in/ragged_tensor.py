"""`tf.RaggedTensor`: rows of different lengths, kept as their values one after the other and the places of the cuts."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from lamella.engine.strings import Strings
from lamella.engine.tensor_shape import TensorShape
from lamella.errors import ArgumentError, ShapeError
from lamella.tensorflow_stand_in.sparse_tensor import SparseTensor, joined_values
from lamella.tensorflow_stand_in.tensors import constant, convert_to_tensor
from lamella.tensorflow_stand_in.type_specs import RaggedTensorSpec

Values = Any  # a tensor, an array of texts, or again a ragged tensor


class RaggedTensor:
    """Rows of different lengths; gradients flow to their values.

    It is made by `from_row_splits`, `from_row_lengths`, `from_value_rowids`, `from_tensor`, `tf.ragged.constant` and
    the like.

    Args:
        values: All rows one after the other (n, ...): a tensor, texts, or again a ragged tensor.
        row_splits: Where each row begins, and n at the end (rows + 1,).

    Raises:
        ShapeError: Splits that do not begin with 0, end with n, or go back.

    Example:
        >>> words = RaggedTensor.from_row_lengths([3, 1, 4, 1], [3, 0, 1])
        >>> words, words.shape, words.to_tensor().tolist()
        (<tf.RaggedTensor [[3, 1, 4], [], [1]]>, TensorShape([3, None]), [[3, 1, 4], [0, 0, 0], [1, 0, 0]])
    """

    def __init__(self, values: Values, row_splits: Any) -> None:
        self.values = values if isinstance(values, RaggedTensor) else constant(values)
        self.row_splits = convert_to_tensor(row_splits).long()
        cuts = self.row_splits
        if not len(cuts) or int(cuts[0]) or bool((cuts.diff() < 0).any()) or int(cuts[-1]) != size(self.values):
            raise ShapeError(
                f"RaggedTensor: the rows must begin at 0 and end at {size(self.values)}, the number of values, in "
                f"order; got row_splits {cuts.tolist()}."
            )

    # How it is made

    @classmethod
    def from_row_splits(cls, values: Values, row_splits: Any, name: Any = None, validate: bool = True) -> RaggedTensor:
        """Of where each row begins, and where the last one ends."""
        return cls(values, row_splits)

    @classmethod
    def from_row_lengths(
        cls, values: Values, row_lengths: Any, name: Any = None, validate: bool = True
    ) -> RaggedTensor:
        """Of how long each row is."""
        lengths = convert_to_tensor(row_lengths).long()
        return cls(values, torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))

    @classmethod
    def from_value_rowids(
        cls, values: Values, value_rowids: Any, nrows: Any = None, name: Any = None, validate: bool = True
    ) -> RaggedTensor:
        """Of which row each value is in."""
        ids = convert_to_tensor(value_rowids).long()
        if bool((ids.diff() < 0).any()):
            raise ShapeError(f"RaggedTensor: `value_rowids` must not go back; got {ids.tolist()}.")
        return cls.from_row_lengths(values, torch.bincount(ids, minlength=0 if nrows is None else int(nrows)))

    @classmethod
    def from_row_starts(cls, values: Values, row_starts: Any, name: Any = None, validate: bool = True) -> RaggedTensor:
        """Of where each row begins."""
        values = values if isinstance(values, RaggedTensor) else constant(values)
        return cls(values, [*convert_to_tensor(row_starts).tolist(), size(values)])

    @classmethod
    def from_row_limits(cls, values: Values, row_limits: Any, name: Any = None, validate: bool = True) -> RaggedTensor:
        """Of where each row ends."""
        return cls(values, [0, *convert_to_tensor(row_limits).tolist()])

    @classmethod
    def from_uniform_row_length(
        cls, values: Values, uniform_row_length: Any, nrows: Any = None, name: Any = None, validate: bool = True
    ) -> RaggedTensor:
        """Of rows that are equally long."""
        values = values if isinstance(values, RaggedTensor) else constant(values)
        length = int(uniform_row_length)
        rows = size(values) // length if length else int(nrows or 0)
        return cls.from_row_lengths(values, [length] * rows)

    @classmethod
    def from_nested_row_splits(cls, flat_values: Values, nested_row_splits: Any, **kwargs: Any) -> RaggedTensor:
        """Of the splits of each axis, the outermost first."""
        for splits in reversed(nested_row_splits):
            flat_values = cls(flat_values, splits)
        return flat_values

    @classmethod
    def from_nested_row_lengths(cls, flat_values: Values, nested_row_lengths: Any, **kwargs: Any) -> RaggedTensor:
        """Of the lengths of each axis, the outermost first."""
        for lengths in reversed(nested_row_lengths):
            flat_values = cls.from_row_lengths(flat_values, lengths)
        return flat_values

    @classmethod
    def from_tensor(
        cls, tensor: Any, lengths: Any = None, padding: Any = None, ragged_rank: int = 1, **kwargs: Any
    ) -> RaggedTensor:
        """The rows of a tensor (rows, longest, ...): as long as `lengths` says, or without the `padding` at their end.

        Raises:
            ArgumentError: Both, or more than one axis that is ragged.
        """
        tensor = constant(tensor)
        if (lengths is not None and padding is not None) or ragged_rank != 1:
            raise ArgumentError("RaggedTensor.from_tensor takes `lengths` or `padding`, and `ragged_rank=1`.")
        rows, longest = tensor.shape[:2]
        places = torch.arange(longest)
        if padding is not None:
            own = torch.as_tensor(np.asarray(tensor != padding)).reshape(rows, longest, -1).any(2)
            lengths = ((places + 1) * own).amax(1) if longest else torch.zeros(rows)
        lengths = torch.full((rows,), longest) if lengths is None else convert_to_tensor(lengths).long()
        kept = places < lengths[:, None]
        return cls.from_row_lengths(tensor[_for(tensor, kept)], kept.sum(1))

    @classmethod
    def from_sparse(cls, st_input: SparseTensor, **kwargs: Any) -> RaggedTensor:
        """The values of each row of a sparse matrix, which must stand at its beginning."""
        found = cls.from_value_rowids(st_input.values, st_input.indices[:, 0], st_input.dense_shape[0])
        if found._places().tolist() != st_input.indices[:, 1].tolist():
            raise ShapeError("RaggedTensor.from_sparse: the values of a row must stand at its beginning.")
        return found

    @classmethod
    def joined(cls, parts: list[Any], *args: Any) -> RaggedTensor:
        """Rows (each a tensor, texts or a ragged tensor) as one with a new first axis, as a batch has them."""
        parts = [each if isinstance(each, RaggedTensor) else constant(each) for each in parts]
        return cls.from_row_lengths(one_after_the_other(parts), [size(each) for each in parts])

    # What it is

    @property
    def flat_values(self) -> Any:
        """The innermost values."""
        return self.values.flat_values if isinstance(self.values, RaggedTensor) else self.values

    @property
    def nested_row_splits(self) -> tuple[torch.Tensor, ...]:
        """The splits of each axis, the outermost first."""
        return (self.row_splits, *(self.values.nested_row_splits if isinstance(self.values, RaggedTensor) else ()))

    def nested_row_lengths(self) -> tuple[torch.Tensor, ...]:
        """The lengths of each axis, the outermost first."""
        return tuple(splits.diff() for splits in self.nested_row_splits)

    @property
    def ragged_rank(self) -> int:
        """How many axes are ragged."""
        return len(self.nested_row_splits)

    @property
    def shape(self) -> TensorShape:
        """The sizes; None for those that differ from row to row."""
        return TensorShape([len(self), None, *self.values.shape[1:]])

    def get_shape(self) -> TensorShape:
        """The sizes."""
        return self.shape

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def dtype(self) -> Any:
        """The type of the values."""
        return "string" if isinstance(self.flat_values, Strings) else self.flat_values.dtype

    @property
    def type_spec(self) -> RaggedTensorSpec:
        """Shape, type and how many axes are ragged."""
        return RaggedTensorSpec(self.shape, self.dtype, self.ragged_rank)

    def nrows(self, out_type: Any = torch.int64, name: Any = None) -> torch.Tensor:
        """How many rows there are."""
        return torch.tensor(len(self), dtype=out_type)

    def row_starts(self, name: Any = None) -> torch.Tensor:
        """Where each row begins."""
        return self.row_splits[:-1]

    def row_limits(self, name: Any = None) -> torch.Tensor:
        """Where each row ends."""
        return self.row_splits[1:]

    def row_lengths(self, axis: int = 1, name: Any = None) -> Any:
        """How long the rows are: of axis 1 (rows,), of another one as ragged as what is before it."""
        if axis == 1:
            return self.row_splits.diff()
        return self.with_values(self.values.row_lengths(axis - 1))

    def value_rowids(self, name: Any = None) -> torch.Tensor:
        """Which row each value is in."""
        return torch.repeat_interleave(torch.arange(len(self)), self.row_splits.diff())

    def _places(self) -> torch.Tensor:
        """Which of its row each value is."""
        ids = self.value_rowids()
        return torch.arange(len(ids)) - self.row_splits[ids]

    def bounding_shape(self, axis: Any = None, name: Any = None, out_type: Any = torch.int64) -> torch.Tensor:
        """The sizes of the smallest tensor that it fits into."""
        longest = int(self.row_splits.diff().max()) if len(self) else 0
        inner = self.values.bounding_shape().tolist() if isinstance(self.values, RaggedTensor) else self.values.shape
        sizes = torch.tensor([len(self), longest, *inner[1:]], dtype=out_type)
        return sizes if axis is None else sizes[axis]

    # What can be made of it

    def with_values(self, new_values: Values) -> RaggedTensor:
        """The same rows of other values."""
        return RaggedTensor(new_values, self.row_splits)

    def with_flat_values(self, new_values: Values) -> RaggedTensor:
        """The same rows of other innermost values."""
        return self.mapped(lambda flat: new_values)

    def mapped(self, function: Callable[[Any], Any]) -> RaggedTensor:
        """The same rows of what the function makes of the innermost values."""
        nested = isinstance(self.values, RaggedTensor)
        return self.with_values(self.values.mapped(function) if nested else function(self.values))

    def to_tensor(self, default_value: Any = None, name: Any = None, shape: Any = None) -> Any:
        """A tensor in which shorter rows are filled up with `default_value` (0, or an empty text).

        Args:
            default_value: What stands after shorter rows.
            name: TensorFlow's argument: it changes nothing here.
            shape: The sizes of the result, None or -1 for the largest; rows are cut, or filled up, to them.
        """
        given = [None if each is None or int(each) < 0 else int(each) for each in ([] if shape is None else shape)]
        given += [None] * (2 - len(given))
        values = self.values
        if isinstance(values, RaggedTensor):
            values = values.to_tensor(default_value, shape=[None, *given[2:]])
        rows = len(self) if given[0] is None else given[0]
        longest = int(self.bounding_shape()[1]) if given[1] is None else given[1]
        ids, places = self.value_rowids(), self._places()
        kept = (ids < rows) & (places < longest)
        sizes = (rows, longest, *values.shape[1:])
        if isinstance(values, Strings):
            texts = np.full(sizes, "" if default_value is None else default_value, object)
            texts[ids[kept].numpy(), places[kept].numpy()] = np.asarray(values)[kept.numpy()]
            return Strings.of(texts)
        empty = torch.full(
            sizes, 0 if default_value is None else default_value, dtype=values.dtype, device=values.device
        )
        return empty.index_put((ids[kept].to(empty.device), places[kept].to(empty.device)), values[kept])

    def to_sparse(self, name: Any = None) -> SparseTensor:
        """A sparse matrix, of which each row has its values at its beginning."""
        places = torch.stack([self.value_rowids(), self._places()], 1)
        return SparseTensor(places, self.values, self.bounding_shape())

    def merge_dims(self, outer_axis: int, inner_axis: int) -> Any:
        """The axes from one to another as one."""
        if outer_axis > 1:
            return self.with_values(self.values.merge_dims(outer_axis - 1, inner_axis - 1))
        cuts, found = self.row_splits, self.values
        for _ in range(inner_axis - 1):
            if isinstance(found, RaggedTensor):
                cuts, found = found.row_splits[cuts], found.values
            else:
                cuts, found = cuts * found.shape[1], found.reshape(-1, *found.shape[2:])
        return RaggedTensor(found, cuts) if outer_axis else found

    def to_list(self) -> list[Any]:
        """Lists of lists; texts as bytes."""
        if isinstance(self.values, RaggedTensor):
            whole = self.values.to_list()
        else:
            whole = (self.values.numpy() if isinstance(self.values, Strings) else self.values).tolist()
        cuts = self.row_splits.tolist()
        return [whole[start:end] for start, end in pairwise(cuts)]

    def numpy(self) -> np.ndarray:
        """An array, of arrays where the rows differ."""
        rows = [each.numpy() for each in self]
        if len({np.shape(each) for each in rows}) == 1:
            return np.stack(rows)
        found = np.empty(len(rows), object)
        found[:] = rows
        return found

    def rows(self, numbers: Any) -> RaggedTensor:
        """The rows of these numbers."""
        numbers = torch.as_tensor(numbers).long()
        return self._cut([range(*each) for each in self._bounds(numbers)])

    def _bounds(self, numbers: torch.Tensor) -> list[list[int]]:
        return torch.stack([self.row_splits[:-1][numbers], self.row_splits[1:][numbers]], 1).tolist()

    def _cut(self, places: list[range]) -> RaggedTensor:
        every = torch.tensor([place for row in places for place in row], dtype=torch.int64)
        return RaggedTensor.from_row_lengths(taken(self.values, every), [len(row) for row in places])

    def __getitem__(self, key: Any) -> Any:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis:
            first, rest = slice(None), [slice(None)] * (self.ndim - 1 - len(rest)) + rest
        if isinstance(first, slice):
            found = self.rows(torch.arange(len(self))[first]) if first != slice(None) else self
            return found._within(rest) if rest else found
        if np.ndim(first):
            return self.rows(first)
        place = operator.index(first)
        if not -len(self) <= place < len(self):
            raise IndexError(f"There are {len(self)} rows; got {place}.")
        start, end = self._bounds(torch.tensor([place]))[0]
        row = self.values[start:end]
        return row[tuple(rest) if len(rest) > 1 else rest[0]] if rest else row

    def _within(self, keys: list[Any]) -> RaggedTensor:
        first, *rest = keys
        if not isinstance(first, slice):
            raise ArgumentError("A RaggedTensor cannot be indexed by a number along an axis of which rows differ.")
        places = [range(*each)[first] for each in self._bounds(torch.arange(len(self)))]
        found = self if first == slice(None) else self._cut(places)
        return found.with_values(found.values[(slice(None), *rest)]) if rest else found

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"<tf.RaggedTensor {self.to_list()}>"

    def __bool__(self) -> bool:
        raise TypeError("A RaggedTensor is neither true nor false.")

    __hash__ = object.__hash__


def size(values: Values) -> int:
    """How many there are along the first axis."""
    return len(values)


def taken(values: Values, places: torch.Tensor) -> Values:
    """The values at these places."""
    if isinstance(values, RaggedTensor):
        return values.rows(places)
    return values[_for(values, places)]


def _for(values: Any, places: torch.Tensor) -> Any:
    return places.numpy() if isinstance(values, np.ndarray) else places.to(values.device)


def one_after_the_other(parts: list[Any]) -> Values:
    """Values (tensors, texts or ragged tensors) along their first axis."""
    if not any(isinstance(each, RaggedTensor) for each in parts):
        return joined_values(parts)
    ragged = [each if isinstance(each, RaggedTensor) else RaggedTensor.from_tensor(each) for each in parts]
    lengths = torch.cat([each.row_splits.diff() for each in ragged])
    return RaggedTensor.from_row_lengths(one_after_the_other([each.values for each in ragged]), lengths)
