"""The coefficient of determination."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import ArgumentError, ShapeError
from lamella.losses.base import same_rank
from lamella.metrics.base import Metric, registry, spread, tensors


@registry.register()
class R2Score(Metric):
    """1 - residual / total sum of squares: 1 is perfect, 0 no better than the mean.

    Args:
        class_aggregation: How outputs are put together: `"uniform_average"`, `"variance_weighted_average"`, or None.
        num_regressors: For the adjusted score: the number of predictors.
        name: A name.
        dtype: The data type of the result.

    Example:
        >>> from lamella.metrics import R2Score
        >>> round(float(R2Score()([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]])), 4)
        0.5714
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        allowed = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in allowed:
            raise ArgumentError(f"R2Score: `class_aggregation` must be one of {allowed}; got {class_aggregation!r}.")
        if num_regressors < 0:
            raise ArgumentError(f"R2Score: `num_regressors` must be 0 or more; got {num_regressors}.")
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable(())
        self._made = False

    @torch.no_grad()
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred, weight = tensors(y_true, y_pred, sample_weight)
        y_true, y_pred = same_rank(y_true, y_pred)
        if y_true.ndim != 2 or y_pred.shape != y_true.shape:
            raise ShapeError(
                f"R2Score: expected targets and predictions of equal shape (batch, outputs); "
                f"got {tuple(y_true.shape)} and "
                f"{tuple(y_pred.shape)}."
            )
        if not self._made:
            shape = (y_pred.shape[1],)
            self.squared_sum = self.add_variable(shape)
            self.sum = self.add_variable(shape)
            self.total_mse = self.add_variable(shape)
            self.count = self.add_variable(shape)
            self._made = True
        self._follow(y_pred)
        kind = self.num_samples.dtype
        y_true, y_pred = y_true.to(kind), y_pred.to(kind)
        w = torch.ones_like(y_true) if weight is None else spread(self.name, weight.to(y_true), y_true)
        self.sum.add_((y_true * w).sum(dim=0))
        self.squared_sum.add_((y_true * y_true * w).sum(dim=0))
        self.total_mse.add_(((y_true - y_pred).square() * w).sum(dim=0))
        self.count.add_(w.sum(dim=0))
        self.num_samples.add_((w != 0).any(dim=-1).sum())

    def result(self) -> torch.Tensor:
        self._needs_a_batch()
        mean = self.sum / self.count
        total = self.squared_sum - self.sum * mean
        scores = 1 - self.total_mse / total
        scores = torch.where(torch.isinf(scores), torch.zeros_like(scores), scores)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (total * scores).sum() / total.sum()
        if self.num_regressors:
            n, p = self.num_samples, self.num_regressors
            adjusted = 1 - (1 - scores) * (n - 1) / (n - p - 1)
            scores = torch.where(n - 1 > p, adjusted, scores)
        return self._result(scores)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "class_aggregation": self.class_aggregation,
            "num_regressors": self.num_regressors,
        }
