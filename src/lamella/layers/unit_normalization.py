"""`UnitNormalization`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella.errors import ArgumentTypeError, ShapeError
from lamella.layers.base import Layer, registry


@registry.register()
class UnitNormalization(Layer):
    """inputs / |inputs|: each sample's vector along `axis` gets length 1 (one of zeros stays so).

    Args:
        axis: The axis (or axes) that the length is taken over.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: An `axis` that is neither a whole number nor a list of them.
        ShapeError: An axis that the input does not have.

    Example:
        >>> import torch
        >>> from lamella.layers import UnitNormalization
        >>> UnitNormalization()(torch.tensor([[3.0, 4.0]]))
        tensor([[0.6000, 0.8000]])
    """

    computes_in_float32 = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        axes = axis if isinstance(axis, (list, tuple)) else [axis]
        if any(not isinstance(each, int) for each in axes):
            raise ArgumentTypeError(
                f"UnitNormalization {self.name!r}: `axis` must be a whole number or a list of them; got {axis!r}."
            )
        self.axis = axis if isinstance(axis, int) else list(axis)
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        axes = (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        if any(not -inputs.ndim <= axis < inputs.ndim for axis in axes):
            raise ShapeError(
                f"UnitNormalization {self.name!r}: the input has no axis {self.axis}; its shape is "
                f"{tuple(inputs.shape)}."
            )
        inputs = self._in_floats(inputs)
        if inputs.is_meta:  # torch would load its compiler, most of a second, for a shape that is known
            return torch.empty_like(inputs)
        length = torch.linalg.vector_norm(inputs, dim=axes, keepdim=True)
        return inputs / length.clamp(min=1e-12)
