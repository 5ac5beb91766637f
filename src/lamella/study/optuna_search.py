"""`optuna_search`: a search by Optuna whose trials are trained many at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

from lamella.errors import ArgumentError
from lamella.models import Model
from lamella.study.study import Study
from lamella.study.sweep import sweep


def optuna_search(
    search: Any,
    build: Callable[..., Model],
    suggest: Callable[[Any], Mapping[str, Any]],
    x: Any,
    y: Any,
    trials: int = 64,
    at_once: int = 16,
    seeds: int = 1,
    **options: Any,
) -> Study:
    """Asks Optuna for settings, `at_once` at a time, trains those together, and tells it what came of them.

    Trials that Optuna is told of only after the next have been suggested teach it less: a small `at_once` searches
    better, a large one quicker.

    Args:
        search: An `optuna.study.Study` that minimizes: `optuna.create_study()`.
        build: Makes a compiled model from the settings, as for `sweep`.
        suggest: From a trial of Optuna to settings: `lambda trial: {"rate": trial.suggest_float("rate", 0.01, 1)}`.
        x: Inputs, as for `sweep`.
        y: Targets.
        trials: How many settings to try.
        at_once: How many to train at a time.
        seeds: Each setting is trained with so many seeds; Optuna is told the mean.
        **options: `epochs`, `batch_size`, `validation_data` and `processes`, as for `sweep`.

    Returns:
        All trainings as one study. A setting with which a training diverged is a failed trial for Optuna.

    Raises:
        ArgumentError: No study of Optuna, or numbers that cannot be.
        ImportError: Optuna is missing.
    """
    try:
        from optuna.trial import TrialState
    except ImportError as error:
        raise ImportError("optuna_search() needs Optuna: pip install 'lamella[study]'") from error
    if not hasattr(search, "ask"):
        raise ArgumentError(f"`search` must be a study of Optuna, from optuna.create_study(); got {search!r}.")
    if getattr(search.direction, "name", "") != "MINIMIZE":
        raise ArgumentError("`search` must minimize, as it is told losses: optuna.create_study(direction='minimize').")
    if trials < 1 or at_once < 1:
        raise ArgumentError(f"`trials` and `at_once` must be 1 or more; got {trials} and {at_once}.")
    runs, seconds = [], 0.0
    for first in range(0, trials, at_once):
        asked = [search.ask() for _ in range(min(at_once, trials - first))]
        study = sweep(build, [dict(suggest(trial)) for trial in asked], x, y, seeds=seeds, **options)
        for i, trial in enumerate(asked):
            own = study.runs[i * seeds : (i + 1) * seeds]
            if any(run.diverged for run in own):
                search.tell(trial, state=TrialState.FAIL)
            else:
                search.tell(trial, fmean(run.last(study.judged_by) for run in own))
        runs += study.runs
        seconds += study.seconds
    return Study(runs, seconds)
