"""Samples as one batch, and a batch as its samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella.engine.strings import Strings
from lamella.errors import ShapeError


def samples_of(batch: Any) -> Iterable[Any]:
    """The samples of one batch, in its nesting."""
    leaves, spec = pytree.tree_flatten(batch)
    return (pytree.tree_unflatten(list(row), spec) for row in zip(*leaves, strict=True))


def joined(samples: list[Any]) -> Any:
    """Samples as one batch, in their nesting: tensors and numbers as tensors, texts as an array of texts."""
    if all(type(sample) is int for sample in samples):  # the numbers of rows, say: quickly
        return torch.tensor(samples)
    columns, spec = _columns(samples)
    return pytree.tree_unflatten([_column(column) for column in columns], spec)


def _columns(samples: list[Any]) -> tuple[list[list[Any]], pytree.TreeSpec]:
    """The values of each part of the samples, and the samples' nesting."""
    leaves = (pytree.tree_leaves(sample) for sample in samples)
    return [list(column) for column in zip(*leaves, strict=True)], pytree.tree_structure(samples[0])


def _column(values: list[Any]) -> Any:
    if isinstance(values[0], (str, bytes)):
        return Strings.of(values)
    if hasattr(values[0], "joined"):  # what knows by itself how several are one: sparse and ragged tensors
        return values[0].joined(values)
    if isinstance(values[0], np.ndarray) and values[0].dtype == object:
        return np.stack(values).view(Strings)
    tensors = [torch.as_tensor(value) for value in values]
    if any(tensor.shape != tensors[0].shape for tensor in tensors):
        raise ShapeError(
            f"Samples of different shapes cannot be one batch: {sorted({tuple(each.shape) for each in tensors})}. Use "
            f"padded_batch() in the place of batch(), or bring them to one shape with map()."
        )
    return torch.stack(tensors)


def padded(samples: list[Any], shapes: Any = None, fill: Any = None) -> Any:
    """Samples of different sizes as one batch, in their nesting, made equal by what stands after them.

    Args:
        samples: The samples.
        shapes: The shape of each part of a sample, None or -1 for the largest; by default so for all sizes.
        fill: What stands after each part; 0 by default. Texts are not changed.

    Raises:
        ShapeError: A sample that is larger than its shape.

    Example:
        >>> padded([torch.tensor([1]), torch.tensor([2, 3])])
        tensor([[1, 0],
                [2, 3]])
    """
    columns, spec = _columns(samples)
    how = zip(_for_each(shapes, spec, is_leaf=_is_shape), _for_each(fill, spec), strict=True)
    parts = [_padded(column, *each) for column, each in zip(columns, how, strict=True)]
    return pytree.tree_unflatten(parts, spec)


def _is_shape(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(size is None or isinstance(size, int) for size in value)


def _for_each(given: Any, spec: pytree.TreeSpec, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """One for each part of a sample: None, one for all, or nested as the samples are."""
    if given is None:
        return [None] * spec.num_leaves
    leaves = pytree.tree_leaves(given, is_leaf=is_leaf)
    return leaves if len(leaves) == spec.num_leaves else leaves * spec.num_leaves


def _padded(values: list[Any], shape: Any, fill: Any) -> Any:
    if isinstance(values[0], (str, bytes)):
        return _column(values)
    if isinstance(values[0], np.ndarray) and values[0].dtype == object:
        return _padded_texts(values)
    tensors = [torch.as_tensor(each) for each in values]
    largest = [max(each.shape[axis] for each in tensors) for axis in range(tensors[0].ndim)]
    given = shape or [None] * len(largest)
    sizes = [own if size in (None, -1) else size for own, size in zip(largest, given, strict=True)]
    if any(own > size for own, size in zip(largest, sizes, strict=True)):
        raise ShapeError(f"Stream.padded_batch: a sample of sizes {largest} does not fit into {sizes}.")
    batch = torch.full((len(tensors), *sizes), fill or 0, dtype=tensors[0].dtype)
    for row, each in zip(batch, tensors, strict=True):
        row[tuple(map(slice, each.shape))] = each
    return batch


def _padded_texts(values: list[np.ndarray]) -> Strings:
    """Arrays of texts, after which empty ones stand."""
    sizes = np.max([each.shape for each in values], axis=0)
    batch = np.full((len(values), *sizes), _empty(values), object)
    for row, each in zip(batch, values, strict=True):
        row[tuple(map(slice, each.shape))] = each
    return batch.view(Strings)


def _empty(values: list[np.ndarray]) -> str | bytes:
    return b"" if any(isinstance(text, bytes) for each in values for text in each.flat) else ""
