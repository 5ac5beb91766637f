"""Random numbers with Keras's seeds.

A `seed` is an integer (the same numbers at each call), a `SeedGenerator` (others at each call, the same
sequence for the same generator) or None (torch's global generator, which `set_random_seed` seeds).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.device import default_device
from lamella.engine.on_meta import on_meta
from lamella.engine.registry import Registry
from lamella.engine.seed_generator import SeedGenerator, torch_generator
from lamella.errors import ArgumentError
from lamella.ops.base import as_dtype, floatx, recorded, tensor

__all__ = [
    "SeedGenerator",
    "beta",
    "binomial",
    "categorical",
    "dropout",
    "gamma",
    "normal",
    "randint",
    "shuffle",
    "truncated_normal",
    "uniform",
]

_registry = Registry("random op", "keras.random")
_registry.register()(SeedGenerator)  # it is below the rooms that have names
_random = recorded(_registry)


def _place() -> torch.device:
    """Where numbers are drawn: nowhere (on meta) while a model's shapes are found."""
    return torch.device("meta") if on_meta() else default_device()


def _float(name: str, dtype: Any) -> torch.dtype:
    kind = as_dtype(dtype)
    if not kind.is_floating_point:
        raise ArgumentError(f"random.{name} draws floats; got dtype={dtype!r}. Use random.randint for whole numbers.")
    return kind


def _empty(shape: Any, kind: torch.dtype) -> torch.Tensor:
    return torch.empty((shape,) if isinstance(shape, int) else tuple(shape), dtype=kind, device=_place())


@_random
def normal(
    shape: Sequence[int], mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
) -> torch.Tensor:
    """Numbers of a normal distribution.

    Args:
        shape: The shape.
        mean: The mean.
        stddev: The standard deviation.
        dtype: A float type; `floatx()` by default.
        seed: An integer, a `SeedGenerator` or None.

    Raises:
        ArgumentError: A type that is no float type.

    Example:
        >>> bool((normal((2,), seed=1) == normal((2,), seed=1)).all())
        True
    """
    found = _empty(shape, _float("normal", dtype))
    found.normal_(generator=torch_generator(seed, found.device))
    return found * stddev + mean


@_random
def uniform(
    shape: Sequence[int], minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None
) -> torch.Tensor:
    """Numbers spread evenly from `minval` to `maxval` (excluded).

    Args:
        shape: The shape.
        minval: The least.
        maxval: The bound above.
        dtype: A float type; `floatx()` by default.
        seed: An integer, a `SeedGenerator` or None.

    Raises:
        ArgumentError: A type that is no float type.

    Example:
        >>> bool((uniform((100,), 2.0, 3.0, seed=1) >= 2).all())
        True
    """
    found = _empty(shape, _float("uniform", dtype))
    found.uniform_(generator=torch_generator(seed, found.device))
    return found * (maxval - minval) + minval


@_random
def truncated_normal(
    shape: Sequence[int], mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
) -> torch.Tensor:
    """Numbers of a normal distribution, drawn again where they lie more than two deviations from the mean.

    Arguments as for `normal`.

    Example:
        >>> bool((truncated_normal((1000,), seed=1).abs() <= 2).all())
        True
    """
    draws = _empty((*((shape,) if isinstance(shape, int) else shape), 4), _float("truncated_normal", dtype))
    draws.normal_(generator=torch_generator(seed, draws.device))
    first = (draws.abs() < 2).to(torch.uint8).argmax(-1, keepdim=True)
    # All four are outside once in 200,000 times: those lie on the bound
    return draws.gather(-1, first).squeeze(-1).clamp(-2, 2) * stddev + mean


@_random
def randint(shape: Sequence[int], minval: int, maxval: int, dtype: Any = "int32", seed: Any = None) -> torch.Tensor:
    """Whole numbers from `minval` to `maxval` (excluded).

    Args:
        shape: The shape.
        minval: The least.
        maxval: The bound above.
        dtype: A whole-number type.
        seed: An integer, a `SeedGenerator` or None.

    Raises:
        ArgumentError: A type that is no type of whole numbers.

    Example:
        >>> sorted(set(randint((100,), 0, 3, seed=1).tolist()))
        [0, 1, 2]
    """
    kind = as_dtype(dtype)
    if kind.is_floating_point or kind.is_complex or kind is torch.bool:
        raise ArgumentError(f"random.randint draws whole numbers; got dtype={dtype!r}. Use random.uniform for floats.")
    found = _empty(shape, kind)
    return found.random_(int(minval), int(maxval), generator=torch_generator(seed, found.device))


@_random
def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> torch.Tensor:
    """Class numbers, drawn for each row with the probabilities softmax(logits).

    Args:
        logits: (batch, classes).
        num_samples: How many for each row.
        dtype: The type of the class numbers.
        seed: An integer, a `SeedGenerator` or None.

    Raises:
        ArgumentError: Logits that are not of rank 2.

    Example:
        >>> categorical([[0.0, 100.0]], 3, seed=1)
        tensor([[1, 1, 1]], dtype=torch.int32)
    """
    logits = tensor(logits)
    if logits.ndim != 2:
        raise ArgumentError(f"random.categorical takes logits (batch, classes); got shape {tuple(logits.shape)}.")
    if logits.is_meta:
        return torch.empty(len(logits), num_samples, dtype=as_dtype(dtype), device="meta")
    generator = torch_generator(seed, logits.device)
    return torch.multinomial(torch.softmax(logits, -1), num_samples, True, generator=generator).to(as_dtype(dtype))


