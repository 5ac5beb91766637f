"""What `compile(loss=...)` was given for one output, as one loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella.losses import Loss, as_loss
from lamella.training import crossentropy_by_shape


def loss_of_output(loss: Any) -> Loss:
    """The loss of one output; a list of several is their sum.

    Example:
        >>> import torch
        >>> loss_of_output(["mse", "mae"])(torch.zeros(1, 1), torch.full((1, 1), 2.0))
        tensor(6.)
    """
    if isinstance(loss, (list, tuple)) and len(loss) != 1:
        return SumOfLosses([loss_of_output(each) for each in loss])
    if isinstance(loss, (list, tuple)):
        return loss_of_output(loss[0])
    by_shape = isinstance(loss, str) and loss.lower() in crossentropy_by_shape.NAMES
    return crossentropy_by_shape.CrossentropyByShape(loss) if by_shape else as_loss(loss)


def is_config(loss: Any) -> bool:
    """Whether it is a loss as plain data and no dict of losses."""
    return isinstance(loss, dict) and "class_name" in loss and "config" in loss


class SumOfLosses(Loss):
    """Several losses of one output."""

    def __init__(self, losses: Sequence[Loss]) -> None:
        super().__init__(name="_".join(loss.name for loss in losses))
        self._losses = losses

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return sum(loss(y_true, y_pred, sample_weight) for loss in self._losses)

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        for loss in self._losses:
            loss.check_targets(y_true, output_shape)
