"""A layer's `call` under a mixed policy: float32 weights, a computation in 16 bits.

Source: Micikevicius et al., 2018, "Mixed Precision Training".
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import _pytree as pytree

if TYPE_CHECKING:
    from lamella.layers.base import Layer


def call_mixed(layer: Layer, *args: Any, **kwargs: Any) -> Any:
    """`layer.call` with its weights in the short type, or all of it in float32 where that is needed."""
    if layer.computes_in_float32:
        args, kwargs = pytree.tree_map(partial(_cast, to=torch.float32), (args, kwargs))
        return pytree.tree_map(partial(_cast, to=layer._float), layer.call(*args, **kwargs))
    with _Cast(layer._cast_with_it(), layer._float):
        return layer.call(*args, **kwargs)


class _Cast:
    """Within it the weights of some layers are of another type; their gradients go to the weights that are kept."""

    def __init__(self, layers: Iterable[Layer], kind: torch.dtype) -> None:
        self.kept = [
            (layer._parameters, name, weight)
            for layer in layers
            for name, weight in layer._parameters.items()
            if weight is not None and weight.dtype is not kind and name not in layer._as_it_is
        ]
        self.kind = kind

    def __enter__(self) -> None:
        for held, name, weight in self.kept:
            held[name] = weight.to(self.kind)  # type: ignore[assignment]

    def __exit__(self, *exception: Any) -> None:
        for held, name, weight in self.kept:
            held[name] = weight


def _cast(x: Any, to: torch.dtype) -> Any:
    return x.to(to) if isinstance(x, torch.Tensor) and x.is_floating_point() else x
