"""What the layers of several mobile networks need: padding as TensorFlow pads, rounded widths, the sizes of weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def correct_pad(image: Any, kernel_size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """How many zeros to put above and below, left and right of `image` before a `"valid"` convolution of stride 2.

    With them the windows lie where TensorFlow's `"same"` padding puts them, and where pretrained weights expect
    them. A size that is not known counts as even.

    Args:
        image: A symbolic batch of images.
        kernel_size: The height and width of the windows.

    Example:
        >>> import lamella
        >>> correct_pad(lamella.Input((224, 225, 3)), 3)
        ((0, 1), (1, 1))
    """
    after = kernel_size // 2
    height, width = (after - 1 if size is None or size % 2 == 0 else after for size in image.shape[1:3])
    return (height, after), (width, after)


def round_channels(channels: float, divisor: int = 8) -> int:
    """`channels` as the nearest multiple of `divisor` that is not below nine tenths of it, and at least one `divisor`.

    Example:
        >>> round_channels(33), round_channels(11), round_channels(3)
        (32, 16, 8)
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def trained_size(shape: Sequence[int | None] | None, sizes: Sequence[int]) -> int:
    """The height of a square image of `shape` if it is one of `sizes`, for which there are weights; or else 224.

    Example:
        >>> trained_size((128, 128, 3), (128, 224)), trained_size((150, 150, 3), (128, 224)), trained_size(None, ())
        (128, 224, 224)
    """
    height, width = shape[:2] if shape else (None, None)
    return height if height is not None and height == width and height in sizes else 224
