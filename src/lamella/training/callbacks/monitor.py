"""What callbacks that watch one metric share."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

from lamella import metrics, ops
from lamella.errors import ArgumentError
from lamella.losses import registry as losses
from lamella.training.callbacks.base import Callback, Logs
from lamella.training.compile_metrics import CompileMetrics

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


class MonitorCallback(Callback):
    """What callbacks that watch one metric share: which way is better, and reading it.

    Args:
        monitor: The metric.
        mode: `"min"`, `"max"`, or `"auto"`: what is known of the metric says it.
        baseline: The value that the first one must be better than; None for any.
        min_delta: The least change that counts as an improvement.

    Example:
        >>> watch = MonitorCallback("val_accuracy", mode="max", min_delta=0.1)
        >>> watch._set_monitor_op()
        >>> watch._is_improvement(0.9, 0.7), watch._is_improvement(0.75, 0.7)
        (True, False)
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", baseline: float | None = None, min_delta: float = 0
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(f"{type(self).__name__}: mode {mode!r} is unknown; 'auto' is taken.", stacklevel=3)
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self.monitor_op: Callable[[Any, Any], Any] | None = None

    # The next two, and `monitor_op`, have Keras's names and meaning: callbacks of users are written on top of them.

    def _set_monitor_op(self) -> None:
        """Finds which way is better, which is known once the model has its metrics.

        Raises:
            ArgumentError: With `mode="auto"`, a metric of which that is not known.
        """
        better = self.mode if self.mode != "auto" else self._known_mode()
        if better is None:
            raise ArgumentError(
                f"{type(self).__name__}: whether {self.monitor!r} is to grow or to fall is not known. Pass mode='max' "
                f"or mode='min'. If the name is not what you meant: {self._names()}."
            )
        self.monitor_op = ops.greater if better == "max" else ops.less
        self.min_delta = abs(self.min_delta) if better == "max" else -abs(self.min_delta)

    def _is_improvement(self, monitor_value: float, reference_value: float | None) -> bool:
        """Whether a value is better than another by more than `min_delta`; than none, if it is a number at all."""
        if self.monitor_op is None:
            self._set_monitor_op()
        assert self.monitor_op is not None
        if reference_value is None:
            return not math.isnan(monitor_value)
        return bool(self.monitor_op(monitor_value - self.min_delta, reference_value))

    def _known_mode(self) -> Literal["min", "max"] | None:
        name = self.monitor.removeprefix("val_")
        found = {_known_mode_of(metric) for reported, metric in _metrics_of(self.model) if reported == name} - {None}
        if len(found) == 1:
            return found.pop()
        return "min" if name == "loss" or name.endswith("_loss") else None

    def _names(self) -> str:
        return "the model reports " + ", ".join(["loss", *(name for name, _ in _metrics_of(self.model))])

    def value(self, logs: Logs | None) -> float | None:
        """The metric; None (with a warning) where it is not there."""
        logs = logs or {}
        if self.monitor not in logs:
            warnings.warn(
                f"{type(self).__name__}: there is no metric {self.monitor!r}; there are: {', '.join(logs)}. "
                + ("Pass validation_data to fit()." if self.monitor.startswith("val_") else ""),
                stacklevel=3,
            )
            return None
        value = logs[self.monitor]
        if isinstance(value, (list, tuple)):
            raise ArgumentError(
                f"{type(self).__name__}: {self.monitor!r} is {len(value)} numbers, and one is needed. Give the metric "
                f"an average (average='macro', say), or watch another."
            )
        return float(value)


def _metrics_of(model: Any) -> Iterator[tuple[str, metrics.Metric]]:
    """The metrics of a model one by one, but for the mean of its loss, each with the name it is reported under."""
    name_of = getattr(model, "_name_of", lambda metric: metric.name)
    for metric in getattr(model, "metrics", ()):
        for each in metric.metrics if isinstance(metric, CompileMetrics) else [metric]:
            if each.name != "loss":
                yield name_of(each), each


def _known_mode_of(metric: metrics.Metric) -> Literal["min", "max"] | None:
    """Which way the metric is better, if that is known: of built-in ones, and of those that say it as in Keras."""
    said = getattr(metric, "_direction", None)
    if said in ("up", "down"):
        return "max" if said == "up" else "min"
    if isinstance(metric, _LARGER_IS_BETTER):
        return "max"
    function = getattr(metric, "_fn", None)
    is_loss = function is not None and any(losses[name] in (function, type(function)) for name in losses)
    return "min" if is_loss or isinstance(metric, metrics.RootMeanSquaredError) else None
