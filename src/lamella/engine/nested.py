"""Lists of lists with tensors in them."""

from __future__ import annotations

from typing import Any

import torch


def holds_tensors(values: Any) -> bool:
    """Whether a list has a tensor in it, at any depth: such lists are stacked, so that gradients flow.

    Example:
        >>> holds_tensors([[1, 2], [3, torch.tensor(4)]]), holds_tensors([[1, 2], [3, 4]]), holds_tensors(torch.ones(2))
        (True, False, False)
    """
    return isinstance(values, (list, tuple)) and any(
        isinstance(each, torch.Tensor) or holds_tensors(each) for each in values
    )
