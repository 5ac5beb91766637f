"""Lists of lists with tensors in them."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch


def holds_tensors(values: Any) -> bool:
    """Whether a list has a tensor in it, at any depth: such lists are stacked, so that gradients flow.

    Example:
        >>> holds_tensors([[1, 2], [3, torch.tensor(4)]]), holds_tensors([[1, 2], [3, 4]]), holds_tensors(torch.ones(2))
        (True, False, False)
    """
    level = values if isinstance(values, (list, tuple)) else ()
    while level:
        kinds = set(map(type, level))  # few, where numbers may be many
        if any(issubclass(kind, torch.Tensor) for kind in kinds):
            return True
        if not any(issubclass(kind, (list, tuple)) for kind in kinds):
            return False
        level = tuple(chain.from_iterable(each for each in level if isinstance(each, (list, tuple))))
    return False
