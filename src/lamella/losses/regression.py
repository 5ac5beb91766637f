"""Losses for numbers."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import DataError
from lamella.losses.base import EPSILON, ElementwiseLoss, as_targets, matched, registry


@registry.register("mse", "MSE")
def mean_squared_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """mean((y_true - y_pred)^2) along the last axis.

    Example:
        >>> mean_squared_error([[0.0, 2.0]], [[0.0, 0.0]])
        tensor([2.])
    """
    y_true, y_pred = matched("mean_squared_error", y_true, y_pred)
    return F.mse_loss(y_pred, y_true, reduction="none").mean(dim=-1)


@registry.register("mae", "MAE")
def mean_absolute_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """mean(|y_true - y_pred|) along the last axis.

    Example:
        >>> mean_absolute_error([[0.0, 2.0]], [[0.0, 0.0]])
        tensor([1.])
    """
    y_true, y_pred = matched("mean_absolute_error", y_true, y_pred)
    return (y_true - y_pred).abs().mean(dim=-1)


@registry.register("mape", "MAPE")
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """100 * mean(|y_true - y_pred| / |y_true|) along the last axis.

    Example:
        >>> mean_absolute_percentage_error([[2.0]], [[1.0]])
        tensor([50.])
    """
    y_true, y_pred = matched("mean_absolute_percentage_error", y_true, y_pred)
    return 100.0 * ((y_true - y_pred) / y_true.abs().clamp(min=EPSILON)).abs().mean(dim=-1)


@registry.register("msle", "MSLE")
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """mean((log(1 + y_true) - log(1 + y_pred))^2) along the last axis.

    Example:
        >>> mean_squared_logarithmic_error([[0.0]], [[1.0]])
        tensor([0.4805])
    """
    y_true, y_pred = matched("mean_squared_logarithmic_error", y_true, y_pred)
    difference = torch.log(y_pred.clamp(min=EPSILON) + 1.0) - torch.log(y_true.clamp(min=EPSILON) + 1.0)
    return difference.square().mean(dim=-1)


@registry.register()
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> torch.Tensor:
    """Half the squared error up to `delta`, then linear: outliers count less (Huber, 1964).

    Example:
        >>> huber([[0.0, 0.0]], [[0.5, 3.0]])
        tensor([1.3125])
    """
    y_true, y_pred = matched("huber", y_true, y_pred)
    return F.huber_loss(y_pred, y_true, reduction="none", delta=delta).mean(dim=-1)


@registry.register("logcosh")
def log_cosh(y_true: Any, y_pred: Any) -> torch.Tensor:
    """mean(log(cosh(y_pred - y_true))) along the last axis: a smooth absolute error.

    Example:
        >>> log_cosh([[0.0]], [[1.0]])
        tensor([0.4338])
    """
    y_true, y_pred = matched("log_cosh", y_true, y_pred)
    error = y_pred - y_true
    return (error + F.softplus(-2.0 * error) - math.log(2.0)).mean(dim=-1)


@registry.register()
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """Minus the cosine of the angle between target and prediction: -1 is best.

    Example:
        >>> cosine_similarity([[1.0, 0.0]], [[2.0, 0.0]])
        tensor([-1.])
    """
    y_true, y_pred = matched("cosine_similarity", y_true, y_pred)
    return -(_unit(y_true, axis) * _unit(y_pred, axis)).sum(dim=axis)


def _unit(x: torch.Tensor, axis: int) -> torch.Tensor:
    # sqrt(max(x^2, eps)) rather than max(norm, eps): its gradient at zero is finite.
    return x * torch.rsqrt(x.square().sum(dim=axis, keepdim=True).clamp(min=EPSILON**2))


@registry.register()
class MeanSquaredError(ElementwiseLoss):
    """The mean of (y_true - y_pred)^2.

    Example:
        >>> MeanSquaredError()([[0.0], [2.0]], [[0.0], [0.0]])
        tensor(2.)
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)

    def mean(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        y_true, y_pred = matched(self.name, y_true, y_pred)
        return F.mse_loss(y_pred, y_true)


@registry.register()
class MeanAbsoluteError(ElementwiseLoss):
    """The mean of |y_true - y_pred|.

    Example:
        >>> MeanAbsoluteError()([[0.0], [2.0]], [[0.0], [0.0]])
        tensor(1.)
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)

    def mean(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        y_true, y_pred = matched(self.name, y_true, y_pred)
        return F.l1_loss(y_pred, y_true)


@registry.register()
class MeanAbsolutePercentageError(ElementwiseLoss):
    """100 times the mean of |y_true - y_pred| / |y_true|.

    Example:
        >>> MeanAbsolutePercentageError()([[2.0]], [[1.0]])
        tensor(50.)
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_percentage_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


@registry.register()
class MeanSquaredLogarithmicError(ElementwiseLoss):
    """The mean of (log(1 + y_true) - log(1 + y_pred))^2, for targets of 0 or more.

    Example:
        >>> MeanSquaredLogarithmicError()([[0.0]], [[1.0]])
        tensor(0.4805)
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)

    def check_targets(self, y_true: Any, output_shape: Any) -> None:
        super().check_targets(y_true, output_shape)
        check_not_negative(self.name, y_true)


@registry.register()
class Huber(ElementwiseLoss):
    """Half the squared error up to `delta`, then linear (Huber, 1964).

    Example:
        >>> Huber()([[0.0, 0.0]], [[0.5, 3.0]])
        tensor(1.3125)
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(huber, reduction, name, dtype, delta=delta)
        self.delta = delta

    def mean(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        y_true, y_pred = matched(self.name, y_true, y_pred)
        return F.huber_loss(y_pred, y_true, delta=self.delta)


@registry.register()
class LogCosh(ElementwiseLoss):
    """The mean of log(cosh(y_pred - y_true)).

    Example:
        >>> LogCosh()([[0.0]], [[1.0]])
        tensor(0.4338)
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "log_cosh", dtype: Any = None
    ) -> None:
        super().__init__(log_cosh, reduction, name, dtype)


@registry.register()
class CosineSimilarity(ElementwiseLoss):
    """Minus the cosine of the angle between target and prediction.

    Example:
        >>> CosineSimilarity()([[1.0, 0.0]], [[2.0, 0.0]])
        tensor(-1.)
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)
        self.axis = axis


def check_not_negative(name: str, y_true: torch.Tensor) -> None:
    """Raises DataError for targets below zero."""
    y_true = as_targets(name, y_true)
    if y_true.numel() and bool((y_true < 0).any()):
        first = (y_true < 0).nonzero()[0].tolist()
        raise DataError(
            f"{name} is for targets of 0 or more; the smallest found is {float(y_true.min()):g}, "
            f"the first negative one "
            f"is at sample {first[0]}. Use mean_squared_error for targets of either sign."
        )
