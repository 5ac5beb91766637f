"""Unknown sizes of a symbolic tensor that it is to keep: `x.view(x.size(0), -1)`, where `x.size(0)` is None."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from lamella.errors import ShapeError

SIZED = frozenset([torch.reshape, torch.Tensor.reshape, torch.Tensor.view, torch.Tensor.expand])
"""The functions of torch that are called with sizes."""


def with_sizes_known(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of such a function as torch takes them: its own unknown size is what is left for the tensor.

    Example:
        >>> with_sizes_known((torch.empty(2, 4, 6, device="meta"), None, 24))[1:]
        ((-1, 24),)
    """
    x, *sizes = args
    wanted = list(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (list, tuple)) else sizes
    if None not in wanted:
        return args
    if -1 in wanted:
        wanted[wanted.index(-1)] = _left(x.shape, wanted)
    return (x, tuple(-1 if size is None else size for size in wanted))


def _left(shape: Sequence[int | None], wanted: Sequence[int | None]) -> int:
    """The size that -1 stands for beside the unknown one, which stays."""
    if not tuple(shape).count(None) == wanted.count(None) == 1:
        return -1
    known = math.prod(size for size in shape if size is not None)
    rest = math.prod(size for size in wanted if size is not None and size != -1)
    if not rest or known % rest:
        raise ShapeError(
            f"A tensor of shape {tuple(shape)} cannot become {tuple(wanted)}: {known} is no multiple of {rest}."
        )
    return known // rest
