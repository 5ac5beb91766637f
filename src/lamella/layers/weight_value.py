"""The first values of a layer's weights, in the order in memory that its kernel wants."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from lamella import initializers
from lamella.engine.device import default_device
from lamella.engine.on_meta import off_meta
from lamella.errors import FileError, ShapeError

_allowance: list[int] = []


@contextmanager
def weights_within(number: int) -> Iterator[None]:
    """Within it layers may make weights of so many bytes together; a file that asks for more lies about itself."""
    _allowance.append(number)
    try:
        yield
    finally:
        _allowance.pop()


def first_value(
    layer: str, shape: tuple[int, ...], initializer: Any, kind: torch.dtype, memory_order: Sequence[int] | None
) -> torch.Tensor:
    """A tensor on the default device, filled by the initializer.

    Raises:
        ShapeError: A dimension that is not known.
        FileError: More than a file that is being read can have weights for.
    """
    if any(not isinstance(size, (int, np.integer)) for size in shape):
        raise ShapeError(
            f"Layer {layer!r} cannot make a weight of shape {shape}: every dimension must be known. "
            f"Give the sizes that are None in Input(shape=...)."
        )
    spend(layer, shape)
    if initializer is None:
        initializer = "glorot_uniform" if kind.is_floating_point else "zeros"
    with off_meta(), torch.inference_mode(False), torch.no_grad():
        value = torch.as_tensor(initializers.get(initializer)(shape, dtype=kind))
        return _in_memory_order(value.to(default_device(), kind), memory_order)


def spend(layer: str, shape: tuple[int, ...]) -> None:
    """Counts a weight of a layer against what a file that is being read has numbers for."""
    if not _allowance:
        return
    _allowance[-1] -= 4 * math.prod(shape)
    if _allowance[-1] < 0:
        raise FileError(
            f"Layer {layer!r} would have a weight of shape {shape}, far more than the file has numbers for."
        )


def _in_memory_order(value: torch.Tensor, order: Sequence[int] | None) -> torch.Tensor:
    if order is None:
        return value
    inverse = [order.index(axis) for axis in range(len(order))]
    return value.permute(*order).contiguous().permute(*inverse)
