"""Initializers whose variance depends on how many inputs and outputs a unit has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.initializers.base import registry
from lamella.initializers.random import Seeded, empty, truncated_normal

# The standard deviation of a standard normal cut off at -2 and 2.
_TRUNCATED_STDDEV = 0.87962566103423978


@registry.register()
class VarianceScaling(Seeded):
    """Random values whose variance is `scale` / n, so that signals neither fade nor grow through layers.

    n is the number of inputs of a unit (`fan_in`), of outputs (`fan_out`), or their mean (`fan_avg`).

    Args:
        scale: A positive number.
        mode: `"fan_in"`, `"fan_out"` or `"fan_avg"`.
        distribution: `"truncated_normal"` (or `"normal"`), `"untruncated_normal"` or `"uniform"`.
        seed: An integer for the same values at each call.
        input_axes: The axes that count as inputs, where the kernel is no dense or convolution kernel.
        output_axes: The axes that count as outputs; without effect unless both are given.

    Raises:
        ArgumentError: A scale that is not positive, an unknown mode or distribution.

    Source: Glorot and Bengio, 2010; He et al., 2015.

    Example:
        >>> w = VarianceScaling(2.0, "fan_in", "untruncated_normal", seed=0)((1000, 100))
        >>> round(float(w.var() * 1000), 1)
        2.0
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        if scale <= 0.0:
            raise ArgumentError(f"scale must be positive; got {scale}.")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ArgumentError(f"mode must be 'fan_in', 'fan_out' or 'fan_avg'; got {mode!r}.")
        distribution = distribution.lower()
        if distribution == "normal":
            distribution = "truncated_normal"
        if distribution not in ("uniform", "truncated_normal", "untruncated_normal"):
            raise ArgumentError(
                f"distribution must be 'uniform', 'truncated_normal' or 'untruncated_normal'; got {distribution!r}."
            )
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.input_axes = input_axes
        self.output_axes = output_axes
        self._set_seed(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return empty(shape, dtype).uniform_(-limit, limit, generator=self._generator())
        stddev = math.sqrt(variance)
        if self.distribution == "untruncated_normal":
            return empty(shape, dtype).normal_(0.0, stddev, generator=self._generator())
        return truncated_normal(shape, 0.0, stddev / _TRUNCATED_STDDEV, dtype, self._generator())


class _Scaled(VarianceScaling):
    """A variance scaling that goes by a name of its own: only the seed is left to choose."""

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        scale, mode, distribution = self._settings
        super().__init__(scale, mode, distribution, seed, input_axes, output_axes)

    _settings: tuple[float, str, str]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {name: config[name] for name in ("seed", "input_axes", "output_axes")}


@registry.register()
class GlorotUniform(_Scaled):
    """Uniform within sqrt(6 / (fan_in + fan_out)): for tanh and linear layers (Glorot and Bengio, 2010).

    Example:
        >>> bool(GlorotUniform(seed=0)((3, 3)).abs().max() <= 1.0)
        True
    """

    _settings = (1.0, "fan_avg", "uniform")


@registry.register()
class GlorotNormal(_Scaled):
    """Truncated normal of variance 2 / (fan_in + fan_out) (Glorot and Bengio, 2010).

    Example:
        >>> GlorotNormal(seed=0)((3, 4)).shape
        torch.Size([3, 4])
    """

    _settings = (1.0, "fan_avg", "truncated_normal")


@registry.register()
class HeUniform(_Scaled):
    """Uniform within sqrt(6 / fan_in): for relu layers (He et al., 2015).

    Example:
        >>> bool(HeUniform(seed=0)((6, 3)).abs().max() <= 1.0)
        True
    """

    _settings = (2.0, "fan_in", "uniform")


@registry.register()
class HeNormal(_Scaled):
    """Truncated normal of variance 2 / fan_in: for relu layers (He et al., 2015).

    Example:
        >>> HeNormal(seed=0)((3, 4)).shape
        torch.Size([3, 4])
    """

    _settings = (2.0, "fan_in", "truncated_normal")


@registry.register()
class LecunUniform(_Scaled):
    """Uniform within sqrt(3 / fan_in) (LeCun et al., 1998).

    Example:
        >>> bool(LecunUniform(seed=0)((3, 3)).abs().max() <= 1.0)
        True
    """

    _settings = (1.0, "fan_in", "uniform")


@registry.register()
class LecunNormal(_Scaled):
    """Truncated normal of variance 1 / fan_in: for selu layers (Klambauer et al., 2017).

    Example:
        >>> LecunNormal(seed=0)((3, 4)).shape
        torch.Size([3, 4])
    """

    _settings = (1.0, "fan_in", "truncated_normal")


def compute_fans(
    shape: Sequence[int],
    input_axes: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
) -> tuple[int, int]:
    """The number of inputs and of outputs of one unit of a kernel.

    A vector counts as both; a matrix is (in, out); a convolution kernel is (*window, in, out). Where both
    `input_axes` and `output_axes` are given, they alone count.

    Example:
        >>> compute_fans((3, 3, 16, 32))
        (144, 288)
    """
    shape = tuple(shape)
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if len(shape) == 0:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]
