"""Layers that make space larger by a whole factor, without weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import ArgumentError
from lamella.layers.base import InputSpec, registry
from lamella.layers.dense import positive_int
from lamella.layers.windows import SpatialLayer, lifted, sizes

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


class UpSampling(SpatialLayer):
    """The base of layers that repeat everything along `rank` axes."""

    def _set_size(self, size: tuple[int, ...], data_format: str | None) -> None:
        self._set_data_format(data_format)
        self._factors = lifted(size)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self._build_at_init()

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.outward(repeated(self.inward(inputs), self._factors))


@registry.register()
class UpSampling1D(UpSampling):
    """Each step of a sequence, `size` times.

    Args:
        size: How many times.
        **kwargs: As for every layer.

    Shapes: (batch, steps, channels) -> (batch, steps * size, channels).

    Raises:
        ArgumentError: `size` is not a positive whole number.
        ShapeError: An input of another rank.

    Example:
        >>> import torch
        >>> from lamella.layers import UpSampling1D
        >>> UpSampling1D(2)(torch.tensor([[[1.0], [3.0]]])).flatten()
        tensor([1., 1., 3., 3.])
    """

    rank = 1

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = positive_int(self, "size", size)
        self._set_size((self.size,), "channels_last")


@registry.register()
class UpSampling2D(UpSampling):
    """A picture made larger by a whole factor.

    Args:
        size: The factors (rows, columns), or one number for both.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        interpolation: What lies between the pixels: `"nearest"` (each pixel repeated), `"bilinear"`, `"bicubic"`,
            `"lanczos3"` or `"lanczos5"`.
        **kwargs: As for every layer.

    Shapes: (batch, height, width, channels) -> (batch, height * size[0], width * size[1], channels).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank.

    Source: bicubic, Keys, 1981, with a = -0.75 as in torch; Lanczos, Duchon, 1979.

    Example:
        >>> import torch
        >>> from lamella.layers import UpSampling2D
        >>> UpSampling2D((1, 2), interpolation="bilinear")(torch.tensor([[[[1.0], [3.0]]]])).flatten()
        tensor([1.0000, 1.5000, 2.5000, 3.0000])
    """

    rank = 2

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = sizes(self, "size", size, 2)
        self.interpolation = interpolation.lower() if isinstance(interpolation, str) else interpolation
        if self.interpolation not in INTERPOLATIONS:
            raise ArgumentError(
                f"UpSampling2D {self.name!r}: `interpolation` must be one of {', '.join(map(repr, INTERPOLATIONS))}; "
                f"got {interpolation!r}."
            )
        self._set_size(self.size, data_format)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.interpolation == "nearest":
            return super().call(inputs)
        x = self.inward(inputs)
        if x.is_meta:  # torch would load its compiler, most of a second, for the shape alone
            return self.outward(repeated(x, self.size))
        return self.outward(interpolated(x, self.size, self.interpolation))


@registry.register()
class UpSampling3D(UpSampling):
    """Each place of a volume, repeated along every axis.

    Args:
        size: The factors (depth, rows, columns), or one number for all.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Shapes: (batch, depth, height, width, channels) -> the same with space times `size`.

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank.

    Example:
        >>> import torch
        >>> from lamella.layers import UpSampling3D
        >>> UpSampling3D((1, 2, 3))(torch.ones(1, 4, 4, 4, 8)).shape
        torch.Size([1, 4, 8, 12, 8])
    """

    rank = 3

    def __init__(self, size: int | Sequence[int] = (2, 2, 2), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = sizes(self, "size", size, 3)
        self._set_size(self.size, data_format)


def repeated(x: torch.Tensor, factors: Sequence[int]) -> torch.Tensor:
    """`x` (batch, channels, *space) with each place repeated along every axis of space."""
    if x.is_meta:
        return x.new_empty([*x.shape[:2], *(size * by for size, by in zip(x.shape[2:], factors, strict=True))])
    if not x.is_floating_point():
        for axis, factor in enumerate(factors, start=2):
            x = x.repeat_interleave(factor, dim=axis)
        return x
    # "nearest" multiplies by a rounded 1 / factor and can miss by one; "nearest-exact" looks half a place further.
    return F.interpolate(x, [size * by for size, by in zip(x.shape[2:], factors, strict=True)], mode="nearest-exact")


def interpolated(x: torch.Tensor, factors: Sequence[int], interpolation: str) -> torch.Tensor:
    """Pictures `x` (batch, channels, height, width) made larger; whole numbers are rounded back to whole numbers."""
    if not x.is_floating_point():
        y = interpolated(x.to(torch.float32), factors, interpolation).round_()
        kind = torch.iinfo(x.dtype)
        return y.clamp_(kind.min, kind.max).to(x.dtype)
    size = [size * by for size, by in zip(x.shape[2:], factors, strict=True)]
    if interpolation in ("bilinear", "bicubic"):
        return F.interpolate(x, size, mode=interpolation, align_corners=False)
    radius = int(interpolation.removeprefix("lanczos"))
    rows, columns = (
        lanczos_weights(own, by, radius).to(x.device, x.dtype) for own, by in zip(x.shape[2:], factors, strict=True)
    )
    return torch.einsum("bchw,yh,xw->bcyx", x, rows, columns)


def lanczos_weights(size: int, factor: int, radius: int) -> torch.Tensor:
    """(size * factor, size): what each input adds to each output; every row adds up to 1, at the edges too."""
    places = (torch.arange(size * factor, dtype=torch.float64) + 0.5) / factor - 0.5
    distance = places.unsqueeze(1) - torch.arange(size, dtype=torch.float64)
    weights = torch.sinc(distance) * torch.sinc(distance / radius)
    weights = weights.masked_fill(distance.abs() > radius, 0.0)
    return weights / weights.sum(dim=1, keepdim=True)
