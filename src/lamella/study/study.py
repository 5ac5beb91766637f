"""`Study`: what came of many trainings, as a table, as a picture and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median, stdev
from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.models import Model
from lamella.study.job import Data, Job, held_by

_WORSE = 2.0
"""A training has diverged if its loss ends so many times as large as it was before."""


class Run:
    """One training of a study.

    Attributes:
        settings: What distinguishes it: `{"learning_rate": 0.1}`.
        seed: Its seed.
        history: As `fit` gives it: for each metric, a number for each epoch; NaN from where the loss was lost.
        before: The loss before training, on the first samples.
        lost_at: The step (from 1) whose loss was NaN or infinite; None if there was none.
        how: `"at once"`, or `"in a pool of processes: "` and why.
    """

    def __init__(
        self,
        job: Job,
        before: float,
        history: Mapping[str, Sequence[float]],
        fine: int,
        state: Sequence[torch.Tensor],
        how: str,
        data: Data,
    ) -> None:
        self._job = job
        self._state = state
        self.settings = job.settings
        self.seed = job.seed
        self.before = before
        self.lost_at = fine + 1 if fine < data.steps * data.epochs else None
        missing = [math.nan] * data.epochs
        self.history = {name: [*values, *missing][: data.epochs] for name, values in history.items()}
        self.history.setdefault("loss", missing)
        self.how = how

    @property
    def diverged(self) -> bool:
        """Whether the loss was lost, or ended at more than twice what it was before training."""
        last = self.history["loss"][-1]
        return self.lost_at is not None or not last <= _WORSE * self.before

    def last(self, name: str) -> float:
        """A metric after the last epoch."""
        return self.history[name][-1] if name in self.history else math.nan

    def model(self) -> Model:
        """The trained model. Its optimizer is as it was before training."""
        model = self._job.fresh_model()
        with torch.no_grad():
            for held, value in zip(held_by(model).values(), self._state, strict=True):
                held.copy_(value)
        return model


class Study:
    """Many trainings, compared.

    Attributes:
        runs: One for each setting and seed.
        seconds: How long all took.
        judged_by: `"val_loss"` where there are validation data, else `"loss"`; the less, the better.
    """

    def __init__(self, runs: Sequence[Run], seconds: float) -> None:
        self.runs = list(runs)
        self.seconds = seconds
        self.judged_by = "val_loss" if any("val_loss" in run.history for run in runs) else "loss"

    @property
    def histories(self) -> list[dict[str, list[float]]]:
        """The history of each run."""
        return [run.history for run in self.runs]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each run: its settings, its seed, each metric after the last epoch, `diverged` and `how`."""
        names = list(dict.fromkeys(name for run in self.runs for name in run.history))
        return [
            {
                **run.settings,
                "seed": run.seed,
                **{name: run.last(name) for name in names},
                "diverged": run.diverged,
                "how": run.how,
            }
            for run in self.runs
        ]

    def table(self) -> Any:
        """The `rows`, as a pandas DataFrame if pandas is installed, else as they are."""
        return _table(self.rows())

    def summary(self) -> Any:
        """A row for each setting: mean and spread over its seeds, and how many runs diverged. As `table`."""
        return _table(
            [
                {
                    **runs[0].settings,
                    "runs": len(runs),
                    "diverged": sum(run.diverged for run in runs),
                    self.judged_by: _score(runs, self.judged_by),
                    "spread": _spread([run.last(self.judged_by) for run in runs if not run.diverged]),
                }
                for runs in self.by_settings()
            ]
        )

    def by_settings(self) -> list[list[Run]]:
        """The runs of each setting: one for each seed."""
        groups: dict[str, list[Run]] = {}
        for run in self.runs:
            groups.setdefault(repr(run.settings), []).append(run)
        return list(groups.values())

    @property
    def best(self) -> dict[str, Any]:
        """The settings whose mean over the seeds is best, none of them diverged.

        Raises:
            ArgumentError: A run of every setting diverged.
        """
        ranked = min(self.by_settings(), key=lambda runs: _score(runs, self.judged_by))
        if not math.isfinite(_score(ranked, self.judged_by)):
            raise ArgumentError(
                "There is no best setting: with each of them a training diverged. Study smaller learning rates, or "
                "scale the inputs."
            )
        return dict(ranked[0].settings)

    @property
    def best_run(self) -> Run:
        """The run whose loss ended lowest."""
        return min(self.runs, key=lambda run: _score([run], self.judged_by))

    @property
    def best_by_seed(self) -> dict[int, dict[str, Any]]:
        """For each seed, the settings that were best with it: how far they differ is how sure `best` is."""
        found: dict[int, dict[str, Any]] = {}
        for seed in dict.fromkeys(run.seed for run in self.runs):
            own = [run for run in self.runs if run.seed == seed]
            found[seed] = dict(min(own, key=lambda run: _score([run], self.judged_by)).settings)
        return found

    def edge(self, name: str = "learning_rate") -> float | None:
        """The edge of divergence: the least value from which on at least half of all runs diverge; None if none do.

        Raises:
            ArgumentError: No setting of this name.
        """
        if any(name not in run.settings for run in self.runs):
            raise ArgumentError(f"This study has no setting {name!r}; it has {list(self.runs[0].settings)}.")
        edge = None
        for value in sorted({run.settings[name] for run in self.runs}, reverse=True):
            runs = [run for run in self.runs if run.settings[name] == value]
            if sum(run.diverged for run in runs) < len(runs) / 2:
                break
            edge = value
        return edge

    def plot(self, name: str = "learning_rate", axes: Any = None) -> Any:
        """Draws the loss against a setting; see `lamella.study.plots.plot_study`."""
        from lamella.study.plots import plot_study

        return plot_study(self, name, axes)

    def __str__(self) -> str:
        """In words: how the runs were trained, what was best, and where they diverge."""
        together = sum(run.how == "at once" for run in self.runs)
        lines = [f"{len(self.runs)} runs in {self.seconds:.1f} s: {together} at once"]
        if together < len(self.runs):
            reasons = dict.fromkeys(run.how for run in self.runs if run.how != "at once")
            lines[0] += f", {len(self.runs) - together} " + "; ".join(reasons)
        diverged = sum(run.diverged for run in self.runs)
        if diverged == len(self.runs):
            return "\n".join([*lines, "every run diverged"])
        best = self.best_run
        lines.append(f"best run: {best.settings}, seed {best.seed}: {self.judged_by} {best.last(self.judged_by):.4g}")
        if diverged:
            lines.append(f"{diverged} runs diverged")
        return "\n".join(lines)


def _score(runs: Sequence[Run], name: str) -> float:
    values = [math.inf if run.diverged or math.isnan(run.last(name)) else run.last(name) for run in runs]
    return fmean(values) if all(map(math.isfinite, values)) else math.inf


def _spread(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else math.nan


def typical(values: Sequence[float]) -> float:
    """The median, or NaN of nothing."""
    return median(values) if values else math.nan


def _table(rows: list[dict[str, Any]]) -> Any:
    try:
        import pandas
    except ImportError:
        return rows
    return pandas.DataFrame(rows)
