"""`EarlyStopping`."""

from __future__ import annotations

import numpy as np

from lamella.training.callbacks.base import Logs
from lamella.training.callbacks.monitor import MonitorCallback


class EarlyStopping(MonitorCallback):
    """Stops when a metric has not improved for `patience` epochs.

    Args:
        monitor: The metric.
        min_delta: The least change that counts as an improvement.
        patience: How many epochs to wait.
        verbose: 1 to say so.
        mode: `"min"`, `"max"`, or `"auto"`: what is known of the metric says it.
        baseline: A value to be beaten.
        restore_best_weights: Whether the model gets the weights of the best epoch back.
        start_from_epoch: Epochs before this one do not count.

    Raises:
        ArgumentError: In the first epoch, with `mode="auto"`, a metric of which it is not known which way is better.

    Example:
        >>> EarlyStopping(patience=3).monitor
        'val_loss'
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.monitor_op is None:
            self._set_monitor_op()
        value = self.get_monitor_value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self._is_improvement(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._is_improvement(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def get_monitor_value(self, logs: Logs | None) -> float | None:
        """The metric of this epoch; None (with a warning) where there is none. A subclass may find another number."""
        return self.value(logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)
