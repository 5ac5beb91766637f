"""`BatchNormalization`."""

from __future__ import annotations

from typing import Any

import torch

from lamella import constraints, initializers, regularizers
from lamella.engine import cluster
from lamella.engine.channels import channels_first, channels_last
from lamella.errors import ArgumentError, ArgumentTypeError, ShapeError
from lamella.layers.base import InputSpec, Layer, registry


@registry.register()
class BatchNormalization(Layer):
    """Brings each channel to mean 0 and variance 1 over the batch, then scales and shifts it.

    While training, the batch's own mean and variance are used and the moving ones are updated:
    moving = momentum * moving + (1 - momentum) * batch. Otherwise the moving ones are used. A frozen layer
    (`trainable = False`) always uses the moving ones and leaves them alone.

    Args:
        axis: The axis of the channels.
        momentum: How slowly the moving averages follow.
        epsilon: Added to the variance.
        center: Whether to add `beta`.
        scale: Whether to multiply by `gamma`.
        beta_initializer: Where beta starts.
        gamma_initializer: Where gamma starts.
        moving_mean_initializer: Where the moving mean starts.
        moving_variance_initializer: Where the moving variance starts.
        beta_regularizer: A penalty on beta.
        gamma_regularizer: A penalty on gamma.
        beta_constraint: A projection of beta after each update.
        gamma_constraint: A projection of gamma.
        renorm: Whether training normalizes (nearly) by averages over many batches, for small batches.
        renorm_clipping: Limits of renorm's correction of the batch's own numbers: `{"rmin", "rmax", "dmax"}`, the
            scale from rmin to rmax and the shift from -dmax to dmax; without a limit where a key is missing.
        renorm_momentum: How slowly the averages of renorm follow.
        synchronized: Whether the batch is that of all processes, where several train (`lamella.distribution`), rather
            than the rows of this one. They all must then call the layer in training.
        **kwargs: As for every layer.

    Weights: gamma, beta, moving_mean, moving_variance, each (channels,); with renorm also moving_stddev,
    renorm_mean and renorm_stddev.

    Raises:
        ArgumentError: Unknown keys or crossed limits in `renorm_clipping`.
        ShapeError: The channels are unknown, or others than it was built for; a mask of another rank.

    Source: Ioffe and Szegedy, 2015; renorm: Ioffe, 2017.

    Example:
        >>> import torch
        >>> from lamella.layers import BatchNormalization
        >>> y = BatchNormalization()(torch.tensor([[1.0], [3.0]]), training=True)
        >>> [round(v, 3) for v in y.flatten().tolist()]
        [-1.0, 1.0]
    """

    computes_in_float32 = True

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not hasattr(axis, "__index__"):
            raise ArgumentTypeError(f"BatchNormalization {self.name!r}: `axis` must be a whole number; got {axis!r}.")
        self.axis = axis
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.renorm = renorm
        self.renorm_clipping = self._limits(renorm_clipping) if renorm else renorm_clipping
        self.renorm_momentum = renorm_momentum
        self.synchronized = synchronized
        self.supports_masking = True
        self.gamma: torch.Tensor | None = None
        self.beta: torch.Tensor | None = None

    def _limits(self, clipping: Any) -> dict[str, float]:
        limits = dict(clipping or {})
        unknown = set(limits) - {"rmin", "rmax", "dmax"}
        low, high, shift = (limits.get(key) for key in ("rmin", "rmax", "dmax"))
        if unknown or (low is not None and high is not None and high < low) or (shift is not None and shift < 0):
            raise ArgumentError(
                f"BatchNormalization {self.name!r}: `renorm_clipping` may have the keys 'rmin', 'rmax' (not below "
                f"rmin) and 'dmax' (not negative); got {clipping!r}."
            )
        return limits

    def build(self, input_shape: Any) -> None:
        rank = len(input_shape)
        channels = input_shape[self.axis] if -rank <= self.axis < rank else None
        if channels is None:
            raise ShapeError(
                f"BatchNormalization {self.name!r}: the size of axis {self.axis} must be known; "
                f"got {tuple(input_shape)}."
            )
        if self.scale:
            self.gamma = self.add_weight(
                (channels,),
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                name="gamma",
            )
        if self.center:
            self.beta = self.add_weight(
                (channels,),
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                name="beta",
            )
        self.moving_mean = self.add_weight(
            (channels,), self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            (channels,), self.moving_variance_initializer, trainable=False, name="moving_variance"
        )
        if self.renorm:
            deviation = self.moving_variance.detach().sqrt()
            self.moving_stddev = self.add_weight((channels,), _Values(deviation), trainable=False, name="moving_stddev")
            self.renorm_mean = self.add_weight(
                (channels,), self.moving_mean_initializer, trainable=False, name="renorm_mean"
            )
            self.renorm_stddev = self.add_weight((channels,), _Values(deviation), trainable=False, name="renorm_stddev")
        self.input_spec = InputSpec(ndim=rank, axes={self.axis: channels})

    def call(
        self, inputs: torch.Tensor, training: bool | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        if mask is not None and mask.ndim != inputs.ndim - 1:
            raise ShapeError(
                f"BatchNormalization {self.name!r}: a mask has one axis less than the input; got a mask of shape "
                f"{tuple(mask.shape)} for an input of shape {tuple(inputs.shape)}."
            )
        return self.outward(self.normalize(self.inward(self._in_floats(inputs)), training, mask), inputs.ndim)

    def normalize(self, x: torch.Tensor, training: bool | None, mask: torch.Tensor | None = None) -> torch.Tensor:
        """The formula, with the channels in axis 1: by the batch's moments in training, else by their averages."""
        if x.is_meta:  # torch would load its compiler, most of a second, to find that the shape stays
            return torch.empty_like(x)
        if not (training and self._trainable and x.numel()):  # an empty batch has no moments
            return torch.batch_norm(
                x,
                self.gamma,
                self.beta,
                self.moving_mean,
                self.moving_variance,
                False,
                0.0,
                self.epsilon,
                False,
            )
        if mask is not None or self.renorm or self._sees_all_parts:
            return self._by_moments(x, mask)
        y, mean, inverse_deviation = torch.native_batch_norm(
            x, self.gamma, self.beta, None, None, True, 0.0, self.epsilon
        )
        self._follow(mean, inverse_deviation.pow(-2).sub_(self.epsilon))
        return y

    @property
    def _sees_all_parts(self) -> bool:
        return self.synchronized and cluster.is_divided()

    def inward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The channels moved to axis 1. A view."""
        rank = inputs.ndim
        if rank == 4 and self.axis in (-1, 3):
            return channels_first(inputs)
        return inputs if self.axis % rank == 1 else inputs.movedim(self.axis, 1)

    def outward(self, y: torch.Tensor, rank: int) -> torch.Tensor:
        """The channels moved back to their axis. A view."""
        if rank == 4 and self.axis in (-1, 3):
            return channels_last(y)
        return y if self.axis % rank == 1 else y.movedim(1, self.axis)

    def _follow(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Moves the moving averages towards the batch's (its variance divided by n, as Keras has it)."""
        self.moving_mean.lerp_(mean, 1.0 - self.momentum)
        self.moving_variance.lerp_(variance, 1.0 - self.momentum)

    def _by_moments(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """The formula step by step, for what torch's fused one cannot do: a mask, renorm, several
        processes."""
        mean, variance = self._moments(x, mask)
        gamma, beta = self.gamma, self.beta
        if self.renorm:
            scale, shift = self._correction(mean.detach(), variance.detach())
            beta = (shift if gamma is None else shift * gamma) + (0.0 if beta is None else beta)
            gamma = scale if gamma is None else scale * gamma
        else:
            self._follow(mean.detach(), variance.detach())
        factor = (variance + self.epsilon).rsqrt() * (1.0 if gamma is None else gamma)
        offset = (0.0 if beta is None else beta) - mean * factor
        shape = [1, -1, *[1] * (x.ndim - 2)]
        return torch.addcmul(offset.reshape(shape), x, factor.reshape(shape))

    def _moments(self, x: torch.Tensor, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean and variance of each channel, over the unmasked steps only."""
        axes = [axis for axis in range(x.ndim) if axis != 1]
        if mask is None and not self._sees_all_parts:
            variance, mean = torch.var_mean(x, axes, correction=0)
            return mean, variance
        left_out, least = torch.zeros((), dtype=torch.bool, device=x.device), 0.0
        if mask is not None:
            left_out = ~self.inward(mask.to(torch.bool).unsqueeze(-1).expand(self.outward(x, x.ndim).shape))
            least = 1e-7

        def total(values: torch.Tensor) -> torch.Tensor:
            sums = values.masked_fill(left_out, 0.0).sum(dim=axes)
            return cluster.total_of_parts(sums) if self._sees_all_parts else sums

        count = total(torch.ones_like(x)) + least
        mean = total(x) / count
        variance = total((x - mean.reshape([1, -1, *[1] * (x.ndim - 2)])).square()) / count
        return mean, variance

    def _correction(self, mean: torch.Tensor, variance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What takes the batch's normalization to that by the averages: a scale and a shift. The averages follow."""
        limits, deviation = self.renorm_clipping, (variance + self.epsilon).sqrt()
        average = self.renorm_stddev.clamp(min=self.epsilon**0.5)
        scale, shift = deviation / average, (mean - self.renorm_mean) / average
        if limits:
            scale = scale.clamp(limits.get("rmin", 0.0), limits.get("rmax"))
            largest = limits.get("dmax")
            shift = shift if largest is None else shift.clamp(-largest, largest)
        self.renorm_mean.lerp_(mean, 1.0 - self.renorm_momentum)
        self.renorm_stddev.lerp_(deviation, 1.0 - self.renorm_momentum)
        self.moving_mean.lerp_(mean, 1.0 - self.momentum)
        self.moving_stddev.lerp_(deviation, 1.0 - self.momentum)
        self.moving_variance.copy_((self.moving_stddev.square() - self.epsilon).clamp(min=0.0))
        return scale, shift


class _Values:
    """An initializer that gives values already known."""

    def __init__(self, values: torch.Tensor) -> None:
        self.values = values

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        return self.values.to(dtype).clone()
