"""How a training step runs quickest, found while training: on how many threads, by which library of products.

Where a step takes less than a millisecond, threads that wait for each other can cost more than they do; and which
library multiplies matrices faster depends on their shapes as much as on the machine. So some steps are timed both ways.
"""

from __future__ import annotations

import math
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

_WARM_UP, _TIMED = 16, 24
"""Small steps before the first that is timed, and in each of four turns: one way, the other, the one, the other."""
_FEW = 3
"""The same, of long steps: they differ less from one to the next."""
_FRESH, _FRESH_LONG = 60.0, 600.0
"""Seconds for which what was found holds: later, other things may run on the machine. Long steps notice them less."""
_WORTH = 1.05
"""All threads for less than that are not worth it: they wait for each other longer as soon as anything else runs."""
_AGAIN = 2000
"""Small steps until it is tried anew, and three times as many each time after: the machine may have been disturbed."""
_SMALL = 2e-3
"""Seconds; longer steps have enough work for every thread."""


class Trial:
    """Which ways were tried, and how long they took; it outlives a call of `fit`, for the next may be a short one too.

    Args:
        likeness: What the step's time depends on.
        choices: What is to be chosen, one after the other.
    """

    def __init__(self, likeness: Any, choices: Sequence[Choice]) -> None:
        self.likeness = likeness
        self.choices = choices
        self.open = list(choices)
        self.settled: list[tuple[Callable[[Any], None], Any]] = []
        self.long = False
        self.turn = 0
        self.seconds: tuple[list[float], list[float]] = ([], [])
        self.warm_up: list[float] = []
        self.found_at = math.inf
        self.pause = self.until_next = _AGAIN

    def fits(self, likeness: Any) -> bool:
        """Whether it goes on, or holds, for steps of this likeness."""
        age = max(0.0, time.time() - self.found_at)
        return self.likeness == likeness and age < (_FRESH_LONG if self.long else _FRESH)

    def choose(self) -> None:
        """Sets everything as it was found, or is to be tried next."""
        for choose, setting in self.settled:
            choose(setting)
        for choose, ways, _ in self.open[:1]:
            choose(ways[self.turn % 2])

    def note(self, seconds: float) -> None:
        """Counts a step that was taken."""
        few = _FEW if self.long else _WARM_UP
        if len(self.warm_up) < few:
            self.warm_up.append(seconds)
            if len(self.warm_up) == _FEW and min(self.warm_up[1:]) > _SMALL:
                self.long = True
                self.open = [choice for choice in self.open if choice[0] is choose_matmul]
                self._go_on()
            return
        self.seconds[self.turn % 2].append(seconds)
        if len(self.seconds[self.turn % 2]) % (_FEW if self.long else _TIMED):
            return
        self.turn += 1  # one, other, one, other: a change of the machine hits both
        if self.turn == 4:
            choose, ways, worth = self.open.pop(0)
            first, second = map(median, self.seconds)
            self.settled.append((choose, ways[0] if first * worth <= second else ways[1]))
            self.turn, self.seconds = 0, ([], [])
        self._go_on()

    def pass_by(self) -> None:
        """Counts a step that is not timed; after many small ones, all choices are open again."""
        self.until_next -= 1
        if self.until_next == 0 and not self.long:
            self.pause = self.until_next = 3 * self.pause
            self.open, self.settled = list(self.choices), []
            self.choose()

    def _go_on(self) -> None:
        if not self.open:
            self.found_at = time.time()
        self.choose()


class QuickestWay:
    """A training step that settles, over its first calls, on the quickest way to run it.

    All its calls train; none is lost. After `set_random_seed` it leaves everything as it is: another number of
    threads, or another library, may round sums differently, and seeded runs are to be bit-equal.

    Args:
        step: The step.
        libraries: The libraries to choose from, the one in use first (see `kernels.matmul_choices`).
        likeness: What the step's time depends on, but for the model: the size of its batches.
        earlier: The `trial` of an earlier training of the model. While it is fresh and likeness is the same, it goes
            on.

    Attributes:
        trial: What was found so far, for the next training of the model.
    """

    def __init__(
        self, step: Step, libraries: Sequence[str] = (), likeness: Any = None, earlier: Trial | None = None
    ) -> None:
        self.step = step
        self.threads = torch.get_num_threads()
        likeness = (likeness, tuple(libraries), self.threads, random.seeded)
        choices: list[Choice] = []
        if self.threads > 1 and not random.seeded:
            choices.append((torch.set_num_threads, (self.threads, 1), _WORTH))
        if len(libraries) > 1 and not random.seeded:
            choices.append((choose_matmul, libraries, 1.0))
        self.trial = earlier if earlier is not None and earlier.fits(likeness) else Trial(likeness, choices)
        self._began = False

    def __call__(self, x: Any, y: Any, weight: Any) -> None:
        if not self._began:
            self._began = True
            self.trial.choose()
        if not self.trial.open:
            self.step(x, y, weight)
            self.trial.pass_by()
            return
        start = time.perf_counter()
        self.step(x, y, weight)
        self.trial.note(time.perf_counter() - start)

    def restore(self) -> None:
        """Gives torch its number of threads back."""
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
