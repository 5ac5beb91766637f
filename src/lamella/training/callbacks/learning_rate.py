"""Callbacks that change the learning rate between epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamella.errors import ArgumentError
from lamella.optimizers.rate import with_rates
from lamella.training.callbacks.base import Callback, Logs
from lamella.training.callbacks.monitor import MonitorCallback


class ShowsRates(Callback):
    """A callback that changes learning rates: those of the epoch stand in its line and in its logs."""

    def shown(self) -> Logs:
        """What the line of the epoch shows besides its metrics."""
        return {name: float(optimizer.learning_rate) for name, optimizer in with_rates(self.model.optimizer)}


class LearningRateScheduler(ShowsRates):
    """Sets the learning rate at the start of each epoch.

    Args:
        schedule: A function (epoch, learning rate) -> learning rate.
        verbose: 1 to say so.

    Example:
        >>> LearningRateScheduler(lambda epoch, rate: rate * 0.9).verbose
        0
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for name, optimizer in with_rates(self.model.optimizer):
            rate = float(optimizer.learning_rate)
            try:
                rate = float(self.schedule(epoch, rate))
            except TypeError:  # a schedule of the epoch alone
                rate = float(self.schedule(epoch))
            optimizer.learning_rate = rate
            if self.verbose:
                print(f"\nEpoch {epoch + 1}: the {name.replace('_', ' ', 1)} is {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs.update(self.shown())


class ReduceLROnPlateau(MonitorCallback, ShowsRates):
    """Multiplies the learning rate by `factor` when a metric has not improved for `patience` epochs.

    Example:
        >>> ReduceLROnPlateau(factor=0.2).factor
        0.2
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ArgumentError(f"ReduceLROnPlateau: `factor` must be below 1; got {factor}.")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.cooldown_counter = 0
        self.best = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()

    def in_cooldown(self) -> bool:
        """Whether the rate was changed so lately that epochs do not count yet."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.monitor_op is None:
            self._set_monitor_op()
        if logs is not None:
            logs.update(self.shown())
        value = self.value(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(value, self.best):
            self.best = value
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            reducible = [pair for pair in with_rates(self.model.optimizer) if pair[1].learning_rate > self.min_lr]
            if self.wait >= self.patience and reducible:
                for name, optimizer in reducible:
                    rate = max(float(optimizer.learning_rate) * self.factor, self.min_lr)
                    optimizer.learning_rate = rate
                    if self.verbose:
                        print(f"\nEpoch {epoch + 1}: the {name.replace('_', ' ', 1)} is now {rate}.")
                self.cooldown_counter = self.cooldown
                self.wait = 0
