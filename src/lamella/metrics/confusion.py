"""Metrics of true and false positives and negatives, at one threshold or many.

Many thresholds cost no more than one: each prediction is put into the interval between two thresholds, and
the counts above each are sums over the intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella.engine import masking
from lamella.errors import ArgumentError, ShapeError
from lamella.losses.base import same_rank
from lamella.metrics.base import EPSILON, Metric, divide_no_nan, registry, tensors

Thresholds = Any
_LOWEST = -1e10


def _parsed(metric: Metric, thresholds: Thresholds, default: float) -> list[float]:
    if thresholds is None:
        return [default]
    values = list(thresholds) if isinstance(thresholds, (list, tuple)) else [thresholds]
    wrong = [value for value in values if value is None or not 0 <= value <= 1]
    if wrong:
        raise ArgumentError(f"{metric.name}: thresholds must lie from 0 to 1; got {wrong}.")
    return [float(value) for value in values]


class Confusion(Metric):
    """The base: counts of true and false positives and negatives for each threshold (and label)."""

    def _start(self, thresholds: Sequence[float], top_k: int | None = None, class_id: int | None = None) -> None:
        self.thresholds = list(thresholds)
        self.top_k = top_k
        self.class_id = class_id
        self._make_counts(())

    def _make_counts(self, labels: tuple[int, ...]) -> None:
        shape = (len(self.thresholds), *labels)
        self.true_positives = self.add_variable(shape)
        self.false_positives = self.add_variable(shape)
        self.true_negatives = self.add_variable(shape)
        self.false_negatives = self.add_variable(shape)

    @torch.no_grad()
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        mask = masking.get_mask(y_pred) if masking.in_use else None
        y_true, y_pred, weight = tensors(y_true, y_pred, sample_weight)
        y_true, y_pred = same_rank(y_true, y_pred)
        if y_true.shape != y_pred.shape:
            raise ShapeError(
                f"{self.name}: targets of shape {tuple(y_true.shape)} and predictions of shape {tuple(y_pred.shape)} "
                f"must be equal. For class numbers, make the targets one-hot with lamella.utils.to_categorical(y)."
            )
        if y_pred.device != self.true_positives.device:
            self.to(y_pred.device)
        if not y_pred.is_floating_point():
            y_pred = y_pred.to(torch.float32)
        if mask is not None:
            weight = mask.to(y_pred.dtype) if weight is None else weight * mask
        if self.top_k is not None:
            best = torch.zeros_like(y_pred).scatter(-1, y_pred.topk(self.top_k, dim=-1).indices, 1.0)
            y_pred = torch.where(best > 0, y_pred, torch.full_like(y_pred, _LOWEST))
        if self.class_id is not None:
            if not 0 <= self.class_id < y_pred.shape[-1]:
                raise ArgumentError(
                    f"{self.name}: `class_id` is {self.class_id}, but the predictions have {y_pred.shape[-1]} classes."
                )
            y_true, y_pred = y_true[..., self.class_id], y_pred[..., self.class_id]
        self._count(y_true, y_pred, weight)

    def _count(self, y_true: torch.Tensor, y_pred: torch.Tensor, weight: torch.Tensor | None) -> None:
        if weight is not None:
            y_pred, weight = same_rank(y_pred, weight.to(y_pred))
            while weight.ndim < y_pred.ndim:
                weight = weight.unsqueeze(-1)
            weight = weight.expand(y_true.shape)
        labels = self.true_positives.shape[1:]
        columns = labels[0] if labels else 1
        # The thresholds below a prediction are those for which it counts as positive.
        edges = torch.tensor(self.thresholds, dtype=y_pred.dtype, device=y_pred.device)
        order = edges.argsort()
        bucket = torch.bucketize(y_pred.contiguous(), edges[order])
        rows = len(self.thresholds) + 1
        index = bucket * columns
        if labels:
            index = index + torch.arange(columns, device=y_pred.device)
        amounts = torch.ones_like(y_pred) if weight is None else weight
        amounts = amounts.to(self.true_positives.dtype).reshape(-1)
        positive = (y_true.to(torch.bool)).reshape(-1).to(amounts.dtype) * amounts
        flat = index.reshape(-1)
        both = amounts.new_zeros(2, rows * columns)
        both[0].index_add_(0, flat, positive)
        both[1].index_add_(0, flat, amounts - positive)
        counts = both.reshape(2, rows, columns)
        total = counts.sum(dim=1, keepdim=True)
        above = total - counts.cumsum(dim=1)[:, :-1]
        place = order.argsort()
        above = above[:, place].reshape(2, *self.true_positives.shape)
        total = total.expand(2, len(self.thresholds), columns).reshape(2, *self.true_positives.shape)
        self.true_positives.add_(above[0])
        self.false_positives.add_(above[1])
        self.false_negatives.add_(total[0] - above[0])
        self.true_negatives.add_(total[1] - above[1])

    def _single(self, value: torch.Tensor) -> torch.Tensor:
        return self._result(value[0] if len(self.thresholds) == 1 else value)


class _Count(Confusion):
    """The base of the four counts."""

    _counted: str

    def __init__(self, thresholds: Thresholds = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.init_thresholds = thresholds
        self._start(_parsed(self, thresholds, 0.5))

    def result(self) -> torch.Tensor:
        return self._single(getattr(self, self._counted))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


@registry.register()
class TruePositives(_Count):
    """How many positives were predicted positive.

    Example:
        >>> from lamella.metrics import TruePositives
        >>> float(TruePositives()([1, 0, 1], [0.9, 0.9, 0.1]))
        1.0
    """

    _counted = "true_positives"


@registry.register()
class FalsePositives(_Count):
    """How many negatives were predicted positive.

    Example:
        >>> from lamella.metrics import FalsePositives
        >>> float(FalsePositives()([1, 0, 1], [0.9, 0.9, 0.1]))
        1.0
    """

    _counted = "false_positives"


@registry.register()
class TrueNegatives(_Count):
    """How many negatives were predicted negative.

    Example:
        >>> from lamella.metrics import TrueNegatives
        >>> float(TrueNegatives()([1, 0, 1], [0.9, 0.1, 0.1]))
        1.0
    """

    _counted = "true_negatives"


@registry.register()
class FalseNegatives(_Count):
    """How many positives were predicted negative.

    Example:
        >>> from lamella.metrics import FalseNegatives
        >>> float(FalseNegatives()([1, 0, 1], [0.9, 0.1, 0.1]))
        1.0
    """

    _counted = "false_negatives"


class _PrecisionOrRecall(Confusion):
    """What precision and recall share: their arguments."""

    def __init__(
        self,
        thresholds: Thresholds = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        self.init_thresholds = thresholds
        self._start(_parsed(self, thresholds, 0.5 if top_k is None else _LOWEST), top_k, class_id)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "thresholds": self.init_thresholds,
            "top_k": self.top_k,
            "class_id": self.class_id,
        }


@registry.register()
class Precision(_PrecisionOrRecall):
    """The share of predicted positives that are positive.

    Args:
        thresholds: Above which a prediction is positive; 0.5 by default. A list gives a value for each.
        top_k: Count the k largest predictions of a sample as positive instead.
        class_id: Look at this class only.
        name: A name.
        dtype: The data type of the result.

    Example:
        >>> from lamella.metrics import Precision
        >>> float(Precision()([1, 0, 1], [0.9, 0.9, 0.1]))
        0.5
    """

    def result(self) -> torch.Tensor:
        return self._single(divide_no_nan(self.true_positives, self.true_positives + self.false_positives))


@registry.register()
class Recall(_PrecisionOrRecall):
    """The share of positives that were predicted positive.

    Args:
        thresholds: Above which a prediction is positive; 0.5 by default. A list gives a value for each.
        top_k: Count the k largest predictions of a sample as positive instead.
        class_id: Look at this class only.
        name: A name.
        dtype: The data type of the result.

    Example:
        >>> from lamella.metrics import Recall
        >>> float(Recall()([1, 0, 1], [0.9, 0.9, 0.1]))
        0.5
    """

    def result(self) -> torch.Tensor:
        return self._single(divide_no_nan(self.true_positives, self.true_positives + self.false_negatives))


class _AtConstraint(Confusion):
    """The base of metrics that are the best of one rate where another is at least `value`."""

    _constraint: str

    def __init__(
        self,
        value: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if not 0 <= value <= 1:
            raise ArgumentError(f"{self.name}: `{self._constraint}` must lie from 0 to 1; got {value}.")
        if num_thresholds <= 0:
            raise ArgumentError(f"{self.name}: `num_thresholds` must be 1 or more; got {num_thresholds}.")
        self.value = value
        setattr(self, self._constraint, value)
        self.num_thresholds = num_thresholds
        even = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        self._start([0.5] if num_thresholds == 1 else [0.0, *even, 1.0], class_id=class_id)

    def sensitivity_(self) -> torch.Tensor:
        """True positives over positives."""
        return divide_no_nan(self.true_positives, self.true_positives + self.false_negatives)

    def specificity_(self) -> torch.Tensor:
        """True negatives over negatives."""
        return divide_no_nan(self.true_negatives, self.true_negatives + self.false_positives)

    def precision_(self) -> torch.Tensor:
        """True positives over predicted positives."""
        return divide_no_nan(self.true_positives, self.true_positives + self.false_positives)

    def _best(self, wanted: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
        return self._result(torch.where(held.float() >= self.value, wanted, torch.zeros_like(wanted)).max())

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            self._constraint: self.value,
            "num_thresholds": self.num_thresholds,
            "class_id": self.class_id,
        }


@registry.register()
class SensitivityAtSpecificity(_AtConstraint):
    """The best sensitivity where the specificity is at least the value given.

    Example:
        >>> from lamella.metrics import SensitivityAtSpecificity
        >>> float(SensitivityAtSpecificity(0.5)([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]))
        1.0
    """

    _constraint = "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)

    def result(self) -> torch.Tensor:
        return self._best(self.sensitivity_(), self.specificity_())


@registry.register()
class SpecificityAtSensitivity(_AtConstraint):
    """The best specificity where the sensitivity is at least the value given.

    Example:
        >>> from lamella.metrics import SpecificityAtSensitivity
        >>> float(SpecificityAtSensitivity(0.5)([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]))
        1.0
    """

    _constraint = "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)

    def result(self) -> torch.Tensor:
        return self._best(self.specificity_(), self.sensitivity_())


@registry.register()
class PrecisionAtRecall(_AtConstraint):
    """The best precision where the recall is at least the value given.

    Example:
        >>> from lamella.metrics import PrecisionAtRecall
        >>> float(PrecisionAtRecall(0.5)([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]))
        1.0
    """

    _constraint = "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)

    def result(self) -> torch.Tensor:
        return self._best(self.precision_(), self.sensitivity_())


@registry.register()
class RecallAtPrecision(_AtConstraint):
    """The best recall where the precision is at least the value given.

    Example:
        >>> from lamella.metrics import RecallAtPrecision
        >>> float(RecallAtPrecision(0.9)([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]))
        0.5
    """

    _constraint = "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)

    def result(self) -> torch.Tensor:
        return self._best(self.sensitivity_(), self.precision_())


@registry.register("auc")
class AUC(Confusion):
    """The area under the ROC or the precision-recall curve, as a sum over thresholds.

    Args:
        num_thresholds: How many thresholds, evenly from 0 to 1.
        curve: `"ROC"`, `"PR"` or `"PRGAIN"` (precision and recall gain; Flach and Kull, 2015).
        summation_method: `"interpolation"`, `"minoring"` or `"majoring"`.
        name: A name.
        dtype: The data type of the result.
        thresholds: Thresholds to use in place of even ones.
        multi_label: Whether each column is a label with an area of its own; the result is their mean.
        num_labels: The number of labels.
        label_weights: The weight of each in the mean.
        from_logits: Whether predictions have not been through a sigmoid yet.

    Source: Hanley and McNeil, 1982; Davis and Goadrich, 2006, for the interpolation of precision and recall.

    Example:
        >>> from lamella.metrics import AUC
        >>> round(float(AUC(num_thresholds=3)([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])), 2)
        0.75
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(dtype, name)
        if str(curve).upper() not in ("ROC", "PR", "PRGAIN"):
            raise ArgumentError(f"AUC: `curve` must be 'ROC', 'PR' or 'PRGAIN'; got {curve!r}.")
        methods = {"interpolation": "interpolation", "minoring": "minoring", "majoring": "majoring"}
        if str(summation_method).lower() not in methods:
            raise ArgumentError(f"AUC: `summation_method` must be one of {list(methods)}; got {summation_method!r}.")
        if num_labels and not multi_label:
            raise ArgumentError("AUC: `num_labels` is for `multi_label=True`.")
        self._given = None if thresholds is None else sorted(thresholds)
        if thresholds is None and num_thresholds <= 1:
            raise ArgumentError(f"AUC: `num_thresholds` must be more than 1; got {num_thresholds}.")
        inner = (
            list(self._given)
            if self._given is not None
            else [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        )
        self.num_thresholds = len(inner) + 2
        self.curve = str(curve).upper()
        self.summation_method = str(summation_method).lower()
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else list(label_weights)
        self.from_logits = from_logits
        self.thresholds = [-EPSILON, *inner, 1.0 + EPSILON]
        self.top_k = None
        self.class_id = None
        self._made = False
        if not multi_label or num_labels:
            self._make_counts((num_labels,) if num_labels else ())
            self._made = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred, weight = tensors(y_true, y_pred, sample_weight)
        if self.from_logits:
            y_pred = torch.sigmoid(y_pred)
        if not self._made:
            if y_pred.ndim != 2:
                raise ShapeError(
                    f"{self.name}: multi_label needs predictions of shape (batch, labels); got {tuple(y_pred.shape)}."
                )
            self._make_counts((y_pred.shape[1],))
            self._made = True
        super().update_state(y_true, y_pred, weight)

    def result(self) -> torch.Tensor:
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._mean_of_labels(self._precision_recall_area())
        recall = divide_no_nan(self.true_positives, self.true_positives + self.false_negatives)
        if self.curve == "ROC":
            x, y = divide_no_nan(self.false_positives, self.false_positives + self.true_negatives), recall
        elif self.curve == "PR":
            x, y = recall, divide_no_nan(self.true_positives, self.true_positives + self.false_positives)
        else:
            x, y = self._gains()
        if self.summation_method == "interpolation":
            height = (y[:-1] + y[1:]) / 2
        else:
            height = (torch.minimum if self.summation_method == "minoring" else torch.maximum)(y[:-1], y[1:])
        return self._mean_of_labels(((x[:-1] - x[1:]) * height).sum(dim=0))

    def _precision_recall_area(self) -> torch.Tensor:
        """Between two thresholds, true and false positives (not precision) are linear."""
        tp, predicted = self.true_positives, self.true_positives + self.false_positives
        d_tp, d_predicted = tp[:-1] - tp[1:], predicted[:-1] - predicted[1:]
        slope = divide_no_nan(d_tp, d_predicted.clamp(min=0))
        intercept = tp[1:] - slope * predicted[1:]
        both = (predicted[:-1] > 0) & (predicted[1:] > 0)
        ratio = torch.where(both, divide_no_nan(predicted[:-1], predicted[1:]), torch.ones_like(predicted[1:]))
        area = slope * (d_tp + intercept * torch.log(ratio))
        return divide_no_nan(area, tp[1:] + self.false_negatives[1:]).sum(dim=0)

    def _gains(self) -> tuple[torch.Tensor, torch.Tensor]:
        positives = self.true_positives + self.false_negatives
        odds = divide_no_nan(positives, self.false_positives + self.true_negatives)
        found = self.true_positives > 0
        recall = 1 - odds * divide_no_nan(self.false_negatives, self.true_positives)
        precision = 1 - odds * divide_no_nan(self.false_positives, self.true_positives)
        recall = torch.where(found, recall, torch.zeros_like(recall)).clamp(min=0)
        return recall, torch.where(found, precision, torch.ones_like(precision))

    def _mean_of_labels(self, area: torch.Tensor) -> torch.Tensor:
        if not self.multi_label:
            return self._result(area)
        if self.label_weights is None:
            return self._result(area.mean())
        weights = torch.tensor(self.label_weights, dtype=area.dtype, device=area.device)
        return self._result(divide_no_nan((area * weights).sum(), weights.sum()))

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": self.label_weights,
            "from_logits": self.from_logits,
        }
        return {**config, "thresholds": list(self._given)} if self._given is not None else config
