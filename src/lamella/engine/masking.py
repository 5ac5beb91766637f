"""The mask that a tensor carries: which time steps are real and which are padding.

A mask is a boolean tensor, True where the data are real, kept as an attribute of the tensor that it
belongs to (under Keras's name), so that the next layer and the loss find it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _pytree as pytree

in_use = False
"""Whether any tensor of this process ever had a mask: until then layers need not look."""


def get_mask(x: Any) -> torch.Tensor | None:
    """The mask of tensor `x`, or None."""
    return getattr(x, "_keras_mask", None)


def set_mask(x: Any, mask: torch.Tensor | None) -> None:
    """Makes `mask` the mask of tensor `x`."""
    global in_use
    in_use = True
    x._keras_mask = mask


def of(x: Any) -> Any:
    """The mask of a tensor, or the masks of nested tensors (None where none of them has one)."""
    if isinstance(x, torch.Tensor):
        return get_mask(x)
    if not isinstance(x, (list, tuple, dict)):
        return None
    masks = pytree.tree_map(get_mask, x)
    return masks if any(mask is not None for mask in pytree.tree_leaves(masks)) else None
