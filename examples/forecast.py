"""Forecasts five real series and holds the forecasts against those that need no learning.

    python examples/forecast.py --data FOLDER --series airline

FOLDER holds time_series/*.csv (github.com/jbrownlee/Datasets) and etth1/ETTh1.csv (github.com/zhouhaoyi/ETDataset).
The last part of each series is never trained on: forecasts are made from row after row of it. A score below 1 in the
last column of the table is better than repeating the last season, on the same rows.
"""

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import lamella
from lamella.callbacks import EarlyStopping, Pace
from lamella.optimizers import Adam
from lamella.sequences import Backtest, Forecaster, backtest, drift, naive, read_series, seasonal_naive


@dataclass
class Recipe:
    """How one series is read, forecast and tested."""

    file: str
    target: str | None  # all columns, if None
    input_length: int
    horizon: int
    period: int  # rows in a season
    test_rows: int
    stride: int
    time_column: Any = None
    model: dict[str, Any] = field(default_factory=dict)
    epochs: int = 100
    learning_rate: float = 1e-2
    validation_rows: int = 0  # with some, the epoch that forecasts them best is kept
    batch_size: int = 32
    quantiles: tuple[float, ...] | None = (0.1, 0.5, 0.9)


RECIPES = {
    "airline": Recipe(
        "time_series/airline-passengers.csv",
        "Passengers",
        input_length=24,
        horizon=12,
        period=12,
        test_rows=36,
        stride=1,
        time_column="Month",
        model={"scaling": "log1p", "instance_normalization": "last", "kernel_size": 13},
    ),
    "shampoo": Recipe(
        "time_series/shampoo.csv",
        "Sales",
        input_length=6,
        horizon=3,
        period=12,
        test_rows=12,
        stride=1,
        model={"scaling": "log1p", "instance_normalization": True, "kernel_size": 3},
    ),
    "temperature": Recipe(
        "time_series/daily-min-temperatures.csv",
        "Temp",
        input_length=28,
        horizon=7,
        period=365,
        test_rows=730,
        stride=1,
        time_column="Date",
        model={"fill": "forward", "calendar": ["day_of_year"]},
        epochs=10,
        learning_rate=1e-3,
        validation_rows=365,
    ),
    "pollution": Recipe(
        "time_series/pollution.csv",
        "pm2.5",
        input_length=72,
        horizon=24,
        period=24,
        test_rows=365 * 24,
        stride=6,
        time_column=("year", "month", "day", "hour"),
        model={
            "architecture": "gru",
            "past": ["DEWP", "TEMP", "PRES", "Iws", "Is", "Ir"],
            "scaling": "log1p",
            "fill": "forward",
            "calendar": ["hour_of_day", "day_of_year"],
        },
        epochs=3,
        learning_rate=1e-3,
        validation_rows=180 * 24,
        batch_size=128,
    ),
    "etth1": Recipe(
        "etth1/ETTh1.csv",
        None,
        input_length=336,
        horizon=96,
        period=24,
        test_rows=2880,
        stride=1,
        time_column="date",
        epochs=10,
        learning_rate=1e-3,
        validation_rows=2880,
        quantiles=None,
    ),
}

# Mean squared and mean absolute error of the standardised columns of ETTh1, horizon 96, as papers of 2023 report them:
# Informer (Zhou et al., 2021) and Autoformer (Wu et al., 2021) in Zeng et al. (DLinear), PatchTST/64 in Nie et al.
PUBLISHED = {
    "Informer": (0.865, 0.713),
    "Autoformer": (0.449, 0.459),
    "DLinear": (0.375, 0.399),
    "PatchTST": (0.370, 0.400),
}


def train(recipe: Recipe, series: Any, architecture: str | None) -> Forecaster:
    """The forecaster of a recipe, trained on a series."""
    arguments = recipe.model | ({"architecture": architecture} if architecture else {})
    model = Forecaster(
        recipe.input_length,
        recipe.horizon,
        targets=recipe.target,
        quantiles=recipe.quantiles,
        **arguments,
    )
    model.compile(Adam(recipe.learning_rate))
    callbacks: list[Any] = [Pace(recipe.learning_rate)]
    if recipe.validation_rows:
        callbacks.append(EarlyStopping(patience=recipe.epochs, restore_best_weights=True))
    model.fit(
        series,
        validation_rows=recipe.validation_rows,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        callbacks=callbacks,
        verbose=0,
    )
    return model


