"""`tf.random`."""

from __future__ import annotations

from typing import Any

import torch

from lamella import random as _random
from lamella.engine.dtypes import torch_dtype
from lamella.engine.seed_generator import SeedGenerator
from lamella.tensorflow_stand_in.generators import (
    Generator,
    get_global_generator,
    set_global_generator,
    stateless_normal,
    stateless_truncated_normal,
    stateless_uniform,
)
from lamella.tensorflow_stand_in.tensors import convert_to_tensor, sizes
from lamella.utils import set_random_seed

__all__ = [
    "Generator",
    "categorical",
    "gamma",
    "get_global_generator",
    "normal",
    "set_global_generator",
    "set_seed",
    "shuffle",
    "stateless_normal",
    "stateless_truncated_normal",
    "stateless_uniform",
    "truncated_normal",
    "uniform",
]


def set_seed(seed: Any) -> None:
    """Seeds everything that draws, so that two runs on one machine are equal.

    Args:
        seed: A number of any size.
    """
    set_random_seed(int(seed) % 2**32)


_seeds: dict[int, SeedGenerator] = {}


def _drawn_by(seed: int | None) -> SeedGenerator | None:
    """An operation with a seed draws other numbers at each call, in the same order in each run."""
    return None if seed is None else _seeds.setdefault(seed, SeedGenerator(seed))


def normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = torch.float32,
    seed: int | None = None,
    name: str | None = None,
) -> Any:
    """Numbers of a normal distribution."""
    return _random.normal(sizes(shape), mean, stddev, dtype, _drawn_by(seed))


def truncated_normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = torch.float32,
    seed: int | None = None,
    name: str | None = None,
) -> Any:
    """Numbers of a normal distribution, none more than two deviations from the mean."""
    return _random.truncated_normal(sizes(shape), mean, stddev, dtype, _drawn_by(seed))


def uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = torch.float32,
    seed: int | None = None,
    name: str | None = None,
) -> Any:
    """Numbers spread evenly from `minval` to `maxval` (excluded; 1 by default); whole ones for a whole type."""
    if torch_dtype(dtype).is_floating_point:
        return _random.uniform(sizes(shape), minval, 1 if maxval is None else maxval, dtype, _drawn_by(seed))
    return _random.randint(sizes(shape), int(minval), int(maxval), dtype, _drawn_by(seed))


def gamma(
    shape: Any,
    alpha: Any,
    beta: Any = None,
    dtype: Any = torch.float32,
    seed: int | None = None,
    name: str | None = None,
) -> Any:
    """Numbers of gamma distributions: (*shape, *the shape that alpha and beta have together)."""
    alpha = convert_to_tensor(alpha).to(torch_dtype(dtype))
    beta = torch.ones((), dtype=alpha.dtype) if beta is None else convert_to_tensor(beta).to(alpha.dtype)
    alpha, beta = torch.broadcast_tensors(alpha, beta)
    return _random.gamma((*sizes(shape), *alpha.shape), alpha, dtype, _drawn_by(seed)) / beta


def categorical(
    logits: Any, num_samples: int, dtype: Any = torch.int64, seed: int | None = None, name: str | None = None
) -> Any:
    """Classes drawn by their logits (batch, classes): (batch, num_samples)."""
    return _random.categorical(convert_to_tensor(logits), num_samples, dtype, _drawn_by(seed))


def shuffle(value: Any, seed: int | None = None, name: str | None = None) -> Any:
    """The rows in a random order."""
    return _random.shuffle(convert_to_tensor(value), axis=0, seed=_drawn_by(seed))
