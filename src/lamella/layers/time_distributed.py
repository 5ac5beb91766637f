"""`TimeDistributed`: one layer for each step of a sequence."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import ShapeError
from lamella.layers.base import Layer, registry
from lamella.layers.batch_normalization import BatchNormalization
from lamella.layers.wrapper import Wrapper, build_layer


@registry.register()
class TimeDistributed(Wrapper):
    """Applies a layer, with the same weights, to each step of its input on its own.

    Layers that treat every sample alone see all steps at once, as one large batch. Those that look at the batch as a
    whole (a training `BatchNormalization`, layers of your own) are called step by step.

    Args:
        layer: The layer.
        **kwargs: As for every layer.

    Shapes: (batch, time, ...) -> (batch, time, *what the layer makes of ...).

    Raises:
        ShapeError: An input without a time axis; a mask that does not fit.

    Example:
        >>> import torch
        >>> from lamella.layers import Conv2D, TimeDistributed
        >>> TimeDistributed(Conv2D(4, 3))(torch.ones(2, 10, 8, 8, 3)).shape
        torch.Size([2, 10, 6, 6, 4])
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any = None) -> None:
        if not isinstance(input_shape, (list, tuple)) or len(input_shape) < 3:
            raise ShapeError(
                f"TimeDistributed {self.name!r} takes inputs (batch, time, ...); got shape {input_shape}. "
                f"Add the missing axis, with expand_dims(x, -1) if each step is one number."
            )
        build_layer(self.layer, (input_shape[0], *input_shape[2:]))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the steps: a step is real if anything in it is."""
        if previous_mask is None or previous_mask.ndim <= 2:
            return previous_mask
        return previous_mask.flatten(2).any(-1)

    def _can_be_quick(self) -> bool:
        return self.activity_regularizer is None  # without a mask there is none to make

    def call(self, inputs: torch.Tensor, training: bool | None = None, mask: torch.Tensor | None = None) -> Any:
        if mask is not None:
            self._check_mask(mask, inputs)
        if mask is not None and "mask" not in self.layer._call_takes:
            mask = None
        batch, steps = inputs.shape[:2]
        if self._steps_are_alone(training):
            flat_mask = None if mask is None else mask.flatten(0, 1)
            return self._inner(inputs.flatten(0, 1), flat_mask, training).unflatten(0, (batch, steps))
        count = 1 if inputs.is_meta else steps  # every step has the shape of the first
        outputs = [self._inner(inputs[:, t], None if mask is None else mask[:, t], training) for t in range(count)]
        y = torch.stack(outputs, 1)
        return y.expand(batch, steps, *y.shape[2:])

    def _inner(self, x: torch.Tensor, mask: torch.Tensor | None, training: bool | None) -> torch.Tensor:
        return self.layer(x, training=training) if mask is None else self.layer(x, training=training, mask=mask)

    def _steps_are_alone(self, training: bool | None) -> bool:
        for module in self.layer.modules():
            if isinstance(module, BatchNormalization) and training:
                return False
            if isinstance(module, Layer) and type(module).__module__.split(".")[0] != "lamella":
                return False
            if getattr(module, "stateful", False):
                return False
        return True

    def _check_mask(self, mask: torch.Tensor, inputs: torch.Tensor) -> None:
        if mask.ndim < 2 or mask.shape[:2] != inputs.shape[:2]:
            raise ShapeError(
                f"TimeDistributed {self.name!r}: the mask must begin with (batch, time) = {tuple(inputs.shape[:2])}; "
                f"got shape {tuple(mask.shape)}."
            )
