"""Pooling over windows: one number of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.channels import channels_first, channels_last
from lamella.errors import ShapeError
from lamella.layers.base import InputSpec, registry
from lamella.layers.windows import (
    SpatialLayer,
    both_sides,
    check_padding,
    lifted,
    same_padding,
    sizes,
    volume_by_pictures,
)

_LARGEST = {1: torch.max_pool2d, 2: torch.max_pool2d, 3: torch.max_pool3d}


class Pooling(SpatialLayer):
    """The base of poolings over windows of `rank` axes."""

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.pool_size = sizes(self, "pool_size", pool_size, self.rank)
        self.strides = sizes(self, "strides", pool_size if strides is None else strides, self.rank)
        self.padding = check_padding(self, padding)
        self._set_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self._window, self._steps = lifted(self.pool_size), lifted(self.strides)
        self._build_at_init()

    def _explained(self, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exception:
        shape = getattr(args[0] if args else None, "shape", ())
        if self.padding == "valid" and len(shape) == self._ndim:
            try:
                self.check_fits(shape, self.pool_size)
            except ShapeError as clear:
                clear.__cause__ = error
                return clear
        return super()._explained(error, args, kwargs)

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        """The formula, on (batch, channels, *space)."""
        raise NotImplementedError

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.channels_last and self.rank == 2:  # what `inward` and `outward` do, without the calls
            return channels_last(self.pool(channels_first(inputs)))
        return self.outward(self.pool(self.inward(inputs)))


class _MaxPooling(Pooling):
    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)
        self._largest = _LARGEST[self.rank]

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        if self.padding == "valid":
            return self._largest(x, self._window, self._steps)
        before, after = margins(x, self._window, self._steps)
        if after:
            x, before = F.pad(x, both_sides(before, after), value=float("-inf")), [0]
        return self._largest(x, self._window, self._steps, before, 1, not after)


class _AveragePooling(Pooling):
    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().call(self._in_floats(inputs))

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        if self.padding == "valid" and x.ndim == 4:
            return F.avg_pool2d(x, self._window, self._steps)
        return averaged(x, self._window, self._steps, self.padding)


def averaged(x: torch.Tensor, window: tuple[int, ...], steps: tuple[int, ...], padding: str) -> torch.Tensor:
    """The mean of each window of `x` (batch, channels, *space); of a window that hangs over, of what lies inside."""
    mean = F.avg_pool2d if len(window) == 2 else F.avg_pool3d
    if padding == "valid":
        return mean(x, window, steps)
    before, after = margins(x, window, steps)
    if not after:
        return mean(x, window, steps, before, True, False)
    ends = both_sides(before, after)
    total = mean(F.pad(x, ends), window, steps)
    if x.is_meta:  # torch would load its compiler, most of a second, for the shape of a quotient
        return total
    inside = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
    return total / mean(F.pad(inside, ends), window, steps)


def margins(x: torch.Tensor, window: Sequence[int], steps: Sequence[int]) -> tuple[list[int], list[int]]:
    """What `"same"` pads before, and after: the latter is empty where torch's kernels can do both by themselves.

    In their ceil mode the last window may hang over the end, and what hangs over is left out. Only with a step of 1
    they do not let the odd place hang over.
    """
    before, after = same_padding(x.shape[2:], window, steps, (1,) * len(window))
    uneven = any(b != a and s == 1 for b, a, s in zip(before, after, steps, strict=True))
    return before, after if uneven else []


@registry.register("MaxPool1D")
class MaxPooling1D(_MaxPooling):
    """The largest number of each window of a sequence.

    Args:
        pool_size: The length of the window.
        strides: Its step; the window's length by default.
        padding: `"valid"`, or `"same"` (then the output has length ceil(input / strides)).
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        name: A unique name.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank, or shorter than the window.

    Example:
        >>> import torch
        >>> from lamella.layers import MaxPooling1D
        >>> MaxPooling1D(2)(torch.tensor([[[1.0], [3.0], [2.0], [0.0]]])).flatten()
        tensor([3., 2.])
    """

    rank = 1


@registry.register("MaxPool2D")
class MaxPooling2D(_MaxPooling):
    """The largest number of each window of a picture.

    Args:
        pool_size: The window, (height, width) or one number.
        strides: Its step; the window's size by default.
        padding: `"valid"`, or `"same"` (then the output has size ceil(input / strides)).
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        name: A unique name.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank, or smaller than the window.

    Example:
        >>> import torch
        >>> from lamella.layers import MaxPooling2D
        >>> MaxPooling2D()(torch.ones(1, 28, 28, 8)).shape
        torch.Size([1, 14, 14, 8])
    """

    rank = 2


@registry.register("MaxPool3D")
class MaxPooling3D(_MaxPooling):
    """The largest number of each window of a volume.

    Args:
        pool_size: The window, (depth, height, width) or one number.
        strides: Its step; the window's size by default.
        padding: `"valid"`, or `"same"` (then the output has size ceil(input / strides)).
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        name: A unique name.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank, or smaller than the window.

    Example:
        >>> import torch
        >>> from lamella.layers import MaxPooling3D
        >>> MaxPooling3D()(torch.ones(1, 4, 28, 28, 8)).shape
        torch.Size([1, 2, 14, 14, 8])
    """

    rank = 3


@registry.register("AvgPool1D")
class AveragePooling1D(_AveragePooling):
    """The mean of each window of a sequence (of the part of it that lies in the sequence).

    Args:
        pool_size: The length of the window.
        strides: Its step; the window's length by default.
        padding: `"valid"`, or `"same"` (then the output has length ceil(input / strides)).
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        name: A unique name.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank, or shorter than the window.

    Example:
        >>> import torch
        >>> from lamella.layers import AveragePooling1D
        >>> AveragePooling1D(2, padding="same")(torch.tensor([[[1.0], [3.0], [5.0]]])).flatten()
        tensor([2., 5.])
    """

    rank = 1


@registry.register("AvgPool2D")
class AveragePooling2D(_AveragePooling):
    """The mean of each window of a picture (of the part of it that lies in the picture).

    Args:
        pool_size: The window, (height, width) or one number.
        strides: Its step; the window's size by default.
        padding: `"valid"`, or `"same"` (then the output has size ceil(input / strides)).
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        name: A unique name.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank, or smaller than the window.

    Example:
        >>> import torch
        >>> from lamella.layers import AveragePooling2D
        >>> AveragePooling2D(2)(torch.ones(1, 28, 28, 8)).shape
        torch.Size([1, 14, 14, 8])
    """

    rank = 2


@registry.register("AvgPool3D")
class AveragePooling3D(_AveragePooling):
    """The mean of each window of a volume (of the part of it that lies in the volume).

    Args:
        pool_size: The window, (depth, height, width) or one number.
        strides: Its step; the window's size by default.
        padding: `"valid"`, or `"same"` (then the output has size ceil(input / strides)).
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        name: A unique name.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank, or smaller than the window.

    Example:
        >>> import torch
        >>> from lamella.layers import AveragePooling3D
        >>> AveragePooling3D(2)(torch.ones(1, 4, 28, 28, 8)).shape
        torch.Size([1, 2, 14, 14, 8])
    """

    rank = 3

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if not self.channels_last:
            return super().call(inputs)
        self.check_rank(inputs)
        window, steps = self.pool_size, self.strides
        return volume_by_pictures(
            self._in_floats(inputs),
            lambda x: averaged(x, window[1:], steps[1:], self.padding),
            lambda x: averaged(x, (window[0], 1), (steps[0], 1), self.padding),
        )


MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
