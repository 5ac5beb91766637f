"""The first values of a layer's weights, in the order in memory that its kernel wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lamella import initializers
from lamella.engine.allowance import spend
from lamella.engine.device import default_device
from lamella.engine.on_meta import off_meta
from lamella.errors import ShapeError


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


def _in_memory_order(value: torch.Tensor, order: Sequence[int] | None) -> torch.Tensor:
    if order is None:
        return value
    inverse = [order.index(axis) for axis in range(len(order))]
    return value.permute(*order).contiguous().permute(*inverse)
