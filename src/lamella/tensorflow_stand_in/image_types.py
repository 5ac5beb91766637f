"""Pictures in whole numbers and in floats."""

from __future__ import annotations

from typing import Any

import torch

from lamella import ops
from lamella.tensorflow_stand_in.tensors import convert_to_tensor


def convert_image_dtype(image: Any, dtype: Any, saturate: bool = False, name: str | None = None) -> Any:
    """Pictures in another type: whole numbers reach to the largest of their type, others from 0 to 1."""
    image = convert_to_tensor(image)
    wanted = ops.cast(torch.zeros(()), dtype).dtype
    if image.dtype == wanted or (image.is_floating_point() and wanted.is_floating_point):
        return image.to(wanted)
    if wanted.is_floating_point:
        return image.to(wanted) / torch.iinfo(image.dtype).max
    if image.is_floating_point():
        top = torch.iinfo(wanted).max
        scaled = image * (top + 0.5)
        return (scaled.clamp(0, top) if saturate else scaled).to(wanted)
    return (image.double() * (torch.iinfo(wanted).max / torch.iinfo(image.dtype).max)).to(wanted)


__all__ = ["convert_image_dtype"]
