"""`tf.random.Generator`, and functions that draw the same numbers for the same seed: `tf.random.stateless_*`.

The numbers are torch's: they are distributed as TensorFlow's, and are others.
"""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine.dtypes import torch_dtype
from lamella.errors import ArgumentError
from lamella.tensorflow_stand_in.tensors import sizes


class Generator:
    """Draws numbers that its seed determines, one after the other.

    Made by `Generator.from_seed(seed)` or `Generator.from_non_deterministic_state()`.

    Example:
        >>> generator = Generator.from_seed(1)
        >>> first, second = generator.normal([2]), generator.normal([2])
        >>> generator.reset_from_seed(1)
        >>> torch.equal(generator.normal([2]), first), torch.equal(first, second)
        (True, False)
    """

    def __init__(self, engine: torch.Generator) -> None:
        self._engine = engine

    @classmethod
    def from_seed(cls, seed: int, alg: Any = None) -> Generator:
        """A generator whose numbers are the same in each run. The algorithm is torch's, whatever `alg` says."""
        return cls(torch.Generator().manual_seed(int(seed)))

    @classmethod
    def from_non_deterministic_state(cls, alg: Any = None) -> Generator:
        """A generator whose numbers are others in each run."""
        engine = torch.Generator()
        engine.seed()
        return cls(engine)

    def reset_from_seed(self, seed: int) -> None:
        """Begins anew, as `from_seed` would."""
        self._engine.manual_seed(int(seed))

    def split(self, count: int = 1) -> list[Generator]:
        """So many further generators, whose seeds this one draws."""
        return [self.from_seed(int(seed)) for seed in torch.randint(2**62, (count,), generator=self._engine)]

    def normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = torch.float32, name: str | None = None
    ) -> torch.Tensor:
        """Numbers of a normal distribution."""
        return torch.randn(sizes(shape), dtype=torch_dtype(dtype), generator=self._engine) * stddev + mean

    def truncated_normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = torch.float32, name: str | None = None
    ) -> torch.Tensor:
        """Numbers of a normal distribution, none more than two deviations from the mean."""
        empty = torch.empty(sizes(shape), dtype=torch_dtype(dtype))
        return torch.nn.init.trunc_normal_(empty, a=-2.0, b=2.0, generator=self._engine) * stddev + mean

    def uniform(
        self, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = torch.float32, name: str | None = None
    ) -> torch.Tensor:
        """Numbers spread evenly from `minval` to `maxval` (excluded; 1 by default); whole ones for a whole type.

        Raises:
            ArgumentError: A whole type without `maxval`.
        """
        kind = torch_dtype(dtype)
        if kind.is_floating_point:
            highest = 1.0 if maxval is None else maxval
            return torch.rand(sizes(shape), dtype=kind, generator=self._engine) * (highest - minval) + minval
        if maxval is None:
            raise ArgumentError("Generator.uniform: whole numbers need `maxval`, the first one that is too large.")
        return torch.randint(int(minval), int(maxval), sizes(shape), dtype=kind, generator=self._engine)


_global: list[Generator] = []


def get_global_generator() -> Generator:
    """The generator of the whole program; it begins at random, unless `set_global_generator` gave another."""
    if not _global:
        _global.append(Generator.from_non_deterministic_state())
    return _global[0]


def set_global_generator(generator: Generator) -> None:
    """Makes this the generator of the whole program."""
    _global[:] = [generator]


def _of_seed(seed: Any) -> Generator:
    first, second = sizes(seed)
    return Generator.from_seed((first * 0x9E3779B97F4A7C15 + second) % 2**63)


def stateless_normal(
    shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = torch.float32, name: str | None = None
) -> torch.Tensor:
    """Numbers of a normal distribution, always the same for the two numbers of `seed`."""
    return _of_seed(seed).normal(shape, mean, stddev, dtype)


def stateless_truncated_normal(
    shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = torch.float32, name: str | None = None
) -> torch.Tensor:
    """Numbers of a normal distribution, none more than two deviations from the mean, always the same for `seed`."""
    return _of_seed(seed).truncated_normal(shape, mean, stddev, dtype)


def stateless_uniform(
    shape: Any, seed: Any, minval: Any = 0, maxval: Any = None, dtype: Any = torch.float32, name: str | None = None
) -> torch.Tensor:
    """Numbers spread evenly from `minval` to `maxval`, always the same for `seed`."""
    return _of_seed(seed).uniform(shape, minval, maxval, dtype)
