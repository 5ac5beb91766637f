"""What layers that slide a window over space share: the order of axes, window sizes, paddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.channels import channels_first, channels_last
from lamella.errors import ArgumentError, ShapeError
from lamella.layers.base import Layer
from lamella.layers.input_spec import check_input
from lamella.layers.reshaping import check_data_format


class SpatialLayer(Layer):
    """The base of layers over `rank` axes of space, in either data format.

    torch's kernels take (batch, channels, *space). `inward` gives them a view: an NHWC tensor so permuted *is*
    torch's channels_last format. A sequence becomes a picture of height 1: for pictures torch has channels_last
    kernels, for sequences it would copy.
    """

    rank: int

    def _set_data_format(self, data_format: str | None) -> None:
        self.data_format = check_data_format(self, data_format)
        self.channels_last = self.data_format == "channels_last"
        self._ndim = self.rank + 2
        last = max(self.rank, 2) + 1
        # For permute(*axes): torch reads a tuple of axes at half the speed.
        self._to_torch = (0, last, *range(1, last))
        self._from_torch = (0, *range(2, last + 1), 1)

    def inward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` in torch's order, (batch, channels, *space), with two axes of space at least. A view."""
        if self.channels_last:  # where permute itself refuses another rank
            if self.rank == 2:
                return channels_first(x)
            return (x.unsqueeze(1) if self.rank == 1 else x).permute(*self._to_torch)
        self.check_rank(x)
        return x.unsqueeze(2) if self.rank == 1 else x

    def outward(self, y: torch.Tensor) -> torch.Tensor:
        """The inverse of `inward`."""
        if self.channels_last:
            if self.rank == 2:
                return channels_last(y)
            y = y.permute(*self._from_torch)
            return y.squeeze(1) if self.rank == 1 else y
        return y.squeeze(2) if self.rank == 1 else y

    def check_rank(self, x: torch.Tensor) -> None:
        """Raises ShapeError for an input of another rank: some of torch's kernels would take it for one sample."""
        if x.ndim != self._ndim:
            check_input(self, x)

    def space_of(self, shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The part of a shape that is space."""
        return tuple(shape[1:-1] if self.channels_last else shape[2:])

    def check_fits(
        self, input_shape: Sequence[int | None], window: Sequence[int], dilation: Sequence[int] | None = None
    ) -> None:
        """Raises ShapeError where the window is larger than the input."""
        space = self.space_of(input_shape)
        reach = [(taps - 1) * spread + 1 for taps, spread in zip(window, dilation or [1] * self.rank, strict=True)]
        if any(size is not None and size < own for size, own in zip(space, reach, strict=True)):
            spread = f" that reaches over {tuple(reach)}" if tuple(reach) != tuple(window) else ""
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: a window of {tuple(window)}{spread} does not fit in an input of "
                f"size {space}. Use padding='same', a smaller window or fewer poolings before it."
            )


def lifted(values: tuple[int, ...], fill: int = 1) -> tuple[int, ...]:
    """What belongs to each axis of space, for a picture of height 1 where there is one axis only."""
    return (fill, *values) if len(values) == 1 else values


def volume_by_pictures(
    x: torch.Tensor,
    over_pictures: Callable[[torch.Tensor], torch.Tensor],
    over_depth: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """A pooling of volumes (batch, depth, height, width, channels) as two of pictures, each in torch's order.

    First each slice by itself, then the slices of each place as the rows of one column. Some of torch's kernels for
    volumes copy what is channels_last, and give back what is not; those for pictures do not, and take a quarter of
    the time.
    """
    batch, depth, height, width, channels = x.shape
    y = over_pictures(x.reshape(batch * depth, height, width, channels).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    height, width = y.shape[1:3]
    y = over_depth(y.reshape(batch, depth, height * width, channels).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return y.reshape(batch, y.shape[1], height, width, channels)


def padded(
    x: torch.Tensor, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> tuple[torch.Tensor, Any]:
    """`x` (batch, channels, *space) padded as `"same"` asks, and the symmetric padding that is left to do.

    `"same"` puts the odd pixel at the end; where that is needed, it is put there here.
    """
    before, after = same_padding(x.shape[2:], window, strides, dilation)
    return (x, tuple(before)) if before == after else (F.pad(x, both_sides(before, after)), 0)


def same_padding(
    space: Sequence[int], window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> tuple[list[int], list[int]]:
    """How much `"same"` pads before and after each axis."""
    before, after = [], []
    for size, taps, step, spread in zip(space, window, strides, dilation, strict=True):
        total = max((-(-size // step) - 1) * step + (taps - 1) * spread + 1 - size, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return before, after


def both_sides(before: Sequence[int], after: Sequence[int]) -> list[int]:
    """The padding as `torch.nn.functional.pad` wants it: from the last axis to the first."""
    return [side for pair in zip(reversed(before), reversed(after), strict=True) for side in pair]


def sizes(layer: Layer, name: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """`value` as a tuple of `rank` whole numbers, each `least` or more; one number stands for all."""
    values = (value,) * rank if isinstance(value, int) else tuple(value) if isinstance(value, (list, tuple)) else ()
    if len(values) != rank or any(isinstance(v, bool) or not isinstance(v, int) or v < least for v in values):
        kind = "a positive whole number" if least == 1 else f"a whole number of {least} or more"
        many = f" or a tuple with {'one' if rank == 1 else f'{rank} of them'}"
        raise ArgumentError(f"{type(layer).__name__} {layer.name!r}: `{name}` must be {kind}{many}; got {value!r}.")
    return values


def check_padding(layer: Layer, value: Any, allowed: Sequence[str] = ("valid", "same")) -> str:
    """`value` in lower case, if it is one of `allowed`."""
    lowered = value.lower() if isinstance(value, str) else value
    if lowered not in allowed:
        listed = ", ".join(map(repr, allowed[:-1])) + f" or {allowed[-1]!r}"
        raise ArgumentError(f"{type(layer).__name__} {layer.name!r}: `padding` must be {listed}; got {value!r}.")
    return lowered
