"""The area under a curve of two rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella.engine import masking
from lamella.errors import ArgumentError, ShapeError
from lamella.metrics.base import EPSILON, Constant, divide_no_nan, registry, spread, tensors
from lamella.metrics.confusion import Confusion, _are_even


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
        label_weights: The weight of each label: of its area in the mean, or, without `multi_label`, of its samples.
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
        self._given = None if thresholds is None else sorted(float(t) for t in thresholds)
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
        self.label_weights = None if label_weights is None else [float(w) for w in label_weights]
        self.from_logits = from_logits
        self._label_weights = None if label_weights is None else Constant(self.label_weights)  # type: ignore[arg-type]
        # A prediction of exactly 0 is above the lowest threshold, one of exactly 1 below the highest.
        ends = [-EPSILON, *inner, 1.0 + EPSILON]
        self._set_thresholds(ends, thresholds is None or _are_even([0.0, *inner, 1.0]))
        self.top_k = None
        self.class_id = None
        self._made = False
        if not multi_label or num_labels:
            self._make_counts((num_labels,) if num_labels else ())
            self._made = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        mask = masking.get_mask(y_pred) if masking.in_use else None
        y_true, y_pred, weight = tensors(y_true, y_pred, sample_weight)
        if self.from_logits:
            y_pred = torch.sigmoid(y_pred)
        if mask is not None:
            masking.set_mask(y_pred, mask)
        if self._label_weights is not None and not self.multi_label:
            weight = self._of_labels(self._label_weights, y_pred, weight)
        if not self._made:
            if y_pred.ndim != 2:
                raise ShapeError(
                    f"{self.name}: multi_label needs predictions of shape (batch, labels); got {tuple(y_pred.shape)}."
                )
            self._make_counts((y_pred.shape[1],))
            self._made = True
        super().update_state(y_true, y_pred, weight)

    def _of_labels(self, each: Constant, y_pred: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        """The weights of the samples, each multiplied by the weight of its label."""
        number = len(each.numbers)
        if y_pred.ndim < 2 or y_pred.shape[-1] != number:
            raise ShapeError(
                f"{self.name}: {number} label_weights need predictions of shape (batch, {number}); "
                f"got {tuple(y_pred.shape)}."
            )
        labels = each.on(y_pred.device, torch.float32).expand(y_pred.shape)
        return labels if weight is None else labels * spread(self.name, weight.to(labels), labels)

    def result(self) -> torch.Tensor:
        self._needs_a_batch()
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
        if self._label_weights is None:
            return self._result(area.mean())
        weights = self._label_weights.on(area.device, area.dtype)
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
