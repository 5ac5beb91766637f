"""The folder that a training leaves behind: its events, its report, its options, its scores and its model."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamella import report
from lamella.callbacks import Callback
from lamella.doctor import Doctor
from lamella.engine import cluster
from lamella.errors import ArgumentError

History = Mapping[str, Sequence[float]]


def new_folder(name: str, out: str | None = None) -> Path:
    """`out`, or the first of `runs/NAME-1`, `runs/NAME-2`, ... that is not there yet; made, and fit to write to.

    Raises:
        ArgumentError: A folder that cannot be written to.
    """
    if not cluster.is_first():  # of several processes only one keeps what it writes
        _kept.append(tempfile.TemporaryDirectory())
        return Path(_kept[-1].name)
    number = 1
    folder = Path(out) if out is not None else Path("runs") / f"{name}-{number}"
    while out is None and folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ArgumentError(f"Cannot write to {folder}: {error.strerror}. Choose another folder with --out.") from error
    return folder


_kept: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


def observers(folder: Path, doctor: bool) -> list[Callback]:
    """What watches the training: a doctor, if one is wanted, and a recorder that writes to the folder."""
    return [*([Doctor()] if doctor else []), report.Recorder(folder)]


def write_report(folder: Path) -> None:
    """Writes `report.html`, of what the recorder wrote."""
    if cluster.is_first():
        report.write(folder / "report.html", report.read(folder))


def write_record(folder: Path, options: Mapping[str, Any], history: History, scores: Any, seconds: float) -> None:
    """Writes `run.json` (the options, the test scores, the seconds) and `history.csv` (a row an epoch)."""
    record = {"options": dict(options), "test": scores, "seconds": round(seconds, 2)}
    (folder / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history])
        writer.writerows([i + 1, *row] for i, row in enumerate(zip(*history.values(), strict=True)))


def print_history(history: History, scores: Mapping[str, float]) -> None:
    """A row for each number that was followed: at first, at best, at last, and on the test data."""
    print()
    print(f"{'':<12}{'first epoch':>12}{'best':>12}{'last epoch':>12}{'test':>12}")
    for name, values in history.items():
        if not values:
            continue
        best = max(values) if _more_is_better(name) else min(values)
        test = scores.get(name)
        shown = f"{test:>12.4f}" if test is not None else f"{'':>12}"
        print(f"{name:<12}{values[0]:>12.4f}{best:>12.4f}{values[-1]:>12.4f}{shown}")


def _more_is_better(name: str) -> bool:
    return any(word in name for word in ("accuracy", "map", "iou"))


def draw_history(path: Path, history: History, title: str) -> bool:
    """Draws each number against the epochs, validation beside training; False where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    names = [name for name in history if not name.startswith("val_")]
    names += [name for name in history if name.startswith("val_") and name.removeprefix("val_") not in names]
    figure = Figure(figsize=(5 * len(names), 4), layout="constrained")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        epochs = range(1, len(history[name]) + 1)
        axes.plot(epochs, history[name], label="validation" if name.startswith("val_") else "training")
        if f"val_{name}" in history:
            axes.plot(epochs, history[f"val_{name}"], label="validation")
        axes.set(xlabel="epoch", ylabel=name.removeprefix("val_"), title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
    return True


def leave_behind(
    folder: Path, model: Any, options: Mapping[str, Any], history: History, scores: Any, seconds: float, try_it: str
) -> None:
    """Writes the model, the report and the record of its training, and tells what was written and what to type next."""
    model.save(folder / "model.keras")
    tell_what_is_left(folder, model, options, history, scores, seconds, ["model.keras"])
    print(f"Try it: lamella {try_it}")


def tell_what_is_left(
    folder: Path,
    model: Any,
    options: Mapping[str, Any],
    history: History,
    scores: Any,
    seconds: float,
    written: Sequence[str],
) -> None:
    """Writes the report, the record and the curve of the training, and tells of these files and of those `written`."""
    write_report(folder)
    write_record(folder, options, history, scores, seconds)
    drawn = draw_history(folder / "learning_curve.png", history, model.name)
    files = [
        *written,
        "report.html",
        "events.jsonl",
        "history.csv",
        "run.json",
        *(["learning_curve.png"] if drawn else []),
    ]
    print(f"Written to {folder}: {', '.join(files)}")
    if not drawn:
        print("For the picture of the learning curve: pip install 'lamella[report]'")
    print(f"What happened, in words and pictures: open {folder / 'report.html'}")
