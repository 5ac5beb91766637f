"""`BatchNormalization`."""

from __future__ import annotations

from typing import Any

import torch

from lamella import constraints, initializers, regularizers
from lamella.errors import ArgumentError, ShapeError
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
        synchronized: Kept for Keras's signature: in one process there is nothing to synchronize.
        **kwargs: As for every layer.

    Weights: gamma, beta, moving_mean, moving_variance, each (channels,).

    Raises:
        ArgumentError: `renorm=True`, which is not supported.
        ShapeError: The channels are unknown, or others than it was built for.

    Source: Ioffe and Szegedy, 2015.

    Example:
        >>> import torch
        >>> from lamella.layers import BatchNormalization
        >>> y = BatchNormalization()(torch.tensor([[1.0], [3.0]]), training=True)
        >>> [round(v, 3) for v in y.flatten().tolist()]
        [-1.0, 1.0]
    """

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
        if renorm:
            raise ArgumentError(
                f"BatchNormalization {self.name!r}: renorm=True is not supported. For small batches use "
                f"LayerNormalization."
            )
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
        self.renorm_clipping = renorm_clipping
        self.renorm_momentum = renorm_momentum
        self.synchronized = synchronized
        self.supports_masking = True
        self.gamma: torch.Tensor | None = None
        self.beta: torch.Tensor | None = None

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
        self.input_spec = InputSpec(ndim=rank, axes={self.axis: channels})

    def call(
        self, inputs: torch.Tensor, training: bool | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        x = self._channels_second(inputs)
        if not (training and self._trainable):
            y = torch.batch_norm(
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
        elif mask is not None:
            y = self._masked(x, mask)
        else:
            y, mean, inverse_deviation = torch.native_batch_norm(
                x, self.gamma, self.beta, None, None, True, 0.0, self.epsilon
            )
            self._follow(mean.detach(), inverse_deviation.detach().square().reciprocal() - self.epsilon)
        return self._channels_back(y, inputs.ndim)

    def _channels_second(self, inputs: torch.Tensor) -> torch.Tensor:
        rank = inputs.ndim
        if rank == 4 and self.axis in (-1, 3):
            return inputs.permute(0, 3, 1, 2)
        return inputs if self.axis % rank == 1 else inputs.movedim(self.axis, 1)

    def _channels_back(self, y: torch.Tensor, rank: int) -> torch.Tensor:
        if rank == 4 and self.axis in (-1, 3):
            return y.permute(0, 2, 3, 1)
        return y if self.axis % rank == 1 else y.movedim(1, self.axis)

    def _follow(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Moves the moving averages towards the batch's (its variance divided by n, as Keras has it)."""
        with torch.no_grad():
            self.moving_mean.lerp_(mean, 1.0 - self.momentum)
            self.moving_variance.lerp_(variance, 1.0 - self.momentum)

    def _masked(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """With the mean and variance of the unmasked steps only."""
        weight = mask.to(x.dtype).unsqueeze(1)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        total = (weight * torch.ones_like(x)).sum(dim=axes)
        mean = (weight * x).sum(dim=axes) / (total + 1e-7)
        variance = (weight * (x - mean.reshape(shape)).square()).sum(dim=axes) / (total + 1e-7)
        self._follow(mean.detach(), variance.detach())
        return torch.nn.functional.batch_norm(x, mean, variance, self.gamma, self.beta, False, 0.0, self.epsilon)
