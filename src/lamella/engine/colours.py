"""Colours of images: grey, hue, saturation, value. The numerics are those of `keras.ops.image`."""

from __future__ import annotations

import torch

from lamella.errors import DTypeError, ShapeError


def channel_axis(data_format: str) -> int:
    """The axis of the channels, counted from the last: -1 or -3."""
    return -3 if data_format == "channels_first" else -1


def check_images(images: torch.Tensor) -> None:
    """Refuses anything but one image or a batch of images."""
    if images.ndim not in (3, 4):
        raise ShapeError(
            f"Images must have rank 3 (one image) or 4 (a batch of images); got shape {tuple(images.shape)}."
        )


def rgb_to_grayscale(images: torch.Tensor, data_format: str = "channels_last") -> torch.Tensor:
    """The luminance 0.2989 R + 0.587 G + 0.114 B, as one channel. Images of one channel stay as they are.

    Raises:
        ShapeError: Neither 3 channels nor 1.

    Example:
        >>> rgb_to_grayscale(torch.tensor([[[100.0, 0.0, 0.0]]]))
        tensor([[[29.8900]]])
    """
    check_images(images)
    axis = channel_axis(data_format)
    if images.shape[axis] == 1:
        return images.clone()
    red, green, blue = _three(images, axis)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).to(images.dtype).unsqueeze(axis)


def rgb_to_hsv(images: torch.Tensor, data_format: str = "channels_last") -> torch.Tensor:
    """Red, green, blue to hue, saturation (both from 0 to 1) and value (the greatest of the three).

    Raises:
        DTypeError: Integer images.
        ShapeError: Another number of channels than 3.

    Example:
        >>> rgb_to_hsv(torch.tensor([[[0.0, 1.0, 0.0]]]))
        tensor([[[0.3333, 1.0000, 1.0000]]])
    """
    check_images(images)
    check_float(images)
    axis = channel_axis(data_format)
    images = torch.where(images.abs() < torch.finfo(images.dtype).eps, 0.0, images)
    red, green, blue = _three(images, axis)
    value = images.amax(axis)
    spread = value - images.amin(axis)
    saturation = torch.where(value > 0, spread / torch.where(value > 0, value, 1.0), 0.0)
    sixth = 1.0 / (6.0 * torch.where(spread > 0, spread, 1.0))
    hue = torch.where(value == green, sixth * (blue - red) + 2.0 / 6.0, sixth * (red - green) + 4.0 / 6.0)
    hue = torch.where(value == red, sixth * (green - blue), hue)
    hue = torch.where(spread > 0, hue, 0.0)
    return torch.stack([hue + (hue < 0).to(hue.dtype), saturation, value], axis)


def hsv_to_rgb(images: torch.Tensor, data_format: str = "channels_last") -> torch.Tensor:
    """Hue, saturation and value back to red, green, blue.

    Raises:
        DTypeError: Integer images.
        ShapeError: Another number of channels than 3.

    Example:
        >>> hsv_to_rgb(torch.tensor([[[0.5, 1.0, 1.0]]]))
        tensor([[[0., 1., 1.]]])
    """
    check_images(images)
    check_float(images)
    axis = channel_axis(data_format)
    hue, saturation, value = _three(images, axis)
    turn = torch.remainder(hue, 1.0) * 6.0
    red = ((turn - 3.0).abs() - 1.0).clamp(0.0, 1.0)
    green = (2.0 - (turn - 2.0).abs()).clamp(0.0, 1.0)
    blue = (2.0 - (turn - 4.0).abs()).clamp(0.0, 1.0)
    return torch.stack([value * (1.0 - saturation + saturation * part) for part in (red, green, blue)], axis)


def _three(images: torch.Tensor, axis: int) -> tuple[torch.Tensor, ...]:
    if images.shape[axis] != 3:
        raise ShapeError(
            f"Colour images have 3 channels (axis {axis}); got shape {tuple(images.shape)}. "
            f"Check data_format, or repeat the channel of grey images."
        )
    return images.unbind(axis)


def check_float(images: torch.Tensor) -> None:
    """Refuses integer images."""
    if not images.is_floating_point():
        raise DTypeError(f"This needs floating-point images; got {images.dtype}. Cast them first.")
