"""Batches: tensors (strings: NumPy arrays), or structures of them, that have a row for each sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

_ARRAYS = (torch.Tensor, np.ndarray)


def length(batch: Any) -> int:
    """The number of samples in a tensor, or in a structure of them."""
    if isinstance(batch, torch.Tensor):
        return len(batch)
    return len(next(leaf for leaf in pytree.tree_leaves(batch) if isinstance(leaf, _ARRAYS)))


def rows(batch: Any, where: slice) -> Any:
    """These samples of each tensor in the structure."""
    return pytree.tree_map_only(_ARRAYS, lambda leaf: leaf[where], batch)


def spread(count: int, most: int) -> torch.Tensor:
    """The numbers of at most so many of `count` samples, from the first to the last: data often lie sorted by class.

    Example:
        >>> spread(10, 4), spread(3, 4)
        (tensor([0, 3, 6, 9]), tensor([0, 1, 2]))
    """
    picked = min(count, most)
    return torch.arange(picked) * (count - 1) // max(picked - 1, 1)  # whole numbers: floats lose some in large data
