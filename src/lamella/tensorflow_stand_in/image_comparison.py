"""`tf.image`: how alike pictures are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import ShapeError
from lamella.tensorflow_stand_in.image_types import convert_image_dtype
from lamella.tensorflow_stand_in.tensors import convert_to_tensor

_POWERS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def psnr(a: Any, b: Any, max_val: Any, name: str | None = None) -> Any:
    """The peak signal-to-noise ratio of each picture, in decibels: more is more alike.

    Args:
        a: Pictures (..., height, width, channels).
        b: Of the same shape.
        max_val: The largest value that a pixel may have.
        name: TensorFlow's argument: it changes nothing here.
    """
    first, second, top = _in_floats("psnr", a, b, max_val)
    error = (first - second).square().mean(dim=(-3, -2, -1))
    return 20.0 * math.log10(top) - 10.0 * torch.log10(error)


def ssim(
    img1: Any,
    img2: Any,
    max_val: Any,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    return_index_map: bool = False,
) -> Any:
    """The structural similarity of each picture, 1 where they are equal.

    Args:
        img1: Pictures (..., height, width, channels).
        img2: Of the same shape.
        max_val: The largest value that a pixel may have.
        filter_size: The size of the Gaussian window.
        filter_sigma: Its deviation.
        k1: Steadies the comparison of brightness.
        k2: Steadies the comparison of contrast.
        return_index_map: Whether to give the similarity around each pixel instead of their mean.

    Raises:
        ShapeError: Pictures of different shapes, or smaller than the window.

    Source: Wang, Bovik, Sheikh, Simoncelli, 2004.
    """
    first, second, top = _in_floats("ssim", img1, img2, max_val)
    like, _ = _likeness(first, second, top, filter_size, filter_sigma, k1, k2)
    return like.mean(-1) if return_index_map else like.mean(dim=(-3, -2, -1))


def ssim_multiscale(
    img1: Any,
    img2: Any,
    max_val: Any,
    power_factors: Sequence[float] = _POWERS,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Any:
    """The structural similarity of each picture over several sizes, each half of the one before.

    Args:
        img1: Pictures (..., height, width, channels).
        img2: Of the same shape.
        max_val: The largest value that a pixel may have.
        power_factors: How much each size counts.
        filter_size: The size of the Gaussian window.
        filter_sigma: Its deviation.
        k1: Steadies the comparison of brightness.
        k2: Steadies the comparison of contrast.

    Raises:
        ShapeError: Pictures of different shapes, or at the last size smaller than the window.

    Source: Wang, Simoncelli, Bovik, 2003.
    """
    first, second, top = _in_floats("ssim_multiscale", img1, img2, max_val)
    found = torch.ones((), device=first.device)
    for scale, power in enumerate(power_factors):
        first, second = (_halved(each) if scale else each for each in (first, second))
        like, structure = _likeness(first, second, top, filter_size, filter_sigma, k1, k2)
        counts = like if scale == len(power_factors) - 1 else structure
        found = found * counts.mean(dim=(-3, -2)).clamp(min=0) ** power
    return found.mean(-1)


def _in_floats(name: str, a: Any, b: Any, max_val: Any) -> tuple[torch.Tensor, torch.Tensor, float]:
    first, second = convert_to_tensor(a), convert_to_tensor(b)
    if first.ndim < 3 or first.shape[-3:] != second.shape[-3:]:
        raise ShapeError(
            f"{name} compares pictures (..., height, width, channels) of one size; got shapes {tuple(first.shape)} "
            f"and {tuple(second.shape)}."
        )
    top = float(max_val) if first.is_floating_point() else float(max_val) / torch.iinfo(first.dtype).max
    return convert_image_dtype(first, torch.float32), convert_image_dtype(second, torch.float32), top


def _likeness(
    first: torch.Tensor, second: torch.Tensor, top: float, size: int, sigma: float, k1: float, k2: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The similarity around each pixel, by channel; and that of the structure alone."""
    if min(first.shape[-3:-1]) < size:
        raise ShapeError(
            f"Pictures of {first.shape[-3]} x {first.shape[-2]} pixels are smaller than the window of `filter_size` "
            f"{size}: give a smaller one."
        )
    x = torch.arange(size, dtype=first.dtype, device=first.device) - (size - 1) / 2
    bell = torch.softmax(-x.square() / (2 * sigma**2), 0)
    kernel = torch.outer(bell, bell)[None, None]

    def blurred(pictures: torch.Tensor) -> torch.Tensor:
        planes = pictures.movedim(-1, -3)
        found = F.conv2d(planes.reshape(-1, 1, *planes.shape[-2:]), kernel)
        return found.reshape(*planes.shape[:-2], *found.shape[-2:]).movedim(-3, -1)

    c1, c2 = (k1 * top) ** 2, (k2 * top) ** 2
    mean1, mean2 = blurred(first), blurred(second)
    product, squares = mean1 * mean2 * 2, mean1.square() + mean2.square()
    light = (product + c1) / (squares + c1)
    together, apart = blurred(first * second) * 2 - product, blurred(first.square() + second.square()) - squares
    structure = (together + c2) / (apart + c2)
    return light * structure, structure


def _halved(pictures: torch.Tensor) -> torch.Tensor:
    """The means of each 2 x 2 pixels; a last row or column without a partner is doubled."""
    planes = pictures.movedim(-1, -3)
    flat = planes.reshape(-1, 1, *planes.shape[-2:])
    flat = F.pad(flat, (0, planes.shape[-1] % 2, 0, planes.shape[-2] % 2), mode="replicate")
    found = F.avg_pool2d(flat, 2)
    return found.reshape(*planes.shape[:-2], *found.shape[-2:]).movedim(-3, -1)


__all__ = ["psnr", "ssim", "ssim_multiscale"]
