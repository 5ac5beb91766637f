"""How many threads a small training step runs on: as many as are quickest, found while training.

Where a step takes less than a millisecond, threads that wait for each other can cost more than they do. Which
it is depends on the machine and on what else runs on it, so the first steps are timed both ways.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from lamella.engine import random

Step = Callable[[Any, Any, Any], None]

_WARM_UP = 16
_TIMED = 24
_SMALL = 2e-3
"""Seconds; longer steps have enough work for every thread."""


class QuickestThreads:
    """A training step that settles, over its first calls, on one thread or on all.

    All its calls train; none is lost. After `set_random_seed` it leaves the threads alone: another number of
    threads may round sums differently, and seeded runs are to be bit-equal.

    Args:
        step: The step.
    """

    def __init__(self, step: Step) -> None:
        self.step = step
        self.threads = torch.get_num_threads()
        self.calls = 0
        self.deciding = self.threads > 1 and not random.seeded
        self.seconds = {self.threads: 0.0, 1: 0.0}

    def __call__(self, x: Any, y: Any, weight: Any) -> None:
        if not self.deciding:
            self.step(x, y, weight)
            return
        start = time.perf_counter()
        self.step(x, y, weight)
        self._note(time.perf_counter() - start)

    def _note(self, seconds: float) -> None:
        self.calls += 1
        place = self.calls - _WARM_UP
        if place > 0 and place <= 4 * _TIMED:  # all, one, all, one: a change of the machine hits both
            now = torch.get_num_threads()
            self.seconds[now] += seconds
            if place % _TIMED == 0:
                if place == _TIMED and self.seconds[now] > _SMALL * _TIMED:
                    self.deciding = False
                    return
                torch.set_num_threads(1 if now > 1 else self.threads)
        if place == 4 * _TIMED:
            torch.set_num_threads(min(self.seconds, key=lambda threads: self.seconds[threads]))
            self.deciding = False

    def restore(self) -> None:
        """Gives torch its number of threads back."""
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
