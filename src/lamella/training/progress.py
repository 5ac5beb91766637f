"""The progress bar: loss, metrics, samples a second and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tqdm.auto import tqdm

from lamella.engine import cluster, marks
from lamella.engine.watched import somebody_watches

INTERVAL = 0.25
"""Seconds between two readings of the metrics while training."""


_NOTABLE = 0.2
"""The share of the time spent waiting for data from which on it is told."""
_FELT = 0.05
"""Seconds; whoever waited for less in all has nothing to mend, and a pause of the machine is no lack of data."""


class Progress:
    """What `fit` and `evaluate` print.

    Args:
        verbose: 0 nothing, 1 a bar, 2 a line an epoch.
        total: The number of batches in an epoch; None if unknown.
        title: What stands before the bar, such as `"Epoch 1/5"`.
    """

    def __init__(self, verbose: int, total: int | None, title: str = "") -> None:
        self.verbose = verbose
        self.total = total
        self.steps = 0
        self.samples = 0
        self.waited = 0.0
        """Seconds in which there was no batch yet."""
        self.start = time.perf_counter()
        self.shown = self.start
        self.bar: Any = None
        if verbose == 1:
            self.bar = tqdm(
                total=total,
                desc=title,
                file=sys.stdout,
                leave=True,
                mininterval=INTERVAL,
                dynamic_ncols=True,
                bar_format=_BAR if total else _COUNT,
                # Where nobody watches (a file, a pipe) one line an epoch is enough.
                delay=0 if somebody_watches() else 1e9,
            )
        elif verbose == 2 and title:
            print(title)

    def timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The batches; the time that they take to come is counted, if anybody is told."""
        if not (self.verbose or marks.on):
            yield from batches
            return
        while True:
            begun = time.perf_counter()
            with marks.part("input"):
                batch = next(batches, None)
            self.waited += time.perf_counter() - begun
            if batch is None:
                return
            yield batch

    def step(self, samples: int) -> bool:
        """Counts a batch; whether it is time to show the metrics."""
        self.steps += 1
        self.samples += samples
        if self.bar is None:
            return False
        now = time.perf_counter()
        if now - self.shown < INTERVAL:
            return False
        self.shown = now
        return True

    def show(self, logs: Mapping[str, float]) -> None:
        """Shows the metrics so far."""
        if self.bar is not None:
            self.bar.set_postfix_str(self._text(logs), refresh=False)
            self.bar.update(self.steps - self.bar.n)

    def finish(self, logs: Mapping[str, float]) -> None:
        """Shows the metrics of the whole epoch."""
        seconds = time.perf_counter() - self.start
        if self.bar is not None:
            self.bar.total = self.steps
            quiet = self.bar.delay > 0
            self.show(logs)
            self.bar.close()
            self.bar = None
            if quiet:
                print(f"{self._line(seconds)} - {self._text(logs)}", flush=True)
        elif self.verbose == 2:
            print(f"{_joined(self._line(seconds), _metrics(logs))}{self._waiting(seconds)}", flush=True)

    def close(self) -> None:
        """Puts the bar away, as when training was interrupted."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _line(self, seconds: float) -> str:
        per_step = seconds / max(self.steps, 1)
        shown = (
            f"{per_step:.0f}s"
            if per_step >= 1
            else f"{per_step * 1e3:.0f}ms"
            if per_step >= 1e-3
            else f"{per_step * 1e6:.0f}us"
        )
        return f"{self.steps}/{self.total or self.steps} - {seconds:.0f}s - {shown}/step"

    def _text(self, logs: Mapping[str, float]) -> str:
        seconds = max(time.perf_counter() - self.start, 1e-9)
        return f"{_joined(_metrics(logs), f'{self.samples / seconds:,.0f} samples/s')}{self._waiting(seconds)}"

    def _waiting(self, seconds: float) -> str:
        share = self.waited / max(seconds, 1e-9)
        return f" - {share:.0%} of the time waiting for data" if share > _NOTABLE and self.waited > _FELT else ""


_BAR = "{desc}  {n_fmt}/{total_fmt} {bar} {elapsed}<{remaining}  {postfix}"
_COUNT = "{desc}  {n_fmt} {elapsed}  {postfix}"


def _metrics(logs: Mapping[str, float]) -> str:
    return _joined(*(f"{name}: {_number(value)}" for name, value in logs.items()))


def _joined(*parts: str) -> str:
    return " - ".join(part for part in parts if part)


def _number(value: Any) -> str:
    try:
        value = float(value)
    except (TypeError, ValueError):
        return str(value)
    return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.4e}"


def resolve_verbose(verbose: Any) -> int:
    """0, 1 or 2 of what `fit(verbose=...)` was given."""
    if not cluster.is_first():
        return 0
    return 1 if verbose in ("auto", True) else int(verbose)