@_random
def gamma(shape: Sequence[int], alpha: Any, dtype: Any = None, seed: Any = None) -> torch.Tensor:
    """Numbers of a gamma distribution of shape `alpha` and scale 1.

    Args:
        shape: The shape.
        alpha: Positive: a number or what broadcasts to the shape.
        dtype: A float type; `floatx()` by default.
        seed: An integer, a `SeedGenerator` or None.

    Raises:
        ArgumentError: A type that is no float type.

    Example:
        >>> bool((gamma((100,), 2.0, seed=1) > 0).all())
        True
    """
    found = _empty(shape, _float("gamma", dtype))
    if found.is_meta:
        return found
    generator = torch_generator(seed, found.device)
    return _standard_gamma(alpha, found, generator).to(found.dtype)


def _standard_gamma(alpha: Any, like: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    compute = like.dtype if like.dtype is torch.float64 else torch.float32
    return torch._standard_gamma(tensor(alpha).to(like.device, compute).expand(like.shape).contiguous(), generator)


@_random
def beta(shape: Sequence[int], alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> torch.Tensor:
    """Numbers from 0 to 1 of a beta distribution.

    Args:
        shape: The shape.
        alpha: Positive: a number or what broadcasts to the shape.
        beta: Positive, likewise.
        dtype: A float type; `floatx()` by default.
        seed: An integer, a `SeedGenerator` or None.

    Raises:
        ArgumentError: A type that is no float type.

    Example:
        >>> bool((beta((100,), 2.0, 3.0, seed=1) < 1).all())
        True
    """
    found = _empty(shape, _float("beta", dtype))
    if found.is_meta:
        return found
    generator = torch_generator(seed, found.device)
    one, two = (_standard_gamma(each, found, generator) for each in (alpha, beta))
    return (one / (one + two)).to(found.dtype)


@_random
def binomial(
    shape: Sequence[int], counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None
) -> torch.Tensor:
    """How many of `counts` trials succeed, each with its probability; as floats.

    Args:
        shape: The shape.
        counts: A number or what broadcasts to the shape.
        probabilities: Likewise, from 0 to 1.
        dtype: A float type; `floatx()` by default.
        seed: An integer, a `SeedGenerator` or None.

    Raises:
        ArgumentError: A type that is no float type.

    Example:
        >>> binomial((2,), 5, 1.0, seed=1)
        tensor([5., 5.])
    """
    found = _empty(shape, _float("binomial", dtype))
    if found.is_meta:
        return found
    trials, chance = (
        tensor(each).to(found.device, torch.float32).expand(found.shape).contiguous()
        for each in (counts, probabilities)
    )
    return torch.binomial(trials, chance, generator=torch_generator(seed, found.device)).to(found.dtype)


@_random
def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> torch.Tensor:
    """`inputs` with the share `rate` set to 0 and the rest divided by 1 - rate (Srivastava et al., 2014).

    Args:
        inputs: Numbers.
        rate: From 0 to 1.
        noise_shape: The shape of what is drawn: None for the size of the input, 1 for an axis dropped as one.
        seed: An integer, a `SeedGenerator` or None.

    Raises:
        ArgumentError: A rate that is not from 0 to 1.

    Example:
        >>> dropout([1.0, 1.0], 0.0)
        tensor([1., 1.])
    """
    if not 0 <= rate <= 1:
        raise ArgumentError(f"`rate` must be a number from 0 to 1; got {rate!r}.")
    inputs = tensor(inputs)
    inputs = inputs if inputs.is_floating_point() else inputs.to(floatx())
    if rate == 0:
        return inputs
    if rate == 1:
        return torch.zeros_like(inputs)
    if seed is None and noise_shape is None:
        return F.dropout(inputs, rate, training=True)
    shape = inputs.shape if noise_shape is None else _noise_shape(inputs, noise_shape)
    chance = torch.full(shape, 1 - rate, device=inputs.device)
    keep = torch.bernoulli(chance, generator=torch_generator(seed, inputs.device))  # Keras's numbers for its seeds
    return torch.where(keep.bool(), inputs / (1 - rate), 0.0)


def _noise_shape(inputs: torch.Tensor, noise_shape: Sequence[int | None]) -> list[int]:
    if len(noise_shape) != inputs.ndim:
        raise ArgumentError(f"`noise_shape` must have {inputs.ndim} sizes, as the input has; got {noise_shape!r}.")
    return [size if wanted is None else wanted for size, wanted in zip(inputs.shape, noise_shape, strict=True)]


@_random
def shuffle(x: Any, axis: int = 0, seed: Any = None) -> torch.Tensor:
    """The slices along `axis` in another order.

    Args:
        x: Anything with that axis.
        axis: The axis.
        seed: An integer, a `SeedGenerator` or None.

    Example:
        >>> sorted(shuffle([1, 2, 3], seed=1).tolist())
        [1, 2, 3]
    """
    x = tensor(x)
    if x.is_meta:
        return torch.empty_like(x)
    order = torch.randperm(x.shape[axis], generator=torch_generator(seed, x.device), device=x.device)
    return x.index_select(axis, order)
