"""Losses for distributions and counts."""

from __future__ import annotations

from typing import Any

import torch

from lamella.losses.base import EPSILON, ElementwiseLoss, matched, registry
from lamella.losses.regression import check_not_negative


@registry.register("kld", "KLD", "kullback_leibler_divergence")
def kl_divergence(y_true: Any, y_pred: Any) -> torch.Tensor:
    """sum(y log(y / p)) along the last axis (Kullback and Leibler, 1951).

    Example:
        >>> kl_divergence([[0.5, 0.5]], [[0.5, 0.5]])
        tensor([0.])
    """
    y_true, y_pred = matched("kl_divergence", y_true, y_pred)
    y_true, y_pred = y_true.clamp(EPSILON, 1), y_pred.clamp(EPSILON, 1)
    return (y_true * torch.log(y_true / y_pred)).sum(dim=-1)


@registry.register()
def poisson(y_true: Any, y_pred: Any) -> torch.Tensor:
    """mean(p - y log p) along the last axis: for counts.

    Example:
        >>> poisson([[1.0]], [[1.0]])
        tensor([1.0000])
    """
    y_true, y_pred = matched("poisson", y_true, y_pred)
    return (y_pred - y_true * torch.log(y_pred + EPSILON)).mean(dim=-1)


@registry.register()
class KLDivergence(ElementwiseLoss):
    """sum(y log(y / p)) (Kullback and Leibler, 1951).

    Example:
        >>> KLDivergence()([[0.5, 0.5]], [[0.5, 0.5]])
        tensor(0.)
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "kl_divergence", dtype: Any = None
    ) -> None:
        super().__init__(kl_divergence, reduction, name, dtype)


@registry.register()
class Poisson(ElementwiseLoss):
    """mean(p - y log p), for counts.

    Example:
        >>> Poisson()([[1.0]], [[1.0]])
        tensor(1.0000)
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str = "poisson", dtype: Any = None) -> None:
        super().__init__(poisson, reduction, name, dtype)

    def check_targets(self, y_true: Any, output_shape: Any) -> None:
        super().check_targets(y_true, output_shape)
        check_not_negative(self.name, y_true)
