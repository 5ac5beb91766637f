"""Pictures compared, their edges found, and resampled along chosen axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.image_data_format import checked_data_format
from lamella.errors import ArgumentError, ShapeError
from lamella.ops.base import op, promoted, result_dtype, tensor


@op
def sobel_edges(images: Any, data_format: str | None = None) -> torch.Tensor:
    """The slopes of brightness downwards and to the right, by Sobel's filters, as a new last axis (dy, dx).

    Example:
        >>> sobel_edges(torch.ones(1, 4, 4, 3)).shape
        torch.Size([1, 4, 4, 3, 2])
    """
    images, data_format = tensor(images), checked_data_format(data_format)
    if images.ndim != 4:
        raise ShapeError(f"sobel_edges takes a batch of pictures (rank 4); got shape {tuple(images.shape)}.")
    x = images.movedim(-1, 1) if data_format == "channels_last" else images
    channels = x.shape[1]
    across = torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=x.dtype, device=x.device)
    found = [F.conv2d(x, kernel.expand(channels, 1, 3, 3), padding=1, groups=channels) for kernel in (across.T, across)]
    edges = torch.stack(found, dim=-1)
    return edges.permute(0, 2, 3, 1, 4) if data_format == "channels_last" else edges


@op
def ssim(
    image1: Any,
    image2: Any,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> torch.Tensor:
    """The structural similarity of pictures, 1 where they are equal.

    Args:
        image1: One picture, or a batch.
        image2: Of the same shape.
        max_val: The largest value that a pixel may have.
        filter_size: The size of the Gaussian window.
        filter_sigma: Its deviation.
        k1: Steadies the comparison of brightness.
        k2: Steadies the comparison of contrast.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Returns:
        A number for each picture.

    Raises:
        ShapeError: Ranks other than 3 and 4.

    Source: Wang, Bovik, Sheikh, Simoncelli, 2004.

    Example:
        >>> ssim(torch.ones(16, 16, 3), torch.ones(16, 16, 3))
        tensor(1.)
    """
    data_format = checked_data_format(data_format)
    first, second = tensor(image1), tensor(image2)
    kind = first.dtype
    first, second = promoted(first, second, to=float)
    if first.ndim not in (3, 4) or second.ndim not in (3, 4):
        raise ShapeError(
            f"ssim takes pictures (rank 3) or batches (rank 4); got {tuple(first.shape)} and {tuple(second.shape)}."
        )
    single = first.ndim == 3
    first, second = (each.unsqueeze(0) if single else each for each in (first, second))
    if data_format == "channels_last":
        first, second = first.movedim(-1, 1), second.movedim(-1, 1)
    x = torch.arange(filter_size, dtype=first.dtype, device=first.device) - (filter_size - 1) / 2
    bell = torch.exp(-(x**2) / (2.0 * filter_sigma**2))
    bell = bell / bell.sum()
    channels = first.shape[1]
    kernel = torch.outer(bell, bell).expand(channels, 1, -1, -1)

    def blurred(picture: torch.Tensor) -> torch.Tensor:
        return F.conv2d(picture, kernel, groups=channels)

    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mean1, mean2 = blurred(first), blurred(second)
    variance1, variance2 = blurred(first * first) - mean1**2, blurred(second * second) - mean2**2
    covariance = blurred(first * second) - mean1 * mean2
    likeness = (2 * mean1 * mean2 + c1) * (2 * covariance + c2)
    likeness = likeness / ((mean1**2 + mean2**2 + c1) * (variance1 + variance2 + c2))
    found = likeness.mean(dim=(1, 2, 3)).to(kind)
    return found.squeeze(0) if single else found


@op
def scale_and_translate(
    images: Any,
    output_shape: Sequence[int],
    scale: Any,
    translation: Any,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> torch.Tensor:
    """Pictures scaled, then moved, along `spatial_dims`; what comes from outside is 0.

    Args:
        images: An array of any rank.
        output_shape: The shape of the result.
        scale: A factor for each of `spatial_dims`.
        translation: A distance for each of `spatial_dims`, in pixels of the result.
        spatial_dims: The axes.
        method: `"linear"`, `"cubic"` (or bi- and tri-), `"lanczos3"` or `"lanczos5"`.
        antialias: Whether details too fine for the new scale are smoothed away.

    Raises:
        ArgumentError: Another method.

    Example:
        >>> scale_and_translate(torch.ones(4), (2,), [0.5], [0.0], (0,), "linear")
        tensor([1., 1.])
    """
    kernel = _KERNELS.get(method.removeprefix("bi").removeprefix("tri"))
    if kernel is None:
        raise ArgumentError(f"`method` must be 'linear', 'cubic', 'lanczos3' or 'lanczos5'; got {method!r}.")
    x, scale, translation = tensor(images), tensor(scale), tensor(translation)
    kind = result_dtype(scale, translation, float)
    scale, translation = scale.to(kind), translation.to(kind)
    found = x if x.is_floating_point() else x.float()
    for i, axis in enumerate(spatial_dims):
        weights = _weights(x.shape[axis], output_shape[axis], scale[i], translation[i], kernel, antialias)
        found = (found.movedim(axis, -1) @ weights.to(found)).movedim(-1, axis)
    return found if x.is_floating_point() else torch.clamp(found.round(), x.min(), x.max()).to(x.dtype)


def _weights(
    before: int, after: int, scale: torch.Tensor, shift: torch.Tensor, kernel: Any, antialias: bool
) -> torch.Tensor:
    """The (before, after) matrix that resamples one axis."""
    step = 1.0 / scale
    places = (torch.arange(after, dtype=scale.dtype, device=scale.device) + 0.5) * step - shift * step - 0.5
    known = torch.arange(before, dtype=scale.dtype, device=scale.device)
    distance = (places - known[:, None]).abs() / (torch.clamp(step, min=1.0) if antialias else 1.0)
    weights = kernel(distance)
    total = weights.sum(0, keepdim=True)
    steady = total.abs() > 1000 * torch.finfo(torch.float32).eps
    weights = torch.where(steady, weights / torch.where(steady, total, 1.0), 0.0)
    return torch.where((places >= -0.5) & (places <= before - 0.5), weights, 0.0)


def _cubic(x: torch.Tensor) -> torch.Tensor:
    """Keys's kernel with a = -1/2 (1981)."""
    near = ((1.5 * x - 2.5) * x) * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return torch.where(x < 1.0, near, torch.where(x < 2.0, far, 0.0))


def _lanczos(radius: int) -> Any:
    return lambda x: torch.where(x <= radius, torch.sinc(x) * torch.sinc(x / radius), 0.0)


_KERNELS = {
    "linear": lambda x: torch.clamp(1 - x, min=0.0),
    "cubic": _cubic,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}
