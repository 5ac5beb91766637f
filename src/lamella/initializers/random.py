"""Initializers that draw each value by itself, or a matrix at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lamella.engine.dtypes import torch_dtype
from lamella.engine.random import generator
from lamella.engine.seed_generator import SeedGenerator, torch_generator
from lamella.errors import ArgumentError, ShapeError
from lamella.initializers.base import Initializer, registry


class Seeded(Initializer):
    """What the random initializers share: the seed."""

    seed: int | SeedGenerator | None

    def _set_seed(self, seed: Any) -> None:
        if isinstance(seed, dict):  # a SeedGenerator's config
            seed = SeedGenerator.from_config(seed["config"])
        if seed is not None and not isinstance(seed, (int, np.integer, SeedGenerator)):
            raise ArgumentError(
                f"The seed of {type(self).__name__} must be an integer, a SeedGenerator or None; got {seed!r}."
            )
        self.seed = seed if seed is None or isinstance(seed, SeedGenerator) else int(seed)

    def _generator(self) -> torch.Generator | None:
        return torch_generator(self.seed) if isinstance(self.seed, SeedGenerator) else generator(self.seed)


@registry.register("normal")
class RandomNormal(Seeded):
    """Normal values with a mean and a standard deviation.

    Example:
        >>> bool(RandomNormal(mean=5.0, stddev=0.1, seed=0)((1000,)).mean().sub(5).abs() < 0.02)
        True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean = mean
        self.stddev = stddev
        self._set_seed(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return empty(shape, dtype).normal_(self.mean, self.stddev, generator=self._generator())


@registry.register()
class TruncatedNormal(Seeded):
    """Normal values, those beyond two standard deviations drawn again.

    Example:
        >>> bool(TruncatedNormal(stddev=1.0, seed=0)((1000,)).abs().max() <= 2.0)
        True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean = mean
        self.stddev = stddev
        self._set_seed(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return truncated_normal(shape, self.mean, self.stddev, dtype, self._generator())


@registry.register("uniform")
class RandomUniform(Seeded):
    """Uniform values in [minval, maxval).

    Example:
        >>> bool(RandomUniform(0.0, 1.0, seed=0)((1000,)).min() >= 0)
        True
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        self.minval = minval
        self.maxval = maxval
        self._set_seed(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return empty(shape, dtype).uniform_(self.minval, self.maxval, generator=self._generator())


@registry.register("OrthogonalInitializer")
class Orthogonal(Seeded):
    """A random matrix with orthonormal rows or columns (whichever are fewer), times `gain`.

    Raises:
        ShapeError: A shape of fewer than two dimensions. Further dimensions are flattened into the rows.

    Source: Saxe et al., 2014.

    Example:
        >>> q = Orthogonal(seed=0)((4, 4))
        >>> torch.allclose(q @ q.T, torch.eye(4), atol=1e-5)
        True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain = gain
        self._set_seed(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        if len(shape) < 2:
            raise ShapeError(f"Orthogonal makes matrices: expected two dimensions or more, got {tuple(shape)}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        flat = empty((max(rows, columns), min(rows, columns)), drawn_as(dtype)).normal_(generator=self._generator())
        q, r = torch.linalg.qr(flat)
        q = q * torch.sign(torch.diagonal(r))  # makes the decomposition, and so the distribution, unique
        if rows < columns:
            q = q.T
        return (self.gain * q.reshape(tuple(shape))).to(torch_dtype(dtype))


def empty(shape: Sequence[int], dtype: Any) -> torch.Tensor:
    """A tensor to be filled."""
    return torch.empty(tuple(shape), dtype=torch_dtype(dtype))


def drawn_as(dtype: Any) -> torch.dtype:
    """The data type to draw in: half precision is too coarse to compute in."""
    return torch.float64 if torch_dtype(dtype) is torch.float64 else torch.float32


def truncated_normal(
    shape: Sequence[int], mean: float, stddev: float, dtype: Any, source: torch.Generator | None
) -> torch.Tensor:
    """Values of a normal distribution that is cut off two standard deviations from its mean."""
    # By the inverse of the distribution function: one pass, nothing drawn twice.
    bound = math.erf(2 / math.sqrt(2))
    values = empty(shape, drawn_as(dtype)).uniform_(-bound, bound, generator=source)
    values = values.erfinv_().mul_(math.sqrt(2)).clamp_(-2.0, 2.0).mul_(stddev).add_(mean)
    return values.to(torch_dtype(dtype))
