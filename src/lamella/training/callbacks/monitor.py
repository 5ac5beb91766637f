"""What callbacks that watch one metric share."""

from __future__ import annotations

import math

from lamella.errors import ArgumentError
from lamella.training.callbacks.base import Callback, Logs


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
        """Whether a larger value of the metric is better (by its name, for `mode='auto'`)."""
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        return any(part in name for part in ("acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "r2"))

    def worst(self) -> float:
        """What any value is better than."""
        return -math.inf if self.larger_is_better() else math.inf

    def improved(self, value: float, best: float) -> bool:
        """Whether `value` is better than `best` by more than `min_delta`."""
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
