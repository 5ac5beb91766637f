"""Activations as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella import activations, constraints, initializers, regularizers
from lamella.errors import ArgumentError, ShapeError
from lamella.layers.base import InputSpec, Layer, registry


class _Elementwise(Layer):
    """What these layers share: any shape in, the same shape out, masks passed on."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self._build_at_init()


@registry.register()
class Activation(_Elementwise):
    """Applies an activation, given by name or as a function.

    Example:
        >>> import torch
        >>> from lamella.layers import Activation
        >>> Activation("relu")(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.activation(inputs)


@registry.register()
class ReLU(_Elementwise):
    """max(x, 0), with `activations.relu`'s further arguments.

    Example:
        >>> import torch
        >>> from lamella.layers import ReLU
        >>> ReLU(max_value=1.5)(torch.tensor([-1.0, 2.0]))
        tensor([0.0000, 1.5000])
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (
            ("max_value", max_value),
            ("negative_slope", negative_slope),
            ("threshold", threshold),
        ):
            if (value is None and name != "max_value") or (value is not None and value < 0):
                raise ArgumentError(f"ReLU {self.name!r}: `{name}` must be 0 or more; got {value!r}.")
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


@registry.register()
class LeakyReLU(_Elementwise):
    """x where positive, `negative_slope` * x elsewhere (Maas et al., 2013).

    Example:
        >>> import torch
        >>> from lamella.layers import LeakyReLU
        >>> LeakyReLU()(torch.tensor([-1.0, 2.0]))
        tensor([-0.3000,  2.0000])
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        if "alpha" in kwargs:  # its name in Keras 2
            negative_slope = kwargs.pop("alpha")
        super().__init__(**kwargs)
        if negative_slope is None or negative_slope < 0:
            raise ArgumentError(f"LeakyReLU {self.name!r}: `negative_slope` must be 0 or more; got {negative_slope!r}.")
        self.negative_slope = negative_slope

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return F.leaky_relu(self._in_floats(inputs), self.negative_slope)


@registry.register()
class ThresholdedReLU(_Elementwise):
    """x where it is above `theta`, 0 elsewhere (Konda et al., 2014); a layer of `tf.keras`.

    Raises:
        ArgumentError: A `theta` below 0.

    Example:
        >>> import torch
        >>> from lamella.layers import ThresholdedReLU
        >>> ThresholdedReLU(theta=1.0)(torch.tensor([-1.0, 1.0, 2.0]))
        tensor([0., 0., 2.])
    """

    def __init__(self, theta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if theta is None or theta < 0:
            raise ArgumentError(f"ThresholdedReLU {self.name!r}: `theta` must be 0 or more; got {theta!r}.")
        self.theta = theta

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return F.threshold(inputs, self.theta, 0.0)


@registry.register()
class ELU(_Elementwise):
    """x where positive, alpha * (exp(x) - 1) elsewhere (Clevert et al., 2016).

    Example:
        >>> import torch
        >>> from lamella.layers import ELU
        >>> ELU()(torch.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return F.elu(self._in_floats(inputs), self.alpha)


@registry.register()
class PReLU(Layer):
    """x where positive, alpha * x elsewhere, alpha learnt (He et al., 2015).

    Args:
        alpha_initializer: Where alpha starts.
        alpha_regularizer: A penalty on alpha.
        alpha_constraint: A projection of alpha after each update.
        shared_axes: Axes along which alpha is the same, such as `[1, 2]` for one a channel.
        **kwargs: As for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import PReLU
        >>> PReLU(alpha_initializer="ones")(torch.tensor([[-1.0, 2.0]])).tolist()
        [[-1.0, 2.0]]
    """

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        if shared_axes is not None:
            shared_axes = [shared_axes] if isinstance(shared_axes, int) else list(shared_axes)
        self.shared_axes = shared_axes
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            if not -len(shape) < axis <= len(shape):
                raise ShapeError(
                    f"PReLU {self.name!r}: `shared_axes` must name axes of the input after the batch, from 1 to "
                    f"{len(shape)}; got {list(self.shared_axes or ())} for an input of shape {tuple(input_shape)}."
                )
            shape[axis - 1] = 1
        self.alpha = self.add_weight(
            shape,
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            name="alpha",
        )
        own = {axis: size for axis, size in enumerate(input_shape) if axis and axis not in (self.shared_axes or ())}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=own)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.where(inputs > 0, inputs, self.alpha * inputs)


@registry.register()
class Softmax(Layer):
    """exp(x) / sum(exp(x)) along `axis`; where a mask is False, the result is 0.

    Example:
        >>> import torch
        >>> from lamella.layers import Softmax
        >>> Softmax()(torch.zeros(1, 2))
        tensor([[0.5000, 0.5000]])
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        inputs = self._in_floats(inputs)
        if mask is None:
            return self._softmax(inputs)
        self._check_mask(inputs, mask)
        mask = mask if mask.dtype is torch.bool else mask > 0.5
        large = 3e4 if inputs.dtype is torch.float16 else 1e9
        # Zero once more: where all of an axis is masked, the softmax would be uniform.
        return self._softmax(inputs.masked_fill(~mask, -large)).masked_fill(~mask, 0.0)

    def _check_mask(self, inputs: torch.Tensor, mask: torch.Tensor) -> None:
        sizes = zip(reversed(mask.shape), reversed(inputs.shape), strict=False)
        if mask.ndim > inputs.ndim or any(own not in (1, size) for own, size in sizes):
            raise ShapeError(
                f"Softmax {self.name!r}: the mask must broadcast to the inputs, each of its sizes 1 or theirs; got a "
                f"mask of shape {tuple(mask.shape)} for inputs of shape {tuple(inputs.shape)}."
            )

    def _softmax(self, inputs: torch.Tensor) -> torch.Tensor:
        if isinstance(self.axis, int):
            return activations.softmax(inputs, self.axis)
        if len(self.axis) == 1:
            return activations.softmax(inputs, self.axis[0])
        axes = tuple(self.axis)
        return torch.exp(inputs - torch.logsumexp(inputs, axes, keepdim=True))
