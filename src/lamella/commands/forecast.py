"""`lamella train --task forecast`: a forecaster from a table; `lamella forecast`: the rows that come next."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import lamella
from lamella.callbacks import EarlyStopping, Pace
from lamella.commands.run_folder import leave_behind, new_folder, observers, print_history
from lamella.errors import DataError
from lamella.optimizers import Adam
from lamella.sequences import Forecaster, backtest, naive, read_series, seasonal_naive

MODELS = ("linear", "rnn", "lstm", "gru", "tcn", "transformer")
DATA = "a table with a row for each time (CSV)"


@dataclass
class Options:
    """What `lamella train --task forecast` was asked for."""

    data: str
    columns: Sequence[str] = ()
    time_column: str | None = None
    horizon: int = 12
    input_length: int | None = None
    period: int = 1
    fill: str | None = None
    model: str = "linear"
    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 3e-3
    validation_split: float = 0.2
    seed: int = 0
    out: str | None = None
    verbose: int = 1
    doctor: bool = True


def train(options: Options) -> dict[str, float]:
    """Trains on the first rows, back-tests beside naive forecasts, and writes the model; the scores."""
    lamella.utils.set_random_seed(options.seed)
    (series,) = read_series(options.data, options.time_column, name=Path(options.data).stem)
    rows = max(int(len(series) * options.validation_split), options.horizon)
    model = Forecaster(
        options.input_length or max(2 * options.horizon, 2 * options.period),
        options.horizon,
        options.model,
        targets=list(options.columns) or None,
        quantiles=(0.1, 0.5, 0.9),
        time_column=options.time_column,
        fill=options.fill,
    )
    model.compile(Adam(options.learning_rate))
    folder = new_folder(f"forecast-{options.model}", options.out)
    start = time.perf_counter()
    history = model.fit(
        series[: len(series) - rows],
        validation_split=0.2,
        batch_size=options.batch_size,
        epochs=options.epochs,
        callbacks=[
            Pace(options.learning_rate),
            EarlyStopping(patience=options.epochs, restore_best_weights=True),
            *observers(folder, options.doctor),
        ],
        verbose=options.verbose,
    ).history
    seconds = time.perf_counter() - start
    print_history(history, {})
    how: dict[str, Any] = {"rows": rows, "period": options.period, "stride": max(1, options.horizon // 4)}
    plain: dict[str, Any] = {"horizon": options.horizon, "targets": model.targets, "fill": options.fill}
    tests = {
        model.architecture: backtest(model, series, **how),
        "seasonal naive": backtest(seasonal_naive(options.period), series, **how, **plain),
        "naive": backtest(naive, series, **how, **plain),
    }
    for name, test in tests.items():
        print(f"\n{name}\n{test}")
    scores = {f"{name} {measure}": test.mean(measure) for name, test in tests.items() for measure in ("MAE", "MASE")}
    try_it = f"forecast {folder / 'model.keras'} {options.data}"
    leave_behind(folder, model, asdict(options), history, scores, seconds, try_it)
    return scores


@dataclass
class Use:
    """What `lamella forecast` was asked for."""

    model: str
    history: str
    out: str | None = None


def forecast(options: Use) -> np.ndarray:
    """Prints the rows that come after a table's last one, or writes them as CSV; the forecast."""
    model = lamella.models.load_model(options.model)
    if not isinstance(model, Forecaster):
        raise DataError(f"{options.model} is a {type(model).__name__}, not a Forecaster.")
    found = model.predict(options.history)
    targets = model.targets or []
    if model.quantiles is None:
        names = targets
    else:
        names = [f"{target} {quantile:g}" for target in targets for quantile in model.quantiles]
    table = [["step", *names]]
    table += [[str(i), *(f"{value:.6g}" for value in row)] for i, row in enumerate(found.reshape(len(found), -1), 1)]
    if options.out is None:
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        print("\n".join("  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in table))
    else:
        with open(options.out, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(table)
        print(f"{len(found)} rows written to {options.out}")
    return found
