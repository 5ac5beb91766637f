"""`Progbar`: a progress bar for training loops of one's own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lamella.errors import ArgumentError
from lamella.utils.logging import say


class Progbar:
    """A bar that shows how far a loop is, with metrics.

    Args:
        target: The number of steps; None if unknown.
        width: The width of the bar.
        verbose: 0 nothing, 1 a bar, 2 one line at the end.
        interval: The least number of seconds between two updates of the bar.
        stateful_metrics: Names of metrics that are shown as they are; all others are averaged over the steps.
        stateless_metrics: Names of metrics that are averaged; all others are shown as they are.
        unit_name: What a step is called.

    Raises:
        ArgumentError: Both lists of names.

    Example:
        >>> bar = Progbar(3, verbose=2)
        >>> for step in range(3):
        ...     bar.update(step + 1, [("loss", 1.0 / (step + 1))])  # doctest: +ELLIPSIS
        3/3 - 0s - ...step - loss: 0.3333
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ArgumentError("Progbar: give `stateful_metrics` or `stateless_metrics`, not both.")
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = set(stateful_metrics or ()) if stateless_metrics is None else None
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self._sums: dict[str, tuple[float, float]] = {}
        self._seen = 0
        self._shown = 0.0
        self._length = 0
        self._start = time.perf_counter()

    def update(
        self, current: int, values: Sequence[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Shows that `current` steps are done.

        Args:
            current: The number of steps done.
            values: Pairs of a metric's name and its value in the last step.
            finalize: Whether this is the last update; by default whether all steps are done.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._note(name, float(np.mean(np.asarray(value))), max(current - self._seen, 1), finalize)
        self._seen = current
        now = time.perf_counter()
        if self.verbose == 1 and (finalize or now - self._shown >= self.interval):
            self._shown = now
            line = f"{self._bar(current)} {self._time(current, now, finalize)}{self._metrics()}"
            say("\r" + line.ljust(self._length), "\n" if finalize else "")
            self._length = len(line)
        elif self.verbose == 2 and finalize:
            say(f"{current}/{self.target or current} - {self._time(current, now, True)}{self._metrics()}")

    def add(self, n: int, values: Sequence[tuple[str, Any]] | None = None) -> None:
        """Shows that `n` more steps are done."""
        self.update(self._seen + n, values)

    def _note(self, name: str, value: float, steps: int, last: bool) -> None:
        if self.stateless_metrics is not None:
            averaged = name in self.stateless_metrics
        else:
            averaged = name not in (self.stateful_metrics or ())
        if averaged and not last:
            total, count = self._sums.get(name, (0.0, 0.0))
            self._sums[name] = (total + value * steps, count + steps)
        else:
            self._sums[name] = (value, 1.0)

    def _bar(self, current: int) -> str:
        if not self.target:
            return f"{current:7d}/Unknown"
        done = min(int(self.width * current / self.target), self.width)
        count = f"{current:{len(str(self.target))}d}/{self.target}"
        return f"{count} {'━' * done}{'╌' * (self.width - done)}"

    def _time(self, current: int, now: float, finished: bool) -> str:
        each = (now - self._start) / max(current, 1)
        left = now - self._start if finished or not self.target else each * (self.target - current)
        minutes, seconds = divmod(round(left), 60)
        shown = f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"
        scale, unit = (1.0, "s") if each >= 1 else (1e3, "ms") if each >= 1e-3 else (1e6, "us")
        return f"{shown if minutes else f'{seconds}s'} - {each * scale:.0f}{unit}/{self.unit_name}"

    def _metrics(self) -> str:
        means = {name: total / max(count, 1.0) for name, (total, count) in self._sums.items()}
        return "".join(
            f" - {name}: {mean:.4f}" if abs(mean) > 1e-3 else f" - {name}: {mean:.4e}" for name, mean in means.items()
        )
