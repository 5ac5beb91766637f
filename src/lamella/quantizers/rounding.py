"""Numbers rounded to whole ones of 8 or 4 bits, with a scale that brings them back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from lamella.engine.dtypes import torch_dtype
from lamella.engine.registry import Registry
from lamella.errors import ArgumentError

registry = Registry("quantizer", "keras.quantizers")

_EPSILON = 1e-7


def abs_max_quantize(
    inputs: Any,
    axis: int | Sequence[int],
    value_range: Sequence[float] = (-127, 127),
    dtype: str = "int8",
    epsilon: float = _EPSILON,
    to_numpy: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """round(inputs * scale), where the scale brings the largest number along `axis` to the end of the range.

    Args:
        inputs: Floating-point numbers.
        axis: The axis (or axes) along which all share one scale.
        value_range: The smallest and the largest whole number.
        dtype: The type of the result.
        epsilon: Added to the largest number, which may be 0.
        to_numpy: Kept for Keras's signature: nothing larger than the inputs is made.

    Returns:
        The whole numbers, and the scale, with axes of size 1 where all share it: inputs = numbers / scale.

    Example:
        >>> numbers, scale = abs_max_quantize(torch.tensor([[0.5, -1.0]]), axis=-1)
        >>> numbers.tolist(), round(scale.item(), 3)
        ([[63, -127]], 127.0)
    """
    x = torch.as_tensor(inputs)
    low, high = value_range
    axes = [axis] if isinstance(axis, int) else list(axis)
    scale = high / (x.abs().amax(axes, keepdim=True) + epsilon)
    return (x * scale).round_().clamp_(low, high).to(torch_dtype(dtype)), scale


def abs_max_quantize_grouped_with_zero_point(
    inputs: Any,
    block_size: int,
    value_range: Sequence[int] = (-8, 7),
    dtype: str = "int8",
    epsilon: float = _EPSILON,
    to_numpy: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """round(inputs / scale) + zero point, with a scale and a zero point for each group of rows in each column.

    Args:
        inputs: Floating-point numbers of shape (rows, columns).
        block_size: The number of rows in a group.
        value_range: The smallest and the largest whole number.
        dtype: The type of the result.
        epsilon: Added to the width of a group's range, which may be 0.
        to_numpy: Kept for Keras's signature.

    Returns:
        The whole numbers (rows, columns), and scale and zero point (groups, columns), the zero point in int8.

    Raises:
        ArgumentError: Inputs that are no matrix, or a `block_size` below 1.

    Example:
        >>> numbers, scale, zero = abs_max_quantize_grouped_with_zero_point(torch.linspace(0, 3, 4).view(4, 1), 2)
        >>> numbers.flatten().tolist(), zero.flatten().tolist()
        ([-8, 7, 7, 7], [-8, -8])
    """
    x = torch.as_tensor(inputs)
    if x.ndim != 2 or block_size < 1:
        raise ArgumentError(
            f"Groups of rows need a matrix and a block_size of 1 or more; got shape {tuple(x.shape)} and {block_size}."
        )
    low, high = value_range
    rows, columns = x.shape
    groups = math.ceil(rows / block_size)
    filled = torch.nn.functional.pad(x, (0, 0, 0, groups * block_size - rows)).view(groups, block_size, columns)
    least, most = filled.amin(1, keepdim=True), filled.amax(1, keepdim=True)
    scale = (most - least + epsilon) / (high - low)
    zero = ((-least / scale).round() + low).clamp_(low, high)
    numbers = ((filled / scale).round_() + zero).clamp_(low, high).to(torch_dtype(dtype))
    return numbers.view(-1, columns)[:rows], scale.squeeze(1), zero.squeeze(1).to(torch.int8)


def from_groups(
    numbers: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor, group: torch.Tensor, axis: int
) -> torch.Tensor:
    """(numbers - zero) * scale, in the scale's type, where `group` tells the group of each place along `axis`."""
    places = group.to(torch.int64)
    scale, zero = scale.index_select(axis, places), zero.index_select(axis, places)
    return (numbers.to(scale.dtype) - zero.to(scale.dtype)) * scale


def from_blocks(numbers: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor, axis: int) -> torch.Tensor:
    """The same where the groups are neighbours and of one size."""
    axis %= numbers.ndim
    parts = numbers.unflatten(axis, (scale.shape[axis], -1)).to(scale.dtype)
    return parts.sub_(zero.unsqueeze(axis + 1)).mul_(scale.unsqueeze(axis + 1)).flatten(axis, axis + 1)


@registry.register()
class Quantizer:
    """The base of quantizers: subclasses write `__call__`, which gives whole numbers and their scale.

    Args:
        output_dtype: The type of the whole numbers.
    """

    def __init__(self, output_dtype: str = "int8") -> None:
        self.output_dtype = output_dtype

    def __call__(self, x: Any) -> Any:
        """`x` as it is."""
        return x

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this quantizer again."""
        raise NotImplementedError(f"{type(self).__name__} has no get_config(): write it.")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Quantizer:
        """The quantizer that `get_config` described."""
        return cls(**config)


@registry.register()
class AbsMaxQuantizer(Quantizer):
    """`abs_max_quantize` as an object.

    Args:
        axis: The axis (or axes) along which all share one scale; the last by default.
        value_range: The smallest and the largest whole number.
        epsilon: Added to the largest number, which may be 0.
        output_dtype: The type of the whole numbers.

    Raises:
        ArgumentError: A range that int8 does not have.

    Example:
        >>> numbers, scale = AbsMaxQuantizer()(torch.tensor([[0.5, -1.0]]))
        >>> numbers.tolist()
        [[63, -127]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = None,
        value_range: Sequence[float] = (-127, 127),
        epsilon: float = _EPSILON,
        output_dtype: str = "int8",
    ) -> None:
        super().__init__(output_dtype)
        self.axis = None if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.value_range = tuple(value_range)
        self.epsilon = epsilon
        if output_dtype == "int8" and (value_range[0] < -128 or value_range[1] > 127):
            raise ArgumentError(f"`value_range` must lie in int8's from -128 to 127; got {tuple(value_range)}.")

    def __call__(
        self, x: Any, axis: int | Sequence[int] | None = None, to_numpy: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The whole numbers and the scale; `axis` counts before that of the quantizer."""
        along = axis if axis is not None else self.axis if self.axis is not None else -1
        return abs_max_quantize(x, along, self.value_range, self.output_dtype, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        config = {"value_range": self.value_range, "epsilon": self.epsilon, "output_dtype": self.output_dtype}
        return config if self.axis is None else config | {"axis": self.axis}


__all__ = [
    "AbsMaxQuantizer",
    "Quantizer",
    "abs_max_quantize",
    "abs_max_quantize_grouped_with_zero_point",
    "from_blocks",
    "from_groups",
    "registry",
]
