"""Arrays as small PNG pictures, in the form of `data:` addresses."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch

_LARGEST = 96
"""Pixels along the longer side: a report holds dozens of pictures."""


def is_picture(sample: torch.Tensor) -> bool:
    """Whether a sample looks like a picture: (height, width), (height, width, 1 or 3) or (1 or 3, height, width).

    A matrix is one only if it is square or made of bytes, for others are rather series of several numbers a time.
    """
    shape = sample.shape
    if sample.ndim == 3:
        return (shape[-1] in (1, 3) and min(shape[:2]) > 3) or (shape[0] in (1, 3) and min(shape[1:]) > 3)
    return sample.ndim == 2 and min(shape) > 3 and (shape[0] == shape[1] or sample.dtype == torch.uint8)


def black_and_white(low: float, high: float) -> tuple[float, float]:
    """What stands for black and for white in pictures whose least and greatest numbers are these.

    Example:
        >>> black_and_white(0.0, 231.0), black_and_white(-0.9, 0.8), black_and_white(-2.1, 2.6)
        ((0.0, 255.0), (-1.0, 1.0), (-2.1, 2.6))
    """
    for black, white, least in ((0.0, 1.0, 0.0), (-1.0, 1.0, 0.0), (0.0, 255.0, 64.0)):
        if black <= low and least < high <= white:
            return black, white
    return low, high


def png(picture: torch.Tensor, black: float, white: float) -> str | None:
    """A picture as a `data:` address; None where Pillow is not there (`pip install 'lamella[report]'`).

    Args:
        picture: (height, width), (height, width, 1 or 3) or (1 or 3, height, width).
        black: The number that stands for black.
        white: That for white.
    """
    try:
        from PIL import Image
    except ImportError:
        return None
    array = picture.detach().float().cpu().numpy()
    if array.ndim == 3 and array.shape[-1] not in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    scaled = (array - black) / max(white - black, 1e-12) * 255
    image = Image.fromarray(np.nan_to_num(scaled).clip(0, 255).round().astype(np.uint8))
    image.thumbnail((_LARGEST, _LARGEST))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
