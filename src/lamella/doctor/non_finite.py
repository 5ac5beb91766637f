"""Where a training broke down: the first layer that gives NaN or infinity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from lamella.doctor.finding import Finding
from lamella.doctor.probe import sample
from lamella.engine.batches import length, rows
from lamella.engine.non_finite import first_non_finite, has_non_finite, name_of

_ROWS, _BATCHES = 256, 64


def non_finite(model: Any, source: Any, epoch: int) -> Finding:
    """Looks for NaN and infinity: in the weights, then in each layer's outputs, sample after sample.

    Args:
        model: The model, with the weights with which its loss was no number.
        source: What it was trained on; None if unknown.
        epoch: After how many whole epochs.
    """
    broken = [module for module in model.modules() if has_non_finite(list(module._parameters.values()))]
    if broken:  # the gradient came from behind: what stands after the last of them made it
        return Finding("non_finite", {}, name_of(broken[-1]), epoch, "weights")
    if source is not None:
        with torch.no_grad():
            for x in _batches(source):
                layer = first_non_finite(model, x)
                if layer is not None:
                    return Finding("non_finite", {}, name_of(layer), epoch, "outputs")
    return Finding("non_finite", {}, None, epoch, "loss")


def _batches(source: Any) -> Iterator[Any]:
    if getattr(source, "num_samples", None) is None or not hasattr(source, "x"):
        yield source.peek()[0]
        return
    x = sample(source, most=_ROWS * _BATCHES)[0]
    for start in range(0, length(x), _ROWS):
        yield rows(x, slice(start, start + _ROWS))
