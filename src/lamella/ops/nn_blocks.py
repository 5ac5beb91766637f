"""Class numbers as vectors, and pictures as blocks."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.image_data_format import checked_data_format
from lamella.errors import ArgumentError, ShapeError
from lamella.ops.base import as_dtype, floating, op, tensor


@op
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> torch.Tensor:
    """Class numbers as vectors with one 1; a number out of range gives zeros.

    Args:
        x: Class numbers.
        num_classes: The length of the vectors.
        axis: Where their axis goes.
        dtype: Of the result; `floatx()` by default.
        sparse: Only False.

    Raises:
        ArgumentError: `sparse=True`.

    Example:
        >>> one_hot([0, 2], 3)
        tensor([[1., 0., 0.],
                [0., 0., 1.]])
    """
    if sparse:
        raise ArgumentError("one_hot: sparse=True is not supported; there are no sparse tensors.")
    x = tensor(x).long().unsqueeze(-1)
    found = (x == torch.arange(num_classes, device=x.device)).to(as_dtype(dtype))
    return found.movedim(-1, axis)


@op
def multi_hot(
    inputs: Any, num_classes: int | None = None, axis: int = -1, dtype: Any = None, sparse: bool = False, **kwargs: Any
) -> torch.Tensor:
    """Rows of class numbers as one vector each, with a 1 for each class that occurs.

    Args:
        inputs: Class numbers, (n,) or (batch, n).
        num_classes: The length of the vectors.
        axis: Where their axis goes, before the numbers of a row are merged.
        dtype: Of the result; `floatx()` by default.
        sparse: Only False.
        **kwargs: `num_tokens`, the older name of `num_classes`.

    Raises:
        ArgumentError: No `num_classes`, or `sparse=True`.

    Example:
        >>> multi_hot([[0, 2, 2]], 4)
        tensor([[1., 0., 1., 0.]])
    """
    num_classes = kwargs.pop("num_tokens", None) if num_classes is None else num_classes
    if num_classes is None:
        raise ArgumentError("multi_hot needs `num_classes`.")
    inputs = tensor(inputs)
    return one_hot(inputs, num_classes, axis, dtype, sparse).amax(dim=1 if inputs.ndim > 1 else 0)


@op
def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> torch.Tensor:
    """All windows of a picture as columns: (batch, channels, height, width) -> (batch, channels * window, windows).

    Raises:
        ShapeError: A rank other than 4.

    Example:
        >>> unfold(torch.ones(1, 2, 4, 4), 2).shape
        torch.Size([1, 8, 9])
    """
    x = tensor(x)
    if x.ndim != 4:
        raise ShapeError(f"unfold takes (batch, channels, height, width); got shape {tuple(x.shape)}.")
    return F.unfold(x, kernel_size, dilation, padding, stride)


@op
def fold(
    x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> torch.Tensor:
    """The columns of `unfold` added up into pictures again.

    Raises:
        ShapeError: A rank other than 3.

    Example:
        >>> fold(torch.ones(1, 8, 9), 4, 2).shape
        torch.Size([1, 2, 4, 4])
    """
    x = tensor(x)
    if x.ndim != 3:
        raise ShapeError(f"fold takes (batch, channels * window, windows); got shape {tuple(x.shape)}.")
    return F.fold(x, output_size, kernel_size, dilation, padding, stride)


def _block(name: str, x: Any, block_size: int, data_format: Any) -> tuple[torch.Tensor, str]:
    if not isinstance(block_size, int) or block_size < 2:
        raise ArgumentError(f"{name}: `block_size` must be a whole number from 2; got {block_size!r}.")
    return tensor(x), checked_data_format(data_format)


@op
def depth_to_space(x: Any, block_size: int, data_format: str = "channels_last") -> torch.Tensor:
    """Channels laid out as blocks of pixels: (b, h, w, n * n * c) -> (b, h * n, w * n, c) (Shi et al., 2016).

    Raises:
        ArgumentError: A block size below 2.

    Example:
        >>> depth_to_space(torch.ones(1, 2, 2, 12), 2).shape
        torch.Size([1, 4, 4, 3])
    """
    x, data_format = _block("depth_to_space", x, block_size, data_format)
    n = block_size
    if data_format == "channels_last":
        b, h, w, c = x.shape
        return x.reshape(b, h, w, n, n, c // n**2).permute(0, 1, 3, 2, 4, 5).reshape(b, h * n, w * n, c // n**2)
    b, c, h, w = x.shape
    return x.reshape(b, c // n**2, n, n, h, w).permute(0, 1, 4, 2, 5, 3).reshape(b, c // n**2, h * n, w * n)


@op
def space_to_depth(x: Any, block_size: int, data_format: str = "channels_last") -> torch.Tensor:
    """Blocks of pixels as channels: the inverse of `depth_to_space`.

    Raises:
        ArgumentError: A block size below 2.

    Example:
        >>> space_to_depth(torch.ones(1, 4, 4, 3), 2).shape
        torch.Size([1, 2, 2, 12])
    """
    x, data_format = _block("space_to_depth", x, block_size, data_format)
    n = block_size
    if data_format == "channels_last":
        b, h, w, c = x.shape
        return x.reshape(b, h // n, n, w // n, n, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h // n, w // n, c * n**2)
    b, c, h, w = x.shape
    return x.reshape(b, c, h // n, n, w // n, n).permute(0, 1, 3, 5, 2, 4).reshape(b, c * n**2, h // n, w // n)


@op
def polar(abs_: Any, angle: Any) -> torch.Tensor:
    """The complex numbers of an absolute value and an angle.

    Example:
        >>> polar([2.0], [0.0])
        tensor([2.+0.j])
    """
    radius, angle = floating(abs_), floating(angle)
    return torch.complex(radius * torch.cos(angle), radius * torch.sin(angle))
