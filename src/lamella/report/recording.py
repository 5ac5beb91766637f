"""From a history, or a study, to a record."""

from __future__ import annotations

from typing import Any

from lamella.callbacks import History
from lamella.doctor import Doctor
from lamella.report.environment import command, environment
from lamella.report.evidence import evidence, tried
from lamella.report.record import Record
from lamella.report.run_file import by_metric
from lamella.report.samples import given, of_arrays
from lamella.report.settings import layer_rows, settings
from lamella.study import Study


def record_of(history: History, data: Any = None) -> Record:
    """All that a history knows of its training.

    Args:
        history: What `fit` returned.
        data: `(x, y)` to look at the trained model with; by default what the history kept.

    Raises:
        DataError: Data that are no `(x, y)`.
    """
    record = beginning(history)
    record.state, record.error = ending(history), history.error
    record.history = by_metric(history.logs)
    record.rates = [rate for rate in history.rates if rate is not None]
    record.seconds = history.seconds
    doctor = doctor_of(history)
    if doctor is not None:
        record.findings, record.readings = doctor.findings, doctor.readings
    kept = history.data
    if data is not None:
        record.evidence = evidence(history.model, "given", given(history.model, data))
    elif kept is not None:
        record.evidence = evidence(history.model, kept.kind, of_arrays(kept.x, kept.y, kept.rows.tolist()))
    return record


def beginning(history: History) -> Record:
    """What is known before the first epoch."""
    by_clock = any(getattr(each, "minutes", None) for each in siblings(history))
    return Record(
        name=history.model.name,
        started=history.started,
        epochs=0 if by_clock else history.params.get("epochs", 0),
        settings=tried(lambda: settings(history)) or {},
        layers=tried(lambda: layer_rows(history.model)) or [],
        environment=environment(),
        command=command(),
    )


def ending(history: History) -> str:
    """`"completed"`, `"stopped"` or `"failed"`."""
    if history.error is not None:
        return "failed"
    done = history.epoch[-1] + 1 if history.epoch else 0
    by_clock = any(getattr(each, "minutes", None) for each in siblings(history))
    return "completed" if by_clock or done >= history.params.get("epochs", 0) else "stopped"


def siblings(history: History) -> list[Any]:
    """The callbacks of the same training."""
    return [] if history.callbacks is None else history.callbacks.callbacks


def doctor_of(history: History) -> Doctor | None:
    """The doctor among the callbacks of the same training."""
    return next((each for each in siblings(history) if isinstance(each, Doctor)), None)


def record_of_study(study: Study, data: Any = None) -> Record:
    """The trainings of a study, a row for each; the rest is that of the best one.

    Args:
        study: What `sweep`, `learning_rates` or `ensemble` returned.
        data: `(x, y)` to look at the best model with.
    """
    best = study.best_run
    model = best.model()
    return Record(
        name=model.name,
        state="completed",
        epochs=len(best.history["loss"]),
        settings={name: str(value) for name, value in best.settings.items()},
        layers=layer_rows(model),
        history=best.history,
        evidence=None if data is None else evidence(model, "given", given(model, data)),
        environment=environment(),
        command=command(),
        sweep=study.rows(),
    )
