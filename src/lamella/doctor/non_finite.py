"""Where a training broke down: the first layer that gives NaN or infinity."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from lamella.doctor.finding import Finding
from lamella.doctor.probe import sample

_ROWS, _BATCHES = 256, 64


def non_finite(model: Any, source: Any, epoch: int) -> Finding:
    """Looks for NaN and infinity: in the weights, then in each layer's outputs, sample after sample.

    Args:
        model: The model, with the weights with which its loss was no number.
        source: What it was trained on; None if unknown.
        epoch: After how many whole epochs.
    """
    broken = [module for module in model.modules() if any(_bad(weight) for weight in module._parameters.values())]
    if broken:  # the gradient came from behind: what stands after the last of them made it
        return Finding("non_finite", {}, _name(broken[-1]), epoch, "weights")
    if source is not None:
        with torch.no_grad():
            for x in _batches(source):
                layer = _first(model, x)
                if layer is not None:
                    return Finding("non_finite", {}, layer, epoch, "outputs")
    return Finding("non_finite", {}, None, epoch, "loss")


def _first(model: nn.Module, x: Any) -> str | None:
    found: list[str] = []

    def look(module: nn.Module, args: Any, output: Any) -> None:
        if not found and any(_bad(leaf) for leaf in pytree.tree_leaves(output)):
            found.append(_name(module))

    leaves = [module for module in model.modules() if not any(module.children())]
    handles = [module.register_forward_hook(look) for module in leaves]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def _batches(source: Any) -> Iterator[Any]:
    if getattr(source, "num_samples", None) is None or not hasattr(source, "x"):
        yield source.peek()[0]
        return
    x = sample(source, most=_ROWS * _BATCHES)[0]
    count = len(pytree.tree_leaves(x)[0])
    for start in range(0, count, _ROWS):
        rows = slice(start, start + _ROWS)
        yield pytree.tree_map(lambda leaf, rows=rows: leaf[rows], x)


def _bad(value: Any) -> bool:
    floats = isinstance(value, torch.Tensor) and value.is_floating_point()
    return floats and not math.isfinite(value.detach().abs().sum())


def _name(module: nn.Module) -> str:
    return str(getattr(module, "name", type(module).__name__))
