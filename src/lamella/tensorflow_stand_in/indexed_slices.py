"""`tf.IndexedSlices`."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import ArgumentError


class IndexedSlices:
    """Rows of a tensor that is zero elsewhere: how TensorFlow gives an embedding's gradient. (Here it is whole.)

    Args:
        values: The rows: (n, ...).
        indices: The number of each: (n,). Rows of the same number are summed.
        dense_shape: The shape of the whole tensor.

    Example:
        >>> rows = IndexedSlices(torch.ones(2, 3), torch.tensor([0, 0]), (2, 3))
        >>> rows.dense().tolist()
        [[2.0, 2.0, 2.0], [0.0, 0.0, 0.0]]
    """

    def __init__(self, values: Any, indices: Any, dense_shape: Any = None) -> None:
        self.values, self.indices = torch.as_tensor(values), torch.as_tensor(indices)
        self.dense_shape = dense_shape

    @property
    def dtype(self) -> torch.dtype:
        """The type of the values."""
        return self.values.dtype

    def dense(self) -> torch.Tensor:
        """The whole tensor.

        Raises:
            ArgumentError: Its shape was not given.
        """
        if self.dense_shape is None:
            raise ArgumentError("IndexedSlices become a tensor by their `dense_shape`, which was not given.")
        whole = torch.zeros([int(size) for size in self.dense_shape], dtype=self.dtype, device=self.values.device)
        return whole.index_add(0, self.indices.long(), self.values)
