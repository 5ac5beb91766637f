"""F-scores: precision and recall in one number."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import ArgumentError, ShapeError
from lamella.metrics.base import EPSILON, Metric, registry, spread, tensors


@registry.register()
class FBetaScore(Metric):
    """(1 + beta^2) precision recall / (beta^2 precision + recall), for one-hot targets.

    Args:
        average: None for a score of each class; `"micro"` over all, `"macro"` their mean, `"weighted"` by class size.
        beta: How much more recall counts.
        threshold: Above which a prediction is positive; None: the largest of a sample is.
        name: A name.
        dtype: The data type of the result.

    Source: van Rijsbergen, 1979.

    Example:
        >>> from lamella.metrics import FBetaScore
        >>> metric = FBetaScore(average="micro")
        >>> round(float(metric([[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.2]])), 3)
        0.5
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if average not in (None, "micro", "macro", "weighted"):
            raise ArgumentError(f"{name}: `average` must be None, 'micro', 'macro' or 'weighted'; got {average!r}.")
        if not isinstance(beta, float) or beta <= 0:
            raise ArgumentError(f"{name}: `beta` must be a positive float; got {beta!r}.")
        if threshold is not None and (not isinstance(threshold, float) or not 0 < threshold <= 1):
            raise ArgumentError(f"{name}: `threshold` must be a float above 0 and at most 1; got {threshold!r}.")
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self._made = False

    def _make(self, classes: int) -> None:
        shape = () if self.average == "micro" else (classes,)
        self.true_positives = self.add_variable(shape)
        self.false_positives = self.add_variable(shape)
        self.false_negatives = self.add_variable(shape)
        self.intermediate_weights = self.add_variable(shape)
        self._made = True

    @torch.no_grad()
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred, weight = tensors(y_true, y_pred, sample_weight)
        if y_pred.ndim != 2 or y_true.shape != y_pred.shape:
            raise ShapeError(
                f"{self.name}: expected targets and predictions of one shape (batch, classes); "
                f"got {tuple(y_true.shape)} and "
                f"{tuple(y_pred.shape)}. Make class numbers one-hot with lamella.utils.to_categorical(y)."
            )
        if not self._made:
            self._make(y_pred.shape[1])
        self._follow(y_pred)
        if self.threshold is None:
            positive = (y_pred >= y_pred.amax(dim=-1, keepdim=True)) & (y_pred.abs() > 1e-9)
        else:
            positive = y_pred > self.threshold
        kind = self.true_positives.dtype
        p, t = positive.to(kind), y_true.to(kind)
        w = None if weight is None else spread(self.name, weight.to(p), p)
        axis = None if self.average == "micro" else 0

        def total(values: torch.Tensor) -> torch.Tensor:
            values = values if w is None else values * w
            return values.sum() if axis is None else values.sum(dim=axis)

        self.true_positives.add_(total(p * t))
        self.false_positives.add_(total(p * (1 - t)))
        self.false_negatives.add_(total((1 - p) * t))
        self.intermediate_weights.add_(total(t))

    def result(self) -> torch.Tensor:
        self._needs_a_batch()
        precision = self.true_positives / (self.true_positives + self.false_positives + EPSILON)
        recall = self.true_positives / (self.true_positives + self.false_negatives + EPSILON)
        square = self.beta**2
        score = (1 + square) * precision * recall / (square * precision + recall + EPSILON)
        if self.average == "weighted":
            score = (score * self.intermediate_weights / (self.intermediate_weights.sum() + EPSILON)).sum()
        elif self.average is not None:
            score = score.mean()
        return self._result(score)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "average": self.average,
            "beta": self.beta,
            "threshold": self.threshold,
        }


@registry.register()
class F1Score(FBetaScore):
    """2 precision recall / (precision + recall), for one-hot targets.

    Example:
        >>> from lamella.metrics import F1Score
        >>> F1Score()([[1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8]])
        tensor([1.0000, 1.0000])
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["beta"]
        return config
