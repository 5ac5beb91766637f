"""What shapes and types ragged and sparse tensors have."""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine.tensor_shape import TensorShape


class RaggedTensorSpec:
    """What shape and type a ragged tensor has.

    Args:
        shape: The sizes, None for those that differ or are not known.
        dtype: The type.
        ragged_rank: How many axes are ragged; all but the first by default.
        row_splits_dtype: TensorFlow's argument: splits are always int64.
    """

    def __init__(
        self,
        shape: Any = None,
        dtype: Any = torch.float32,
        ragged_rank: int | None = None,
        row_splits_dtype: Any = torch.int64,
    ) -> None:
        self.shape, self.dtype = TensorShape(shape), dtype
        self.ragged_rank = len(self.shape) - 1 if ragged_rank is None else ragged_rank

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, RaggedTensorSpec):
            return NotImplemented
        return (self.shape, self.dtype, self.ragged_rank) == (other.shape, other.dtype, other.ragged_rank)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype, self.ragged_rank))

    def __repr__(self) -> str:
        return f"RaggedTensorSpec({self.shape!r}, {self.dtype}, {self.ragged_rank})"


class SparseTensorSpec:
    """What shape and type a sparse tensor has.

    Args:
        shape: The sizes, None for those that are not known.
        dtype: The type.
    """

    def __init__(self, shape: Any = None, dtype: Any = torch.float32) -> None:
        self.shape, self.dtype = TensorShape(shape), dtype

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, SparseTensorSpec):
            return NotImplemented
        return (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"SparseTensorSpec({self.shape!r}, {self.dtype})"
