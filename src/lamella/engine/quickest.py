"""How a small training step runs quickest, found while training: on how many threads, by which library of products.

Where a step takes less than a millisecond, threads that wait for each other can cost more than they do, and a library
that multiplies large matrices faster can take twice as long for small ones. Which it is depends on the machine and on
what else runs on it, so the first steps are timed both ways.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch

from lamella.engine import random
from lamella.engine.kernels import choose_matmul

Step = Callable[[Any, Any, Any], None]
Choice = tuple[Callable[[Any], None], Sequence[Any], float]
"""What sets a way; two ways, of which the first is the one in use; how many times as quick as the second it must be."""

_WARM_UP = 16
_TIMED = 24
_FRESH = 60.0
"""Seconds for which what was found holds: later, other things may run on the machine."""
_WORTH = 1.05
"""All threads for less than that are not worth it: they wait for each other longer as soon as anything else runs."""
_SMALL = 2e-3
"""Seconds; longer steps have enough work for every thread, and for the library that is faster for large products."""


class QuickestWay:
    """A training step that settles, over its first calls, on the quickest way to run it.

    All its calls train; none is lost. After `set_random_seed` it leaves everything as it is: another number of
    threads, or another library, may round sums differently, and seeded runs are to be bit-equal.

    Args:
        step: The step.
        libraries: The libraries to choose from, the one in use first (see `kernels.matmul_choices`).
        likeness: What the step's time depends on, but for the model: the size of its batches.
        found: The `found` of an earlier training of the model; while it is fresh and likeness is the same, it holds.

    Attributes:
        found: What was settled on, for the next training of the model; None if nothing was.
    """

    def __init__(self, step: Step, libraries: Sequence[str] = (), likeness: Any = None, found: Any = None) -> None:
        self.step = step
        self.threads = torch.get_num_threads()
        self.likeness = (likeness, tuple(libraries), self.threads)
        fresh = found is not None and found[0] == self.likeness and 0 <= time.time() - found[1] < _FRESH
        self.found = found if fresh and not random.seeded else None
        self.choices: list[Choice] = []
        if not random.seeded:
            if self.threads > 1:
                self.choices.append((torch.set_num_threads, (self.threads, 1), _WORTH))
            if len(libraries) > 1:
                self.choices.append((choose_matmul, libraries, 1.0))
        self.settings: list[Any] = []
        self.calls = -_WARM_UP
        self.seconds: tuple[list[float], list[float]] = ([], [])
        self.now = 0

    def __call__(self, x: Any, y: Any, weight: Any) -> None:
        if not self.choices:
            self.step(x, y, weight)
            return
        if self.found is not None:
            for (choose, *_), setting in zip(self.choices, self.found[2], strict=True):
                choose(setting)
            self.choices = []
            self.step(x, y, weight)
            return
        start = time.perf_counter()
        self.step(x, y, weight)
        self._note(time.perf_counter() - start)

    def _note(self, seconds: float) -> None:
        self.calls += 1
        if self.calls <= 0:
            return
        choose, ways, worth = self.choices[0]
        self.seconds[self.now].append(seconds)
        if self.calls % _TIMED == 0:
            if self.calls == _TIMED and median(self.seconds[0]) > _SMALL:
                self.choices = []
                return
            self.now = 1 - self.now  # one, other, one, other: a change of the machine hits both
            choose(ways[self.now])
        if self.calls == 4 * _TIMED:
            first, second = map(median, self.seconds)
            self.settings.append(ways[0] if first * worth <= second else ways[1])
            choose(self.settings[-1])
            self.choices = self.choices[1:]
            if not self.choices:
                self.found = (self.likeness, time.time(), self.settings)
            self.calls, self.seconds, self.now = 0, ([], []), 0

    def restore(self) -> None:
        """Gives torch its number of threads back."""
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
