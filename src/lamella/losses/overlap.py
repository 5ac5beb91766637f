"""Losses of overlap, for segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella.losses.base import EPSILON, ElementwiseLoss, matched, registry

Axis = int | Sequence[int] | None


@registry.register()
def dice(y_true: Any, y_pred: Any, axis: Axis = None) -> torch.Tensor:
    """1 - 2 |y p| / (|y| + |p|), over `axis` or everything (Dice, 1945; Milletari et al., 2016).

    Example:
        >>> dice([1.0, 1.0], [1.0, 1.0])
        tensor(0.)
    """
    y_true, y_pred = matched("dice", y_true, y_pred)
    overlap = _sum(y_true * y_pred, axis)
    return 1 - 2.0 * overlap / (_sum(y_true, axis) + _sum(y_pred, axis) + EPSILON)


@registry.register()
def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Axis = None) -> torch.Tensor:
    """1 - |y p| / (|y p| + alpha |y (1 - p)| + beta |(1 - y) p|) (Salehi et al., 2017).

    Args:
        y_true: Targets.
        y_pred: Predictions.
        alpha: What a target that was not predicted costs, as Keras computes it up to 3.15; its next version will take
            the two the other way round, as the paper.
        beta: What a prediction off target costs.
        axis: The axes summed over; all by default.

    Example:
        >>> round(float(tversky([1.0, 0.0], [0.5, 0.5])), 4)
        0.5
    """
    y_true, y_pred = matched("tversky", y_true, y_pred)
    overlap = _sum(y_true * y_pred, axis)
    missed = _sum((1 - y_pred) * y_true, axis)
    false = _sum(y_pred * (1 - y_true), axis)
    return 1 - overlap / (overlap + missed * alpha + false * beta + EPSILON)


def _sum(x: torch.Tensor, axis: Axis) -> torch.Tensor:
    return x.sum() if axis is None else x.sum(dim=axis if isinstance(axis, int) else tuple(axis))


@registry.register()
class Dice(ElementwiseLoss):
    """1 - 2 |y p| / (|y| + |p|) (Milletari et al., 2016).

    Example:
        >>> Dice()([[1.0, 1.0]], [[1.0, 1.0]])
        tensor(0.)
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "dice",
        axis: Axis = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dice, reduction, name, dtype, axis=axis)
        self.axis = axis


@registry.register()
class Tversky(ElementwiseLoss):
    """Dice with separate prices for missed and for false pixels (Salehi et al., 2017).

    Example:
        >>> round(float(Tversky()([[1.0, 0.0]], [[0.5, 0.5]])), 4)
        0.5
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "tversky",
        axis: Axis = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)
        self.alpha = alpha
        self.beta = beta
        self.axis = axis
