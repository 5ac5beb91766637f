"""`find_learning_rate`: a range test, for models that are too large to be trained many times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lamella import optimizers
from lamella.callbacks import Callback, TerminateOnNaN
from lamella.errors import ArgumentError, NotBuiltError
from lamella.study.job import check_model, own_random_numbers

_FAR = 4.0
"""The test ends where the smoothed loss is so many times the least so far."""


class RangeTest:
    """The losses of one short training whose rate rose from step to step.

    Attributes:
        rates: The rate of each step.
        losses: The loss of each step.
        smoothed: Their exponential moving average.
    """

    def __init__(self, rates: Sequence[float], losses: Sequence[float], smoothing: float) -> None:
        self.rates = list(rates[: len(losses)])
        self.losses = list(losses)
        self.smoothed = smoothed(losses, smoothing)

    @property
    def steepest(self) -> float:
        """The rate at which the smoothed loss fell quickest: a good one to begin with."""
        smooth = np.array(self.smoothed)
        lowest = int(np.argmin(smooth))
        level = float(np.median(smooth[: max(1, len(smooth) // 5)]))  # rates so small that nothing is learnt yet
        still_there = np.flatnonzero(smooth[: lowest + 1] > level - 0.1 * (level - smooth[lowest]))
        start = int(still_there[-1]) if len(still_there) else 0  # before, the loss only trembles
        if lowest - start < 2:
            return self.rates[lowest]
        slopes = np.gradient(smooth[start : lowest + 1], np.log(self.rates[start : lowest + 1]))
        return self.rates[start + int(np.argmin(slopes))]

    @property
    def edge(self) -> float:
        """The rate at which the smoothed loss was least; with greater ones it rose."""
        return self.rates[int(np.argmin(self.smoothed))]

    def plot(self, axes: Any = None) -> Any:
        """Draws the loss against the rate; see `lamella.study.plots.plot_range_test`."""
        from lamella.study.plots import plot_range_test

        return plot_range_test(self, axes)

    def __str__(self) -> str:
        return (
            f"{len(self.rates)} steps, rates {self.rates[0]:.2g} to {self.rates[-1]:.2g}: the loss falls quickest at "
            f"{self.steepest:.2g} and is least at {self.edge:.2g}"
        )


def smoothed(values: Sequence[float], share: float) -> list[float]:
    """The exponential moving average, corrected for its start: each value counts `share` times as much as the next.

    Example:
        >>> smoothed([1.0, 1.0, 4.0], 0.5)
        [1.0, 1.0, 2.7142857142857144]
    """
    average, found = 0.0, []
    for step, value in enumerate(values, 1):
        average = share * average + (1 - share) * value
        found.append(average / (1 - share**step))
    return found


def find_learning_rate(
    model: Any,
    x: Any,
    y: Any = None,
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int = 100,
    batch_size: int | None = None,
    smoothing: float = 0.9,
) -> RangeTest:
    """Raises the learning rate from step to step of one short training and watches the loss.

    Afterwards the model is as it was before: weights, optimizer, history and random numbers.

    Args:
        model: A compiled model that has its weights.
        x: Inputs: what `fit` takes, streams too.
        y: Targets.
        lowest: The rate of the first step.
        highest: That of the last; the test ends earlier where the loss is four times the least it was, or no number.
        steps: How many steps.
        batch_size: Samples in a step, for arrays; 32 by default.
        smoothing: How slowly the smoothed loss follows, from 0 to 1 (without 1).

    Raises:
        NotCompiledError: A model without optimizer and loss.
        NotBuiltError: A model without weights.
        ArgumentError: Rates, steps or a smoothing that cannot be.

    Source: Smith, Cyclical learning rates for training neural networks, 2017, section 3.3.

    Example:
        >>> import numpy as np
        >>> from lamella import Input, Sequential, layers
        >>> from lamella.study import find_learning_rate
        >>> model = Sequential([Input((2,)), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).normal(size=(512, 2))
        >>> test = find_learning_rate(model, x, x @ [1.0, -2.0])
        >>> 0.001 < test.steepest <= test.edge < 10
        True
    """
    check_model(model, "find_learning_rate(): `model`")
    if not model.built:
        raise NotBuiltError("The model has no weights yet. Give it an Input, or call it on a few samples first.")
    if not 0 < lowest < highest:
        raise ArgumentError(f"`lowest` must be above 0 and below `highest`; got {lowest} and {highest}.")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ArgumentError(f"`steps` must be a whole number, 2 or more; got {steps!r}.")
    if not 0 <= smoothing < 1:
        raise ArgumentError(f"`smoothing` must be from 0 to 1, without 1; got {smoothing}.")
    rates = np.geomspace(lowest, highest, steps).tolist()
    watch = _Rise(rates, smoothing)
    weights = [weight.detach().clone() for weight in (*model.parameters(), *model.buffers())]
    optimizer, history = model.optimizer, model.history
    try:
        with own_random_numbers():
            model.optimizer = optimizers.deserialize(optimizers.serialize(optimizer))
            model.optimizer.learning_rate = lambda: watch.rate  # a function may take a schedule's place
            model.fit(x, y, batch_size=batch_size, epochs=steps, callbacks=[watch, TerminateOnNaN()], verbose=0)
    finally:
        with torch.no_grad():
            for weight, before in zip((*model.parameters(), *model.buffers()), weights, strict=True):
                weight.copy_(before)
        model.optimizer, model.history, model.stop_training = optimizer, history, False
    return RangeTest(rates, watch.losses, smoothing)


class _Rise(Callback):
    """Sets the rate before each step and keeps the loss after it."""

    def __init__(self, rates: list[float], smoothing: float) -> None:
        super().__init__()
        self.rates = rates
        self.rate = rates[0]
        self.smoothing = smoothing
        self.losses: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.rate = self.rates[len(self.losses)]
        self.model.reset_metrics()  # so that the loss is that of this batch alone

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float((logs or {})["loss"])
        if math.isfinite(loss):
            self.losses.append(loss)
        average = smoothed(self.losses, self.smoothing)
        far = not math.isfinite(loss) or average[-1] > _FAR * min(average)
        if far or len(self.losses) == len(self.rates):
            self.model.stop_training = True
