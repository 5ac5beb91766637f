"""Zeros put around space, and the edge of space cut away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import ArgumentError, ShapeError
from lamella.layers.base import InputSpec, Layer, registry
from lamella.layers.windows import SpatialLayer, both_sides, sizes

Sides = int | Sequence[int | Sequence[int]]


class _Padding(SpatialLayer):
    def __init__(self, padding: Sides = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_data_format(data_format)
        self.padding = pairs(self, "padding", padding, self.rank)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        each = by_axis(self.padding, self.rank)
        ends = both_sides([before for before, _ in each], [after for _, after in each])
        self._ends = [0, 0, *ends] if self.channels_last else ends
        self._build_at_init()

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        self.check_rank(inputs)
        return F.pad(inputs, self._ends)


@registry.register()
class ZeroPadding1D(_Padding):
    """Zeros before and after a sequence.

    Args:
        padding: How many on both ends, or (before, after).
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank.

    Example:
        >>> import torch
        >>> from lamella.layers import ZeroPadding1D
        >>> ZeroPadding1D((2, 1))(torch.ones(1, 3, 1)).flatten()
        tensor([0., 0., 1., 1., 1., 0.])
    """

    rank = 1


@registry.register()
class ZeroPadding2D(_Padding):
    """Zeros around a picture.

    Args:
        padding: How many on every side, or (rows, columns), or ((top, bottom), (left, right)).
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank.

    Example:
        >>> import torch
        >>> from lamella.layers import ZeroPadding2D
        >>> ZeroPadding2D(((0, 1), (2, 2)))(torch.ones(1, 4, 4, 3)).shape
        torch.Size([1, 5, 8, 3])
    """

    rank = 2


@registry.register()
class ZeroPadding3D(_Padding):
    """Zeros around a volume.

    Args:
        padding: How many on every side, or one number for each axis, or (before, after) for each axis.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank.

    Example:
        >>> import torch
        >>> from lamella.layers import ZeroPadding3D
        >>> ZeroPadding3D((1, 2, 0))(torch.ones(1, 4, 4, 4, 3)).shape
        torch.Size([1, 6, 8, 4, 3])
    """

    rank = 3


class _Cropping(SpatialLayer):
    cropping: tuple[Any, ...]

    def _set_cropping(self, cropping: Sides, data_format: str | None) -> None:
        self._set_data_format(data_format)
        self.cropping = pairs(self, "cropping", cropping, self.rank)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self._each = by_axis(self.cropping, self.rank)
        kept = tuple(slice(before, -after or None) for before, after in self._each)
        self._kept = (slice(None), *kept) if self.channels_last else (slice(None), slice(None), *kept)
        self._build_at_init()

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        self.check_rank(inputs)
        space = self.space_of(inputs.shape)
        for size, cut in zip(space, self._each, strict=True):
            if size is not None and size <= sum(cut):
                raise ShapeError(
                    f"{type(self).__name__} {self.name!r}: `cropping` {self.cropping} leaves nothing of an input of "
                    f"size {space}. Cut less, or fewer times."
                )
        return inputs[self._kept]


@registry.register()
class Cropping1D(_Cropping):
    """A sequence without its first and last steps.

    Args:
        cropping: How many are cut from both ends, or (first, last).
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank, or one of which nothing would be left.

    Example:
        >>> import torch
        >>> from lamella.layers import Cropping1D
        >>> Cropping1D((1, 0))(torch.arange(3.0).reshape(1, 3, 1)).flatten()
        tensor([1., 2.])
    """

    rank = 1

    def __init__(self, cropping: int | Sequence[int] = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_cropping(cropping, "channels_last")


@registry.register()
class Cropping2D(_Cropping):
    """A picture without its edge.

    Args:
        cropping: How many pixels are cut from every side, or (rows, columns), or ((top, bottom), (left, right)).
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank, or one of which nothing would be left.

    Example:
        >>> import torch
        >>> from lamella.layers import Cropping2D
        >>> Cropping2D(((1, 0), (2, 2)))(torch.ones(1, 8, 8, 3)).shape
        torch.Size([1, 7, 4, 3])
    """

    rank = 2

    def __init__(self, cropping: Sides = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_cropping(cropping, data_format)


@registry.register()
class Cropping3D(_Cropping):
    """A volume without its edge.

    Args:
        cropping: How much is cut from every side, or one number for each axis, or (before, after) for each axis.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank, or one of which nothing would be left.

    Example:
        >>> import torch
        >>> from lamella.layers import Cropping3D
        >>> Cropping3D(1)(torch.ones(1, 4, 6, 8, 3)).shape
        torch.Size([1, 2, 4, 6, 3])
    """

    rank = 3

    def __init__(
        self, cropping: Sides = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._set_cropping(cropping, data_format)


def pairs(layer: Layer, name: str, value: Any, rank: int) -> tuple[Any, ...]:
    """`value` as Keras keeps it: (before, after) for a sequence, a tuple of `rank` such pairs for more axes."""
    if rank == 1:
        return sizes(layer, name, value, 2, least=0)
    if isinstance(value, int):
        return (sizes(layer, name, value, 2, least=0),) * rank
    if not isinstance(value, (list, tuple)) or len(value) != rank:
        raise ArgumentError(
            f"{type(layer).__name__} {layer.name!r}: `{name}` must be a whole number, {rank} of them, or {rank} pairs "
            f"(before, after); got {value!r}."
        )
    return tuple(sizes(layer, name, own, 2, least=0) for own in value)


def by_axis(value: tuple[Any, ...], rank: int) -> tuple[tuple[int, int], ...]:
    """A pair for each axis of space."""
    return (value,) if rank == 1 else value  # type: ignore[return-value]
