"""`LayerNormalization`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella import constraints, initializers, regularizers
from lamella.errors import ArgumentTypeError, ShapeError
from lamella.layers.base import Layer, registry


@registry.register()
class LayerNormalization(Layer):
    """Brings each sample to mean 0 and variance 1 along `axis`, then scales and shifts it.

    Args:
        axis: The axis (or axes) of one sample's features.
        epsilon: Added to the variance.
        center: Whether to add `beta`.
        scale: Whether to multiply by `gamma`.
        beta_initializer: Where beta starts.
        gamma_initializer: Where gamma starts.
        beta_regularizer: A penalty on beta.
        gamma_regularizer: A penalty on gamma.
        beta_constraint: A projection of beta after each update.
        gamma_constraint: A projection of gamma.
        rms_scaling: Whether to divide by the standard deviation without taking the mean away, and to have no beta;
            deprecated in Keras, as it is not the root mean square: use `RMSNormalization`.
        **kwargs: As for every layer.

    Weights: gamma, beta, with the sizes of the axes.

    Raises:
        ShapeError: An axis that the input does not have, or of unknown size.

    Source: Ba et al., 2016.

    Example:
        >>> import torch
        >>> from lamella.layers import LayerNormalization
        >>> y = LayerNormalization()(torch.tensor([[1.0, 3.0]]))
        >>> [round(v, 3) for v in y.flatten().tolist()]
        [-1.0, 1.0]
    """

    computes_in_float32 = True

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        rms_scaling: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if rms_scaling:
            warnings.warn(
                f"LayerNormalization {self.name!r}: rms_scaling=True is deprecated, as it divides by the standard "
                f"deviation, not the root mean square. Use RMSNormalization.",
                stacklevel=2,
            )
        axes = axis if isinstance(axis, (list, tuple)) else [axis]
        if not all(hasattr(each, "__index__") for each in axes):
            raise ArgumentTypeError(
                f"LayerNormalization {self.name!r}: `axis` must be a whole number or a list of them; got {axis!r}."
            )
        self.rms_scaling = rms_scaling
        self.axis = axis if isinstance(axis, int) else tuple(axis)
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
        axes = [self.axis] if isinstance(self.axis, int) else sorted(self.axis)
        if any(not -rank <= axis < rank or input_shape[axis] is None for axis in axes):
            raise ShapeError(
                f"LayerNormalization {self.name!r}: axis {self.axis} must be in the input and of known size; "
                f"got {tuple(input_shape)}."
            )
        self._axes = [axis % rank for axis in axes]
        if len(set(self._axes)) < len(axes):
            raise ShapeError(
                f"LayerNormalization {self.name!r}: axis {self.axis} of {tuple(input_shape)} names one twice."
            )
        self._shape = [input_shape[axis] for axis in self._axes]
        self._is_last = self._axes == list(range(rank - len(axes), rank))
        if self.scale or self.rms_scaling:
            self.gamma = self.add_weight(
                self._shape,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                name="gamma",
            )
        if self.center and not self.rms_scaling:
            self.beta = self.add_weight(
                self._shape,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                name="beta",
            )

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        inputs = self._in_floats(inputs)
        if self.rms_scaling:
            deviation = (inputs.var(self._axes, correction=0, keepdim=True) + self.epsilon).rsqrt()
            return inputs * deviation * self._beside(inputs)
        if self._is_last:
            return F.layer_norm(inputs, self._shape, self.gamma, self.beta, self.epsilon)
        last = list(range(-len(self._axes), 0))
        moved = inputs.movedim(self._axes, last)
        return F.layer_norm(moved, self._shape, self.gamma, self.beta, self.epsilon).movedim(last, self._axes)

    def _beside(self, inputs: torch.Tensor) -> torch.Tensor:
        """gamma, with the axes of the inputs."""
        assert self.gamma is not None
        shape = [size if axis in self._axes else 1 for axis, size in enumerate(inputs.shape)]
        order = sorted(range(len(self._axes)), key=lambda i: self._axes[i])
        return self.gamma.permute(order).reshape(shape)
