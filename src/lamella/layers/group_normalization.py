"""`GroupNormalization`."""

from __future__ import annotations

from typing import Any

import torch

from lamella import constraints, initializers, regularizers
from lamella.errors import ArgumentError, ShapeError
from lamella.layers.base import InputSpec, Layer, registry


@registry.register()
class GroupNormalization(Layer):
    """Brings each group of channels of each sample to mean 0 and variance 1, then scales and shifts each channel.

    Args:
        groups: The number of groups, which divides the number of channels; -1 for one channel each (instance
            normalization), 1 for all of them (nearly layer normalization).
        axis: The axis of the channels.
        epsilon: Added to the variance.
        center: Whether to add `beta`.
        scale: Whether to multiply by `gamma`.
        beta_initializer: Where beta starts.
        gamma_initializer: Where gamma starts.
        beta_regularizer: A penalty on beta.
        gamma_regularizer: A penalty on gamma.
        beta_constraint: A projection of beta after each update.
        gamma_constraint: A projection of gamma.
        **kwargs: As for every layer.

    Weights: gamma, beta, each (channels,).

    Raises:
        ArgumentError: `groups` is neither positive nor -1.
        ShapeError: The channels are unknown, or no multiple of `groups`.

    Source: Wu and He, 2018.

    Example:
        >>> import torch
        >>> from lamella.layers import GroupNormalization
        >>> y = GroupNormalization(groups=1)(torch.tensor([[1.0, 3.0]]))
        >>> [round(v, 3) for v in y.flatten().tolist()]
        [-1.0, 1.0]
    """

    computes_in_float32 = True

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(groups, bool) or not isinstance(groups, int) or (groups < 1 and groups != -1):
            raise ArgumentError(
                f"GroupNormalization {self.name!r}: `groups` must be a positive whole number, or -1 for one channel "
                f"each; got {groups!r}."
            )
        self.groups = groups
        self.axis = axis
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.supports_masking = True
        self.gamma: torch.Tensor | None = None
        self.beta: torch.Tensor | None = None

    def build(self, input_shape: Any) -> None:
        rank = len(input_shape)
        channels = input_shape[self.axis] if -rank <= self.axis < rank and self.axis % rank else None
        if channels is None:
            raise ShapeError(
                f"GroupNormalization {self.name!r}: axis {self.axis} must be an axis of the input after the batch, of "
                f"known size; got {tuple(input_shape)}."
            )
        if self.groups == -1:
            self.groups = channels
        if channels % self.groups:
            raise ShapeError(
                f"GroupNormalization {self.name!r}: the {channels} channels cannot be divided into {self.groups} "
                f"groups. Set `groups` to a divisor of {channels}."
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
        self.input_spec = InputSpec(ndim=rank, axes={self.axis: channels})

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        inputs = self._in_floats(inputs)
        if inputs.is_meta:  # torch would load its compiler, most of a second, for a shape that is known
            return torch.empty_like(inputs)
        axis = self.axis % inputs.ndim
        x = inputs if axis == 1 else inputs.movedim(axis, 1)
        y = self._normalized(x)
        return y if axis == 1 else y.movedim(1, axis)

    def _normalized(self, x: torch.Tensor) -> torch.Tensor:
        gamma, beta = self.gamma, self.beta
        if not torch.is_grad_enabled() or (x.requires_grad and (gamma is not None or beta is None)):
            return torch.group_norm(x, self.groups, gamma, beta, self.epsilon)
        # torch 2.13 crashes where it needs the gradient of beta but has no gamma, or that of gamma and not that of an
        # input with its channels last: so those are multiplied and added apart.
        y = torch.group_norm(x, self.groups, None, None, self.epsilon)
        shape = [-1, *[1] * (x.ndim - 2)]
        y = y if gamma is None else y * gamma.reshape(shape)
        return y if beta is None else y + beta.reshape(shape)
