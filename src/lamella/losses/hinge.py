"""Hinge losses: for margins. Labels may be -1 and 1, or 0 and 1."""

from __future__ import annotations

from typing import Any

import torch

from lamella.losses.base import ElementwiseLoss, matched, registry


def _signs(y_true: torch.Tensor) -> torch.Tensor:
    """Labels 0 and 1 as -1 and 1; others as they are (decided without waiting for the device)."""
    binary = ((y_true == 0) | (y_true == 1)).all()
    return torch.where(binary, 2.0 * y_true - 1.0, y_true)


@registry.register()
def hinge(y_true: Any, y_pred: Any) -> torch.Tensor:
    """mean(max(1 - y p, 0)) along the last axis (Cortes and Vapnik, 1995).

    Example:
        >>> hinge([[-1.0, 1.0]], [[0.5, 2.0]])
        tensor([0.7500])
    """
    y_true, y_pred = matched("hinge", y_true, y_pred)
    return (1.0 - _signs(y_true) * y_pred).clamp(min=0.0).mean(dim=-1)


@registry.register()
def squared_hinge(y_true: Any, y_pred: Any) -> torch.Tensor:
    """mean(max(1 - y p, 0)^2) along the last axis.

    Example:
        >>> squared_hinge([[-1.0, 1.0]], [[1.0, 2.0]])
        tensor([2.])
    """
    y_true, y_pred = matched("squared_hinge", y_true, y_pred)
    return (1.0 - _signs(y_true) * y_pred).clamp(min=0.0).square().mean(dim=-1)


@registry.register()
def categorical_hinge(y_true: Any, y_pred: Any) -> torch.Tensor:
    """max(1 + max(p of wrong classes) - p of the right class, 0), for one-hot targets.

    Example:
        >>> categorical_hinge([[0.0, 1.0]], [[0.5, 0.5]])
        tensor([1.])
    """
    y_true, y_pred = matched("categorical_hinge", y_true, y_pred)
    right = (y_true * y_pred).sum(dim=-1)
    wrong = ((1.0 - y_true) * y_pred).amax(dim=-1)
    return (wrong - right + 1.0).clamp(min=0.0)


@registry.register()
class Hinge(ElementwiseLoss):
    """mean(max(1 - y p, 0)) (Cortes and Vapnik, 1995).

    Example:
        >>> Hinge()([[-1.0, 1.0]], [[0.5, 2.0]])
        tensor(0.7500)
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str = "hinge", dtype: Any = None) -> None:
        super().__init__(hinge, reduction, name, dtype)


@registry.register()
class SquaredHinge(ElementwiseLoss):
    """mean(max(1 - y p, 0)^2).

    Example:
        >>> SquaredHinge()([[-1.0, 1.0]], [[1.0, 2.0]])
        tensor(2.)
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "squared_hinge", dtype: Any = None
    ) -> None:
        super().__init__(squared_hinge, reduction, name, dtype)


@registry.register()
class CategoricalHinge(ElementwiseLoss):
    """max(1 + max(p of wrong classes) - p of the right class, 0).

    Example:
        >>> CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.5]])
        tensor(1.)
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(categorical_hinge, reduction, name, dtype)
