"""The first convolution's kernels as pictures."""

from __future__ import annotations

from typing import Any

from lamella import layers
from lamella.report.pictures import png
from lamella.report.record import Filters

_MOST = 64


def filters(model: Any) -> Filters | None:
    """The kernels of the model's first convolution over pictures of 1 or 3 channels; None if it has none.

    Each kernel has its own black and white: its least and its greatest weight.
    """
    first = next((each for each in model.modules() if isinstance(each, layers.Conv2D) and each.built), None)
    if first is None or first.kernel.shape[2] not in (1, 3):
        return None
    kernels = first.kernel.detach().float().cpu().permute(3, 0, 1, 2)[:_MOST]
    found = [png(kernel, float(kernel.min()), float(kernel.max())) for kernel in kernels]
    pictures = [picture for picture in found if picture is not None]
    return Filters(first.name, pictures) if pictures else None
