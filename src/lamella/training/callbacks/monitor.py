"""What callbacks that watch one metric share."""

from __future__ import annotations

import math

from lamella import metrics
from lamella.errors import ArgumentError
from lamella.training.callbacks.base import Callback, Logs

_LARGER_IS_BETTER = (
    metrics.Accuracy,
    metrics.BinaryAccuracy,
    metrics.CategoricalAccuracy,
    metrics.SparseCategoricalAccuracy,
    metrics.TopKCategoricalAccuracy,
    metrics.SparseTopKCategoricalAccuracy,
    metrics.AUC,
    metrics.Precision,
    metrics.Recall,
    metrics.SensitivityAtSpecificity,
    metrics.SpecificityAtSensitivity,
    metrics.PrecisionAtRecall,
    metrics.RecallAtPrecision,
    metrics.FBetaScore,
    metrics.IoU,
    metrics.MeanIoU,
    metrics.CosineSimilarity,
    metrics.PearsonCorrelation,
    metrics.ConcordanceCorrelation,
    metrics.R2Score,
)
_WORDS_OF_LARGER = (
    *("acc", "auc", "precision", "recall", "f1", "fbeta", "f_beta", "iou", "io_u", "r2"),
    *("cosine_similarity", "correlation", "sensitivity", "specificity"),
)


class MonitorCallback(Callback):
    """What callbacks that watch one metric share: which way is better, and reading it."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ArgumentError(f"`mode` must be 'auto', 'min' or 'max'; got {mode!r}.")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)

    def larger_is_better(self) -> bool:
        """Whether a larger value of the metric is better; for `mode='auto'` by what it is, else by its name."""
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        if name == "loss" or name.endswith("_loss"):
            return False
        found = [each for each in getattr(self.model, "metrics", ()) if each.name == name]
        if any(isinstance(metric, _LARGER_IS_BETTER) for metric in found):
            return True
        return any(part in name for part in _WORDS_OF_LARGER)

    def worst(self) -> float:
        """What any value is better than."""
        return -math.inf if self.larger_is_better() else math.inf

    def improved(self, value: float, best: float) -> bool:
        """Whether `value` is better than `best` by more than `min_delta`."""
        if math.isinf(best):  # there was none yet
            return not math.isnan(value)
        if self.larger_is_better():
            return value > best + self.min_delta
        return value < best - self.min_delta

    def value(self, logs: Logs | None) -> float | None:
        """The metric; None (with a warning) where it is not there."""
        logs = logs or {}
        if self.monitor not in logs:
            print(
                f"{type(self).__name__}: there is no metric {self.monitor!r}; there are: {', '.join(logs)}. "
                + ("Pass validation_data to fit()." if self.monitor.startswith("val_") else "")
            )
            return None
        return float(logs[self.monitor])
