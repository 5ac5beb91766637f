"""`Pace`: the learning rate of a whole training, by the epochs or by the clock."""

from __future__ import annotations

import math
import time
from typing import Any

from lamella.errors import ArgumentError
from lamella.training.callbacks.base import Callback


class Pace(Callback):
    """Lets the learning rate rise briefly and then fall along half a cosine until the training is over.

    With `minutes`, the clock decides when that is, however quick the machine: `fit` ends by itself, so give it more
    epochs than there can be. Without, it is over after `fit`'s epochs.

    Args:
        learning_rate: The highest.
        minutes: How long to train; by default as many epochs as `fit` has.
        warm_up: The share of the training in which the rate rises.

    Raises:
        ArgumentError: No minutes, or a share that is none.

    Source: the cosine, Loshchilov and Hutter, 2017.

    Example:
        >>> import lamella
        >>> model = lamella.Sequential([lamella.Input((1,)), lamella.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> _ = model.fit([[1.0]], [[2.0]], epochs=4, verbose=0, callbacks=[Pace(0.1)])
        >>> round(float(model.optimizer.learning_rate), 3)
        0.015
    """

    def __init__(self, learning_rate: float, minutes: float | None = None, warm_up: float = 0.05) -> None:
        super().__init__()
        if minutes is not None and not minutes > 0:
            raise ArgumentError(f"Pace: `minutes` must be above 0; got {minutes!r}.")
        if not 0 <= warm_up < 1:
            raise ArgumentError(f"Pace: `warm_up` is a share from 0 to 1; got {warm_up!r}.")
        self.learning_rate = learning_rate
        self.minutes = minutes
        self.warm_up = warm_up
        self._start = time.perf_counter()
        self._epoch = 0

    def share(self, batch: int = 0) -> float:
        """The share of the training that is over, at the start of a batch of this epoch."""
        if self.minutes is not None:
            return min((time.perf_counter() - self._start) / (60 * self.minutes), 1.0)
        return min((self._epoch + batch / (self.params.get("steps") or 1)) / self.params["epochs"], 1.0)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        share = self.share(batch)
        rising = share / self.warm_up if share < self.warm_up else 1.0
        falling = 0.5 + 0.5 * math.cos(math.pi * share)
        self.model.optimizer.learning_rate = self.learning_rate * min(rising, falling) + 1e-3 * self.learning_rate
        if share >= 1.0:
            self.model.stop_training = True
