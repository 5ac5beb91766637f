"""Batches: tensors, or structures of tensors that have a row for each sample."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _pytree as pytree


def length(batch: Any) -> int:
    """The number of samples in a tensor, or in a structure of them."""
    if isinstance(batch, torch.Tensor):
        return len(batch)
    return len(next(leaf for leaf in pytree.tree_leaves(batch) if isinstance(leaf, torch.Tensor)))


def rows(batch: Any, where: slice) -> Any:
    """These samples of each tensor in the structure."""
    return pytree.tree_map_only(torch.Tensor, lambda leaf: leaf[where], batch)
