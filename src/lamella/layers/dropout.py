"""Layers that make noise while training, against over-fitting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.random import generator
from lamella.errors import ArgumentError
from lamella.layers.base import Layer, registry

_MANY = 1 << 14  # where fewer calls matter less than less work


class RandomLayer(Layer):
    """What noisy layers share: a seed, and a generator of its own where one is given."""

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if seed is not None and not isinstance(seed, int):
            raise ArgumentError(f"{type(self).__name__} {self.name!r}: `seed` must be an integer; got {seed!r}.")
        self.seed = seed
        self.supports_masking = True
        self._generators: Any = None
        self._mark_built()

    def _generator(self, device: torch.device) -> torch.Generator | None:
        """The layer's generator, which goes on from call to call; None without a seed."""
        if self.seed is None:
            return None
        if self._generators is None or self._generators.device != device:
            self._generators = generator(self.seed, device)
        return self._generators

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_generators": None}  # a torch.Generator cannot be copied; it is made anew


@registry.register()
class Dropout(RandomLayer):
    """While training, sets a random share `rate` of the inputs to 0 and scales the rest by 1 / (1 - rate).

    Args:
        rate: The share, 0 <= rate < 1 (1 gives zeros).
        noise_shape: The shape of the random mask; 1 where it is the same along an axis, None for the input's.
        seed: An integer for a sequence of masks of its own.
        **kwargs: As for every layer.

    Source: Srivastava et al., 2014.

    Example:
        >>> import torch
        >>> from lamella.layers import Dropout
        >>> Dropout(0.5)(torch.ones(3))
        tensor([1., 1., 1.])
        >>> sorted(set(Dropout(0.5, seed=1)(torch.ones(100), training=True).tolist()))
        [0.0, 2.0]
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
            raise ArgumentError(f"Dropout {self.name!r}: `rate` must be a number from 0 to 1; got {rate!r}.")
        self.rate = rate
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)

    def call(self, inputs: torch.Tensor, training: bool | None = None) -> torch.Tensor:
        if not training or self.rate == 0:
            return inputs
        keep = 1.0 - self.rate
        if keep == 0:
            return torch.zeros_like(inputs)
        if self.seed is None and self.noise_shape is None and inputs.device.type != "cpu":
            return F.dropout(inputs, self.rate, True)
        shape, source = self._noise_shape(inputs), self._generator(inputs.device)
        size = math.prod(shape)
        if inputs.device.type == "cpu" and size > _MANY and 0.01 <= keep <= 0.99:
            # Four 16-bit numbers from each 64 random bits: several times as fast as a number each.
            bits = torch.empty((size + 3) // 4, dtype=torch.int64).random_(-(2**63), None, generator=source)
            threshold = round(keep * 65536) - 32768
            noise = (bits.view(torch.int16)[:size].view(shape) < threshold).to(inputs.dtype)
            return inputs * noise.mul_(1.0 / keep)
        # On the CPU, uniform numbers and a comparison take half the time of torch's Bernoulli numbers.
        noise = torch.empty(shape, dtype=inputs.dtype, device=inputs.device).uniform_(generator=source)
        return inputs * noise.lt_(keep).mul_(1.0 / keep)

    def _noise_shape(self, inputs: torch.Tensor) -> list[int]:
        asked = self.noise_shape or inputs.shape
        return [size if own is None else own for size, own in zip(inputs.shape, asked, strict=True)]


@registry.register()
class GaussianNoise(RandomLayer):
    """While training, adds normal noise of standard deviation `stddev`.

    Example:
        >>> import torch
        >>> from lamella.layers import GaussianNoise
        >>> GaussianNoise(0.1)(torch.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed=seed, **kwargs)
        if not 0 <= stddev <= 1:
            raise ArgumentError(f"GaussianNoise {self.name!r}: `stddev` must be from 0 to 1; got {stddev!r}.")
        self.stddev = stddev

    def call(self, inputs: torch.Tensor, training: bool | None = None) -> torch.Tensor:
        if not training or self.stddev == 0:
            return inputs
        noise = torch.empty_like(inputs).normal_(0.0, self.stddev, generator=self._generator(inputs.device))
        return inputs + noise
