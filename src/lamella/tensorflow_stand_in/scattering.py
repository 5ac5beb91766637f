"""Numbers put at places of a tensor: `tf.scatter_nd`, `tf.tensor_scatter_nd_update` and their siblings."""

from __future__ import annotations

from typing import Any

import torch

from lamella.tensorflow_stand_in.tensors import convert_to_tensor, sizes, snapshot

__all__ = [
    "scatter_nd",
    "tensor_scatter_nd_add",
    "tensor_scatter_nd_max",
    "tensor_scatter_nd_min",
    "tensor_scatter_nd_sub",
    "tensor_scatter_nd_update",
]


def tensor_scatter_nd_update(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Any:
    """A copy of the tensor with other numbers (or slices) at the places in the last axis of `indices`.

    Example:
        >>> tensor_scatter_nd_update([1, 2, 3], [[0], [2]], [9, 8]).tolist()
        [9, 2, 8]
    """
    return _put(tensor, indices, updates, accumulate=False)


def tensor_scatter_nd_add(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Any:
    """A copy of the tensor with numbers added at the places, one after the other where places repeat."""
    return _put(tensor, indices, updates, accumulate=True)


def tensor_scatter_nd_sub(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Any:
    """A copy of the tensor with numbers subtracted at the places."""
    return _put(tensor, indices, -convert_to_tensor(updates), accumulate=True)


def tensor_scatter_nd_max(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Any:
    """A copy of the tensor with the larger of what is there and what is given, at the places."""
    return _chosen(tensor, indices, updates, "amax")


def tensor_scatter_nd_min(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Any:
    """A copy of the tensor with the smaller of what is there and what is given, at the places."""
    return _chosen(tensor, indices, updates, "amin")


def scatter_nd(indices: Any, updates: Any, shape: Any, name: str | None = None) -> Any:
    """A tensor of zeros with numbers at the places, summed where places repeat."""
    updates = convert_to_tensor(updates)
    return _put(
        torch.zeros(sizes(shape), dtype=updates.dtype, device=updates.device), indices, updates, accumulate=True
    )


@snapshot
def _put(tensor: Any, indices: Any, updates: Any, accumulate: bool) -> Any:
    tensor, places = convert_to_tensor(tensor), convert_to_tensor(indices).long().unbind(-1)
    return torch.index_put(tensor, places, convert_to_tensor(updates, tensor.dtype), accumulate)


def _chosen(tensor: Any, indices: Any, updates: Any, by: str) -> Any:
    """The numbers of the tensor, at the places the largest (or smallest) of them and of all that are given there."""
    tensor, places = convert_to_tensor(tensor), convert_to_tensor(indices).long().unbind(-1)
    numbers = torch.arange(tensor.numel(), device=tensor.device).reshape(tensor.shape)[places]
    given = convert_to_tensor(updates, tensor.dtype).expand(numbers.shape)
    found = tensor.reshape(-1).scatter_reduce(0, numbers.reshape(-1), given.reshape(-1), by)
    return found.reshape(tensor.shape)
