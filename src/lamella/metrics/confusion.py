"""Metrics of true and false positives and negatives, at one threshold or many.

Many thresholds cost hardly more than one: each prediction is put into the interval between two thresholds, and
the counts above each are sums over the intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella.engine import masking
from lamella.errors import ArgumentError, ShapeError
from lamella.losses.base import same_rank
from lamella.metrics.base import Constant, Metric, divide_no_nan, registry, spread, tensors

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


def _are_even(thresholds: Sequence[float]) -> bool:
    """Whether these are 0, 1/n, 2/n, ... 1."""
    last = len(thresholds) - 1
    return last > 1 and all(abs(t - i / last) <= 1e-7 + 1e-5 * i / last for i, t in enumerate(thresholds))


class Confusion(Metric):
    """The base: counts of true and false positives and negatives for each threshold (and label)."""

    def _start(self, thresholds: Sequence[float], top_k: int | None = None, class_id: int | None = None) -> None:
        self.top_k = top_k
        self.class_id = class_id
        self._set_thresholds(thresholds, _are_even(thresholds))
        self._make_counts(())

    def _set_thresholds(self, thresholds: Sequence[float], even: bool) -> None:
        self.thresholds = list(thresholds)
        self._even = even
        order = sorted(range(len(self.thresholds)), key=self.thresholds.__getitem__)
        self._edges = Constant([self.thresholds[i] for i in order])
        ranks = sorted(range(len(order)), key=order.__getitem__)
        self._ranks = None if order == list(range(len(order))) else Constant(ranks)

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
        self._follow(y_pred)
        if y_pred.dtype not in (torch.float32, torch.float64):
            y_pred = y_pred.to(torch.float32)
        if weight is not None:
            weight = spread(self.name, weight.to(y_pred), y_pred)
        if mask is not None:
            kept = spread(self.name, mask.to(y_pred), y_pred)
            weight = kept if weight is None else weight * kept
        if self.top_k is not None:
            if self.top_k > y_pred.shape[-1]:
                raise ArgumentError(
                    f"{self.name}: `top_k` is {self.top_k}, but the predictions have {y_pred.shape[-1]} classes."
                )
            best = torch.zeros_like(y_pred).scatter(-1, y_pred.topk(self.top_k, dim=-1).indices, 1.0)
            y_pred = torch.where(best > 0, y_pred, torch.full_like(y_pred, _LOWEST))
        if self.class_id is not None:
            self._check_class(y_pred)
            y_true, y_pred = y_true[..., self.class_id], y_pred[..., self.class_id]
            weight = None if weight is None else weight[..., self.class_id]
        if len(self.thresholds) == 1:
            self._count_at_one(y_true, y_pred, weight)
        else:
            self._count(y_true, y_pred, weight)

    def _check_class(self, y_pred: torch.Tensor) -> None:
        if y_pred.ndim < 2:
            raise ShapeError(
                f"{self.name}: `class_id` needs predictions of shape (batch, classes); got {tuple(y_pred.shape)}."
            )
        if not 0 <= self.class_id < y_pred.shape[-1]:  # type: ignore[operator]
            raise ArgumentError(
                f"{self.name}: `class_id` is {self.class_id}, but the predictions have {y_pred.shape[-1]} classes."
            )

    def _count_at_one(self, y_true: torch.Tensor, y_pred: torch.Tensor, weight: torch.Tensor | None) -> None:
        predicted, actual = y_pred > self.thresholds[0], y_true.to(torch.bool)
        both = predicted & actual
        whole: Any = y_pred.numel()
        if weight is None:
            hits, found, there = both.sum(), predicted.sum(), actual.sum()
        else:
            weight = weight.to(self.true_positives.dtype)
            hits, found, there = ((each * weight).sum() for each in (both, predicted, actual))
            whole = weight.sum()
        self.true_positives.add_(hits)
        self.false_positives.add_(found - hits)
        self.false_negatives.add_(there - hits)
        self.true_negatives.add_(whole - there - found + hits)

    def _count(self, y_true: torch.Tensor, y_pred: torch.Tensor, weight: torch.Tensor | None) -> None:
        if self._even:
            y_pred = y_pred.clamp(0.0, 1.0)  # as Keras: evenly spaced thresholds are for probabilities
        labels = self.true_positives.shape[1:]
        columns = labels[0] if labels else 1
        # The thresholds below a prediction are those for which it counts as positive.
        edges = self._edges.on(y_pred.device, y_pred.dtype)
        bucket = torch.bucketize(y_pred.contiguous(), edges)
        rows = len(self.thresholds) + 1
        index = bucket * columns
        if labels:
            index = index + torch.arange(columns, device=y_pred.device)
        amounts = torch.ones_like(y_pred) if weight is None else weight
        amounts = amounts.to(self.true_positives.dtype).reshape(-1)
        positive = y_true.to(torch.bool).reshape(-1) * amounts
        flat = index.reshape(-1)
        both = amounts.new_zeros(2, rows * columns)
        both[0].index_add_(0, flat, positive)
        both[1].index_add_(0, flat, amounts - positive)
        counts = both.reshape(2, rows, columns)
        total = counts.sum(dim=1, keepdim=True)
        above = total - counts.cumsum(dim=1)[:, :-1]
        if self._ranks is not None:
            above = above[:, self._ranks.on(above.device, torch.int64)]
        above = above.reshape(2, *self.true_positives.shape)
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