def compare(recipe: Recipe, model: Forecaster, series: Any) -> dict[str, Backtest]:
    """Back-tests of the model and of the baselines, on the same rows."""
    how = {"rows": recipe.test_rows, "stride": recipe.stride, "period": recipe.period}
    plain = {"horizon": recipe.horizon, "targets": model.targets, "fill": model.features.fill}
    return {
        model.architecture: backtest(model, series, **how),
        "seasonal naive": backtest(seasonal_naive(recipe.period), series, **how, **plain),
        "naive": backtest(naive, series, **how, **plain),
        "drift": backtest(drift, series, **how, **plain),
    }


def table(results: dict[str, Backtest]) -> str:
    """The means over the targets, and the share of seasonal naive's mean absolute error that is left."""
    lines = [f"{'':<16}{'MAE':>10}{'RMSE':>10}{'MASE':>8}{'sMAPE':>8}{'coverage':>10}{'to seasonal':>13}"]
    reference = results["seasonal naive"]
    for name, result in results.items():
        ratio = np.mean([own["MAE"] / other["MAE"] for own, other in zip(result.rows, reference.rows, strict=True)])
        coverage = f"{result.mean('coverage'):10.2f}" if "coverage" in result.rows[0] else " " * 10
        lines.append(
            f"{name:<16}{result.mean('MAE'):10.3f}{result.mean('RMSE'):10.3f}{result.mean('MASE'):8.3f}"
            f"{result.mean('sMAPE'):8.2f}{coverage}{ratio:13.3f}"
        )
    return "\n".join(lines)


def plot(recipe: Recipe, model: Forecaster, series: Any, result: Backtest, path: Path) -> None:
    """The end of the series, and forecasts of it, one after the other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    target = model.targets[-1]
    values = series.cleaned([target], model.features.fill).values[:, 0]
    (found,), (origins,) = result.forecasts.values(), result.origins.values()
    figure, axes = pyplot.subplots(figsize=(11, 4), layout="constrained")
    first = max(len(values) - 12 * recipe.horizon, 0)
    axes.plot(np.arange(first, len(values)), values[first:], color="black", linewidth=1, label=target)
    apart = max(recipe.horizon // recipe.stride, 1)
    for i in range((len(origins) - 1) % apart, len(origins), apart):
        if origins[i] < first:
            continue
        ahead = np.arange(origins[i], origins[i] + recipe.horizon)
        forecast = found[i, :, -1] if recipe.quantiles is None else found[i, :, -1, len(recipe.quantiles) // 2]
        axes.plot(ahead, forecast, color="tab:orange")
        if recipe.quantiles is not None:
            axes.fill_between(ahead, found[i, :, -1, 0], found[i, :, -1, -1], color="tab:orange", alpha=0.2)
    axes.set(title=f"{path.stem}: forecasts of {recipe.horizon} rows ({model.architecture})", xlabel="row")
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of time_series and etth1")
    parser.add_argument("--series", choices=[*RECIPES, "all"], default="all")
    parser.add_argument("--architecture", help="another than the recipe's")
    parser.add_argument("--out", type=Path, default=Path("forecasts"), help="a folder for plots and models")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    for name in RECIPES if options.series == "all" else [options.series]:
        recipe, started = RECIPES[name], time.perf_counter()
        lamella.utils.set_random_seed(0)
        (series,) = read_series(options.data / recipe.file, recipe.time_column)
        if name == "etth1":
            series = series[:14_400]  # 12, 4 and 4 months, as everybody cuts it
        model = train(recipe, series[: len(series) - recipe.test_rows], options.architecture)
        results = compare(recipe, model, series)
        print(f"{name}: {len(series)} rows, forecasts of {recipe.horizon} within the last {recipe.test_rows}")
        print(table(results))
        if name == "etth1":
            model.compile(metrics=["mae"])
            mse, mae = model.evaluate(series, rows=recipe.test_rows)
            print(f"standardised: MSE {mse:.3f}, MAE {mae:.3f}; published (MSE, MAE): {PUBLISHED}")
        plot(recipe, model, series, results[model.architecture], options.out / f"{name}.png")
        model.save(options.out / f"{name}.keras")
        print(f"{time.perf_counter() - started:.0f} s; plot and model: {options.out / name}.png, .keras\n", flush=True)


if __name__ == "__main__":
    main()
