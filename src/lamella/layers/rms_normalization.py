"""`RMSNormalization`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import ShapeError
from lamella.layers.base import Layer, registry


@registry.register()
class RMSNormalization(Layer):
    """inputs / sqrt(mean(inputs**2) + epsilon) * scale, the mean along `axis`.

    Args:
        axis: The axis (or axes) of one sample's features.
        epsilon: Added to the mean square.
        **kwargs: As for every layer.

    Weights: scale, with the sizes of the axes.

    Raises:
        ShapeError: An axis that the input does not have, or of unknown size.

    Source: Zhang and Sennrich, 2019.

    Example:
        >>> import torch
        >>> from lamella.layers import RMSNormalization
        >>> RMSNormalization()(torch.tensor([[3.0, 4.0]])).square().mean().item().__round__(3)
        1.0
    """

    computes_in_float32 = True

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis if isinstance(axis, int) else tuple(sorted(axis))
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        rank = len(input_shape)
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        if any(not -rank <= axis < rank or input_shape[axis] is None for axis in axes):
            raise ShapeError(
                f"RMSNormalization {self.name!r}: axis {self.axis} must be in the input and of known size; got "
                f"{tuple(input_shape)}."
            )
        self._axes = axes
        self._shape = [input_shape[axis] for axis in axes]
        self.scale = self.add_weight(self._shape, "ones", name="scale")

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        inputs = self._in_floats(inputs)
        if inputs.is_meta:  # torch would load its compiler, most of a second, for a shape that is known
            return torch.empty_like(inputs)
        rank, last = inputs.ndim, list(range(-len(self._axes), 0))
        axes = [axis % rank for axis in self._axes]  # counted from the end: the rank may be another than at `build`
        if axes == [axis + rank for axis in last]:
            return F.rms_norm(inputs, self._shape, self.scale, self.epsilon)
        moved = inputs.movedim(axes, last)
        return F.rms_norm(moved, self._shape, self.scale, self.epsilon).movedim(last, axes)
