"""Layers that make noise while training, against over-fitting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.random import generator
from lamella.errors import ArgumentError, ArgumentTypeError, ShapeError
from lamella.layers.base import InputSpec, Layer, registry
from lamella.layers.input_spec import check_input
from lamella.layers.reshaping import check_data_format

_MANY = 1 << 14  # where fewer calls matter less than less work
_SELU_LOWEST = -1.6732632423543772 * 1.0507009873554805  # what selu tends to on the left


class RandomLayer(Layer):
    """What noisy layers share: a seed, and a generator of its own where one is given."""

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if seed is not None and not isinstance(seed, int):
            raise ArgumentError(f"{type(self).__name__} {self.name!r}: `seed` must be an integer; got {seed!r}.")
        self.seed = seed
        self.supports_masking = True
        self._generators: Any = None
        self._build_at_init()

    def _generator(self, device: torch.device) -> torch.Generator | None:
        """The layer's generator, which goes on from call to call; None without a seed, and while shapes are found."""
        if self.seed is None or device.type == "meta":
            return None
        if self._generators is None or self._generators.device != device:
            self._generators = generator(self.seed, device)
        return self._generators

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_generators": None}  # a torch.Generator cannot be copied; it is made anew


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
        self.rate = _rate(self, rate)
        self.noise_shape = _noise_shape(self, noise_shape)

    def call(self, inputs: torch.Tensor, training: bool | None = None) -> torch.Tensor:
        if not training or self.rate == 0:
            return inputs
        return self._drop(inputs)

    def _drop(self, inputs: torch.Tensor) -> torch.Tensor:
        inputs, keep = self._in_floats(inputs), 1.0 - self.rate
        if keep == 0:
            return torch.zeros_like(inputs)
        asked = self._asked_shape(inputs)
        if self.seed is None and asked is None and inputs.device.type != "cpu":
            return F.dropout(inputs, self.rate, True)
        shape, source = _filled_in(self, inputs, asked), self._generator(inputs.device)
        size = math.prod(shape)
        if inputs.device.type == "cpu" and size > _MANY and 0.01 <= keep <= 0.99:
            # Four 16-bit numbers from each 64 random bits: several times as fast as a number each.
            bits = torch.empty((size + 3) // 4, dtype=torch.int64).random_(-(2**63), None, generator=source)
            threshold = round(keep * 65536) - 32768
            noise = (bits.view(torch.int16)[:size].view(shape) < threshold).to(inputs.dtype)
            return inputs * noise.mul_(1.0 / keep)
        # On the CPU, uniform numbers and a comparison take half the time of torch's Bernoulli numbers.
        given: dict[str, Any] = {} if source is None else {"generator": source}  # without one it can be exported, too
        noise = torch.rand(shape, dtype=inputs.dtype, device=inputs.device, **given)
        return inputs * noise.lt_(keep).mul_(1.0 / keep)

    def _asked_shape(self, inputs: torch.Tensor) -> Sequence[int | None] | None:
        """The shape of the mask, None in it for an axis of the inputs; None for the inputs' own."""
        return self.noise_shape


class SpatialDropout(Dropout):
    """The base of dropouts of whole channels: a mask that is the same along all axes but batch and channels."""

    _rank: int

    def __init__(self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.input_spec = InputSpec(ndim=self._rank)
        self.data_format = "channels_last"

    def call(self, inputs: torch.Tensor, training: bool | None = None) -> torch.Tensor:
        if inputs.ndim != self._rank:
            check_input(self, inputs)
        return super().call(inputs, training=training)

    def _asked_shape(self, inputs: torch.Tensor) -> Sequence[int | None]:
        ones = [1] * (self._rank - 2)
        return (None, None, *ones) if self.data_format == "channels_first" else (None, *ones, None)

    def get_config(self) -> dict[str, Any]:
        config = {"rate": self.rate, "seed": self.seed, "name": self.name, "dtype": self._policy.name}
        return config if self._rank == 3 else config | {"data_format": self.data_format}


class _SpatialDropoutOfImages(SpatialDropout):
    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.data_format = check_data_format(self, data_format)


@registry.register()
class SpatialDropout1D(SpatialDropout):
    """While training, sets whole channels of a sequence (batch, steps, channels) to 0 and scales up the rest.

    Args:
        rate: The share of the channels, from 0 to 1.
        seed: An integer for a sequence of masks of its own.
        name: As for every layer.
        dtype: As for every layer.

    Source: Tompson et al., 2014.

    Example:
        >>> import torch
        >>> from lamella.layers import SpatialDropout1D
        >>> y = SpatialDropout1D(0.5, seed=1)(torch.ones(1, 3, 20), training=True)
        >>> bool((y[:, 0] == y[:, 2]).all())
        True
    """

    _rank = 3


@registry.register()
class SpatialDropout2D(_SpatialDropoutOfImages):
    """While training, sets whole channels of an image (batch, height, width, channels) to 0 and scales up the rest.

    Args:
        rate: The share of the channels, from 0 to 1.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: An integer for a sequence of masks of its own.
        name: As for every layer.
        dtype: As for every layer.

    Source: Tompson et al., 2014.

    Example:
        >>> import torch
        >>> from lamella.layers import SpatialDropout2D
        >>> y = SpatialDropout2D(0.5, seed=1)(torch.ones(1, 3, 3, 20), training=True)
        >>> bool((y[:, 0, 0] == y[:, 2, 1]).all())
        True
    """

    _rank = 4


@registry.register()
class SpatialDropout3D(_SpatialDropoutOfImages):
    """While training, sets whole channels of a volume (batch, depth, height, width, channels) to 0, scales up the rest.

    Args:
        rate: The share of the channels, from 0 to 1.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: An integer for a sequence of masks of its own.
        name: As for every layer.
        dtype: As for every layer.

    Source: Tompson et al., 2014.

    Example:
        >>> import torch
        >>> from lamella.layers import SpatialDropout3D
        >>> SpatialDropout3D(0.5)(torch.ones(1, 2, 2, 2, 3)).shape
        torch.Size([1, 2, 2, 2, 3])
    """

    _rank = 5


@registry.register()
class AlphaDropout(RandomLayer):
    """Dropout for SELU networks: while training, a random share goes to SELU's lowest value; mean and variance stay.

    Args:
        rate: The share, from 0 to 1.
        noise_shape: The shape of the random mask; 1 where it is the same along an axis, None for the input's.
        seed: An integer for a sequence of masks of its own.
        **kwargs: As for every layer.

    Source: Klambauer et al., 2017.

    Example:
        >>> import torch
        >>> from lamella.layers import AlphaDropout
        >>> y = AlphaDropout(0.3, seed=1)(torch.randn(400, 400), training=True)
        >>> bool(y.mean().abs() < 0.02), bool((y.std() - 1).abs() < 0.02)
        (True, True)
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.rate = _rate(self, rate)
        self.noise_shape = _noise_shape(self, noise_shape)

    def call(self, inputs: torch.Tensor, training: bool | None = None) -> torch.Tensor:
        if not training or self.rate == 0:
            return inputs
        inputs, share, lowest = self._in_floats(inputs), self.rate, _SELU_LOWEST
        if share == 1:
            return torch.full_like(inputs, 0.0)  # Keras divides by zero here
        shape = _filled_in(self, inputs, self.noise_shape)
        noise = torch.empty(shape, dtype=inputs.dtype, device=inputs.device)
        kept = noise.uniform_(generator=self._generator(inputs.device)) >= share
        scale = ((1 - share) * (1 + share * lowest**2)) ** -0.5
        return torch.where(kept, inputs, lowest) * scale - scale * lowest * share


@registry.register()
class GaussianDropout(RandomLayer):
    """While training, multiplies by normal noise of mean 1 and standard deviation sqrt(rate / (1 - rate)).

    Args:
        rate: From 0 to 1 (without 1): the noise has the variance that `Dropout` of this rate has.
        seed: An integer for a sequence of noise of its own.
        **kwargs: As for every layer.

    Source: Srivastava et al., 2014.

    Example:
        >>> import torch
        >>> from lamella.layers import GaussianDropout
        >>> y = GaussianDropout(0.2, seed=1)(torch.ones(100000), training=True)
        >>> round(y.mean().item(), 2), round(y.std().item(), 2)
        (1.0, 0.5)
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed=seed, **kwargs)
        self.rate = _rate(self, rate)

    def call(self, inputs: torch.Tensor, training: bool | None = None) -> torch.Tensor:
        if not training or self.rate == 0:
            return inputs
        if self.rate == 1:
            raise ArgumentError(f"GaussianDropout {self.name!r}: with rate=1 the noise is infinite; take less.")
        inputs, deviation = self._in_floats(inputs), math.sqrt(self.rate / (1.0 - self.rate))
        return inputs * torch.empty_like(inputs).normal_(1.0, deviation, generator=self._generator(inputs.device))


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
        inputs = self._in_floats(inputs)
        noise = torch.empty_like(inputs).normal_(0.0, self.stddev, generator=self._generator(inputs.device))
        return inputs + noise


def _rate(layer: Layer, rate: Any) -> float:
    number = isinstance(rate, (int, float)) and not isinstance(rate, bool)
    if not number or not 0 <= rate <= 1:
        raise (ArgumentError if number else ArgumentTypeError)(
            f"{type(layer).__name__} {layer.name!r}: `rate` must be a number from 0 to 1; got {rate!r}."
        )
    return rate


def _noise_shape(layer: Layer, shape: Any) -> tuple[int | None, ...] | None:
    if shape is None:
        return None
    sizes = tuple(shape) if isinstance(shape, (list, tuple)) else (0,)
    if any(size is not None and (not isinstance(size, int) or size < 1) for size in sizes):
        raise ArgumentError(
            f"{type(layer).__name__} {layer.name!r}: `noise_shape` must be a tuple of positive whole numbers and "
            f"None; got {shape!r}."
        )
    return sizes


def _filled_in(layer: Layer, inputs: torch.Tensor, shape: Sequence[int | None] | None) -> Sequence[int]:
    if shape is None:
        return inputs.shape
    if len(shape) != inputs.ndim:
        raise ShapeError(
            f"{type(layer).__name__} {layer.name!r}: `noise_shape` {tuple(shape)} must have the rank of the input, "
            f"whose shape is {tuple(inputs.shape)}."
        )
    return [size if own is None else own for size, own in zip(inputs.shape, shape, strict=True)]
