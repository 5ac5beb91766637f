"""Initializers: the values that weights start from.

An initializer is called with a shape and gives a tensor. With `seed=None` it draws from torch's global
generator (`set_random_seed` makes that repeatable); with an integer seed it gives the same values each time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lamella.engine import registry as _names
from lamella.engine.dtypes import torch_dtype
from lamella.engine.random import generator
from lamella.engine.registry import Registry
from lamella.engine.seed_generator import SeedGenerator, torch_generator
from lamella.engine.window_names import checked_window
from lamella.errors import ArgumentError, ShapeError

registry = Registry("initializer", "keras.initializers")

# The standard deviation of a standard normal cut off at -2 and 2.
_TRUNCATED_STDDEV = 0.87962566103423978


@registry.register()
class Initializer:
    """The base of initializers: subclasses write `__call__(shape, dtype=None)` and `get_config`.

    Example:
        >>> class Sevens(Initializer):
        ...     def __call__(self, shape, dtype=None):
        ...         return torch.full(shape, 7.0)
        >>> Sevens()((2,))
        tensor([7., 7.])
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        """A tensor of `shape`."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__().")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this initializer again."""
        return {name: serialize(v) if isinstance(v, SeedGenerator) else v for name, v in vars(self).items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """The initializer that `get_config` described."""
        return cls(**config)

    def clone(self) -> Initializer:
        """Another initializer with the same arguments."""
        return type(self).from_config(self.get_config())


@registry.register("zero")
class Zeros(Initializer):
    """All zeros.

    Example:
        >>> Zeros()((2,))
        tensor([0., 0.])
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return torch.zeros(tuple(shape), dtype=torch_dtype(dtype))


@registry.register("one")
class Ones(Initializer):
    """All ones.

    Example:
        >>> Ones()((2,))
        tensor([1., 1.])
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return torch.ones(tuple(shape), dtype=torch_dtype(dtype))


@registry.register()
class Constant(Initializer):
    """The same value everywhere (or an array that broadcasts to the shape).

    Example:
        >>> Constant(3.0)((2,))
        tensor([3., 3.])
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        value = torch.as_tensor(self.value, dtype=torch_dtype(dtype))
        return value.expand(tuple(shape)).clone()

    def get_config(self) -> dict[str, Any]:
        return {"value": _names.serialize(self.value)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constant:
        return cls(_names.deserialize(config.get("value", 0.0)))


@registry.register("IdentityInitializer")
class Identity(Initializer):
    """The identity matrix times `gain`.

    Raises:
        ShapeError: A shape that is not two-dimensional.

    Example:
        >>> Identity()((2, 2))
        tensor([[1., 0.],
                [0., 1.]])
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        if len(shape) != 2:
            raise ShapeError(f"Identity makes matrices: expected a shape of two dimensions, got {tuple(shape)}.")
        return self.gain * torch.eye(*shape, dtype=torch_dtype(dtype))


class _Random(Initializer):
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
class RandomNormal(_Random):
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
        return _empty(shape, dtype).normal_(self.mean, self.stddev, generator=self._generator())


@registry.register()
class TruncatedNormal(_Random):
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
        return _truncated_normal(shape, self.mean, self.stddev, dtype, self._generator())


@registry.register("uniform")
class RandomUniform(_Random):
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
        return _empty(shape, dtype).uniform_(self.minval, self.maxval, generator=self._generator())


@registry.register()
class VarianceScaling(_Random):
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
            return _empty(shape, dtype).uniform_(-limit, limit, generator=self._generator())
        stddev = math.sqrt(variance)
        if self.distribution == "untruncated_normal":
            return _empty(shape, dtype).normal_(0.0, stddev, generator=self._generator())
        return _truncated_normal(shape, 0.0, stddev / _TRUNCATED_STDDEV, dtype, self._generator())


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


@registry.register("OrthogonalInitializer")
class Orthogonal(_Random):
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
        flat = _empty((max(rows, columns), min(rows, columns)), _drawn_as(dtype)).normal_(generator=self._generator())
        q, r = torch.linalg.qr(flat)
        q = q * torch.sign(torch.diagonal(r))  # makes the decomposition, and so the distribution, unique
        if rows < columns:
            q = q.T
        return (self.gain * q.reshape(tuple(shape))).to(torch_dtype(dtype))


@registry.register("STFTInitializer")
class STFT(Initializer):
    """The kernel of a short-time Fourier transform: cosines or sines, windowed.

    The shape is (frame_length, 1, fft_length / 2 + 1).

    Args:
        side: `"real"` (cosines) or `"imag"` (sines).
        window: The name of a SciPy window, an array, or None.
        scaling: `"density"`, `"spectrum"` or None.
        periodic: Whether the window is periodic rather than symmetric.

    Example:
        >>> STFT("real")((8, 1, 5)).shape
        torch.Size([8, 1, 5])
    """

    def __init__(
        self,
        side: str = "real",
        window: Any = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in ("real", "imag"):
            raise ArgumentError(f"side must be 'real' or 'imag'; got {side!r}.")
        if scaling not in (None, "density", "spectrum"):
            raise ArgumentError(f"scaling must be 'density', 'spectrum' or None; got {scaling!r}.")
        self.side = side
        self.window = checked_window(window)
        self.scaling = scaling
        self.periodic = periodic

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        frame_length, _, bins = shape
        time = torch.arange(frame_length, dtype=torch.float64).reshape(-1, 1, 1)
        frequency = torch.arange(bins, dtype=torch.float64).reshape(1, 1, -1) / ((bins - 1) * 2)
        angle = -2 * math.pi * time * frequency
        kernel = torch.cos(angle) if self.side == "real" else torch.sin(angle)
        if self.window is not None:
            window = self._window(frame_length)
            kernel = kernel * window.reshape(-1, 1, 1)
            if self.scaling == "density":
                kernel = kernel / window.square().sum().sqrt()
            elif self.scaling == "spectrum":
                kernel = kernel / window.abs().sum()
        return kernel.to(torch_dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "window": _names.serialize(self.window)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> STFT:
        return cls(**{name: _names.deserialize(value) for name, value in config.items()})

    def _window(self, frame_length: int) -> torch.Tensor:
        if not isinstance(self.window, str):
            window = torch.as_tensor(self.window, dtype=torch.float64)
        else:
            from scipy.signal import get_window  # SciPy comes with scikit-learn; it is slow to import

            window = torch.as_tensor(get_window(self.window, frame_length, self.periodic))
        if window.shape != (frame_length,):
            raise ShapeError(f"The window must have shape ({frame_length},); got {tuple(window.shape)}.")
        return window


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


def _empty(shape: Sequence[int], dtype: Any) -> torch.Tensor:
    return torch.empty(tuple(shape), dtype=torch_dtype(dtype))


def _drawn_as(dtype: Any) -> torch.dtype:
    # Half precision is too coarse to compute in.
    return torch.float64 if torch_dtype(dtype) is torch.float64 else torch.float32


def _truncated_normal(
    shape: Sequence[int], mean: float, stddev: float, dtype: Any, source: torch.Generator | None
) -> torch.Tensor:
    # By the inverse of the distribution function: one pass, nothing drawn twice.
    bound = math.erf(2 / math.sqrt(2))
    values = _empty(shape, _drawn_as(dtype)).uniform_(-bound, bound, generator=source)
    values = values.erfinv_().mul_(math.sqrt(2)).clamp_(-2.0, 2.0).mul_(stddev).add_(mean)
    return values.to(torch_dtype(dtype))


def get(identifier: Any) -> Any:
    """The initializer for a name, a config, a class, an object, a callable or an array of values.

    Raises:
        UnknownNameError: A name that is not known; the message lists the nearest.

    Example:
        >>> get("he_normal").get_config()["seed"] is None
        True
    """
    if isinstance(identifier, (torch.Tensor, np.ndarray, np.generic)):
        return _FixedValues(identifier)
    return registry.get(identifier)


class _FixedValues:
    """Gives the values of an array, whose shape the weight must have."""

    def __init__(self, values: Any) -> None:
        self.values = torch.as_tensor(values)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        if tuple(shape) != tuple(self.values.shape):
            raise ShapeError(
                f"The initial values have shape {tuple(self.values.shape)}, but the weight has shape {tuple(shape)}."
            )
        return self.values.to(torch_dtype(dtype), copy=True)


def serialize(initializer: Any) -> Any:
    """The config of an initializer, in Keras's form."""
    return _names.serialize(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The initializer that `serialize` described."""
    return registry.get(config, custom_objects)


zeros = Zeros
ones = Ones
constant = Constant
identity = Identity
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
orthogonal = Orthogonal
stft = STFT
IdentityInitializer = Identity
OrthogonalInitializer = Orthogonal
STFTInitializer = STFT

__all__ = [
    "STFT",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "STFTInitializer",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "compute_fans",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "stft",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]
