"""`tf.SparseTensor`: the places that are not empty, and what is there: numbers or texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lamella.engine.strings import Strings
from lamella.engine.tensor_shape import TensorShape
from lamella.errors import DataError, ShapeError
from lamella.tensorflow_stand_in.tensors import convert_to_tensor
from lamella.tensorflow_stand_in.type_specs import SparseTensorSpec


class SparseTensor:
    """A tensor of which only some places are kept.

    Args:
        indices: The places (n, rank), whole numbers.
        values: What is there (n,).
        dense_shape: The sizes of the whole tensor.

    Raises:
        ShapeError: Other numbers of places, values and sizes.

    Example:
        >>> some = SparseTensor([[0, 1], [1, 0]], [5.0, 6.0], [2, 3])
        >>> some.to_dense().tolist(), (some * 2).values.tolist(), some.shape
        ([[0.0, 5.0, 0.0], [6.0, 0.0, 0.0]], [10.0, 12.0], TensorShape([2, 3]))
    """

    def __init__(self, indices: Any, values: Any, dense_shape: Any) -> None:
        self.dense_shape = convert_to_tensor(dense_shape).long()
        self.indices = convert_to_tensor(indices).long()
        if not self.indices.numel():
            self.indices = self.indices.reshape(0, len(self.dense_shape))
        self.values = convert_to_tensor(values)
        n, rank = len(self.values), len(self.dense_shape)
        if self.values.ndim != 1 or tuple(self.indices.shape) != (n, rank):
            raise ShapeError(
                f"SparseTensor: {n} values of a tensor with {rank} sizes need indices of shape ({n}, {rank}); got "
                f"{tuple(self.indices.shape)}."
            )

    @property
    def shape(self) -> TensorShape:
        """The sizes of the whole tensor."""
        return TensorShape(self.dense_shape)

    @property
    def dtype(self) -> Any:
        """The type of the values."""
        return "string" if isinstance(self.values, Strings) else self.values.dtype

    @property
    def type_spec(self) -> SparseTensorSpec:
        """Shape and type."""
        return SparseTensorSpec(self.shape, self.dtype)

    def get_shape(self) -> TensorShape:
        """The sizes of the whole tensor."""
        return self.shape

    def with_values(self, new_values: Any) -> SparseTensor:
        """Other values at the same places."""
        return SparseTensor(self.indices, new_values, self.dense_shape)

    @property
    def sizes(self) -> list[int]:
        """The sizes as a list."""
        return self.dense_shape.tolist()  # type: ignore[no-any-return]

    def numbers(self) -> torch.Tensor:
        """The number of each place in the order of the whole tensor's rows."""
        steps = [1]
        for size in reversed(self.dense_shape.tolist()[1:]):
            steps.append(steps[-1] * size)
        return (self.indices * torch.tensor(steps[::-1][: len(self.dense_shape)])).sum(1)

    def to_dense(self, default_value: Any = None) -> Any:
        """The whole tensor, with `default_value` (0, or an empty text) elsewhere.

        Raises:
            DataError: Places that are outside, not in their order or there twice.
        """
        self._check()
        shape = self.sizes
        if isinstance(self.values, Strings):
            texts: Any = np.full(shape, "" if default_value is None else default_value, object)
            texts[tuple(self.indices.T.numpy())] = np.asarray(self.values)
            return Strings.of(texts)
        empty = 0 if default_value is None else default_value
        whole = torch.full(shape, empty, dtype=self.values.dtype, device=self.values.device)
        return whole.index_put(tuple(self.indices.to(whole.device).T), self.values)

    def _check(self) -> None:
        if bool(((self.indices < 0) | (self.indices >= self.dense_shape)).any()):
            raise DataError(f"SparseTensor: a place lies outside of the shape {self.shape}.")
        steps = self.numbers().diff()
        if bool((steps <= 0).any()):
            place = self.indices[1:][steps <= 0][0].tolist()
            raise DataError(
                f"SparseTensor: the place {place} is there twice, or comes after one that lies behind it. "
                f"tf.sparse.reorder() puts places into their order."
            )

    def coo(self) -> torch.Tensor:
        """As torch's sparse tensor."""
        return torch.sparse_coo_tensor(self.indices.T, self.values, self.sizes, check_invariants=True)

    @classmethod
    def of_coo(cls, found: torch.Tensor) -> SparseTensor:
        """Of torch's sparse tensor."""
        found = found.coalesce()
        return cls(found.indices().T, found.values(), tuple(found.shape))

    @classmethod
    def joined(cls, parts: list[SparseTensor]) -> SparseTensor:
        """Several as one with a new first axis, as a batch has them: as large as the largest."""
        rows = [torch.cat([torch.full((len(each.indices), 1), i), each.indices], 1) for i, each in enumerate(parts)]
        sizes = torch.stack([each.dense_shape for each in parts]).amax(0)
        return cls(torch.cat(rows), joined_values([each.values for each in parts]), [len(parts), *sizes.tolist()])

    def _by(self, other: Any, function: Any) -> SparseTensor:
        other = convert_to_tensor(other)
        if other.ndim:
            other = other.broadcast_to(self.sizes)[tuple(self.indices.T)]
        return self.with_values(function(self.values, other.to(self.values.dtype)))

    def __mul__(self, other: Any) -> SparseTensor:
        return self._by(other, torch.mul)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> SparseTensor:
        return self._by(other, torch.true_divide)

    def __neg__(self) -> SparseTensor:
        return self.with_values(-self.values)

    def __repr__(self) -> str:
        return f"SparseTensor(indices={self.indices}, values={self.values}, dense_shape={self.dense_shape})"


def joined_values(parts: list[Any]) -> Any:
    """Values one after the other: tensors, or arrays of texts."""
    if any(isinstance(each, Strings) for each in parts):
        return Strings.of(np.concatenate([np.asarray(each, object) for each in parts]))
    return torch.cat(parts)
