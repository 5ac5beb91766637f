"""`backtest`: how good forecasts would have been, had they been made in the past."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.sequences.forecaster import Forecaster
from lamella.sequences.series import Series, read_series

_MEASURES = ("MAE", "RMSE", "MASE", "sMAPE")


@dataclass
class Backtest:
    """What a back-test found. `print` it for a table.

    Attributes:
        rows: A dict for each series and target: "series", "target", "forecasts" (how many), "MAE", "RMSE", "MASE",
            "sMAPE", and, of forecasts of quantiles, "coverage" (the share of values between the lowest and the
            highest quantile).
        forecasts: By series, (forecasts, horizon, targets), or with a last axis of quantiles.
        truth: By series, (forecasts, horizon, targets); NaN where a missing value had been filled.
        origins: By series, the first row of each forecast.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    forecasts: dict[str, np.ndarray] = field(default_factory=dict)
    truth: dict[str, np.ndarray] = field(default_factory=dict)
    origins: dict[str, np.ndarray] = field(default_factory=dict)

    def mean(self, measure: str) -> float:
        """The mean of a measure over series and targets."""
        return float(np.mean([row[measure] for row in self.rows]))

    def __str__(self) -> str:
        measures = [key for key in (*_MEASURES, "coverage") if key in self.rows[0]]
        head = ["series", "target", "forecasts", *measures]
        body = [[*map(str, (row["series"], row["target"], row["forecasts"]))] for row in self.rows]
        body = [[*line, *(f"{row[key]:.4g}" for key in measures)] for line, row in zip(body, self.rows, strict=True)]
        widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in (head, *body)
        ]
        return "\n".join(lines)


def backtest(
    model: Forecaster | Callable[[np.ndarray, int], Any],
    data: Any,
    horizon: int | None = None,
    stride: int | None = None,
    rows: int | None = None,
    period: int = 1,
    refit: bool = False,
    targets: Sequence[str] | None = None,
    time_column: str | Sequence[str] | None = None,
    series_column: str | None = None,
    fill: str | None = None,
) -> Backtest:
    """Forecasts from row after row of the last part of each series, and measures them.

    Each forecast sees only the rows before it (but for what is known of the future).

    Args:
        model: A `Forecaster`, or a function `(history, horizon) -> forecast` as those of `baselines`: history (time,
            targets), forecast (horizon, targets).
        data: One or several series, as for `read_series`.
        horizon: Rows in each forecast; the model's own by default, and never more than it.
        stride: Rows from one forecast to the next; `horizon` by default, so that none is counted twice.
        rows: How many rows at the end of each series are forecast; a fifth by default, one horizon at least.
        period: The rows of a season, for MASE.
        refit: Whether a `Forecaster` is trained anew before each forecast, on all rows before it.
        targets: The columns to forecast, for a function; all columns of numbers by default. A model has its own.
        time_column: As for `read_series`, for a function.
        series_column: As for `read_series`, for a function.
        fill: As for `Series.cleaned`, for a function. Filled values are no truth: they are not measured.

    Returns:
        The table: MAE and RMSE, in the units of the data; MASE, the MAE over that of repeating the value of a period
        ago in all rows before the first forecast; sMAPE, in percent, from 0 to 200; coverage, where there are
        quantiles. The forecast of quantiles is the middle one, for the first four.

    Raises:
        ArgumentError: Arguments that cannot be.
        DataError: Series that are too short.
        ShapeError: A function whose forecast has another shape.

    Source: MASE and sMAPE: Hyndman and Koehler, Another look at measures of forecast accuracy, 2006.

    Example:
        >>> from lamella.sequences.baselines import naive
        >>> print(backtest(naive, np.arange(20.0), horizon=2, rows=4))
        series  target  forecasts  MAE   RMSE  MASE  sMAPE
        series       0          2  1.5  1.581   1.5  8.944
    """
    if isinstance(model, Forecaster):
        if any(each is not None for each in (targets, time_column, series_column, fill)):
            raise ArgumentError("backtest: a Forecaster brings its own targets, time_column, series_column and fill.")
        many = model.features.read(data)
        names, horizon = model.targets, horizon or model.horizon
        if horizon > model.horizon:
            raise ArgumentError(f"backtest: `horizon` {horizon} is more than the model's {model.horizon}.")
    else:
        if refit or horizon is None:
            raise ArgumentError("backtest: a function needs a `horizon`, and is not refitted: it sees all the history.")
        many = read_series(data, time_column, series_column)
        names = list(targets or many[0].names)
        many = [series.cleaned(names, fill) for series in many]
    for argument, value in (("horizon", horizon), ("stride", stride or horizon), ("period", period)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ArgumentError(f"backtest: `{argument}` must be a whole number, 1 or more; got {value!r}.")
    result = Backtest()
    for series in many:
        origins = _origins(series, horizon, stride or horizon, rows, model)
        found = _forecasts(model, series, origins, horizon, len(names), refit)
        ahead = origins[:, None] + np.arange(horizon)
        values = series.values[:, : len(names)]
        truth = values[ahead]
        if series.filled is not None:
            truth = np.where(series.filled[:, : len(names)][ahead], np.nan, truth)
        result.forecasts[series.name], result.truth[series.name] = found, truth
        result.origins[series.name] = origins
        for i, target in enumerate(names):
            scale = seasonal_error(values[: origins[0], i], period)
            measures = measured(truth[..., i], found[:, :, i], scale)
            result.rows.append({"series": series.name, "target": target, "forecasts": len(origins), **measures})
    return result


def measured(truth: np.ndarray, forecast: np.ndarray, scale: float) -> dict[str, float]:
    """The measures of forecasts (...), or (..., quantiles), against truth (...), where NaN does not count."""
    middle = forecast[..., forecast.shape[-1] // 2] if forecast.ndim > truth.ndim else forecast
    error = np.abs(truth - middle)
    size = np.abs(truth) + np.abs(middle)
    there = ~np.isnan(truth)
    relative = np.divide(2 * error, size, out=np.zeros_like(error), where=size > 0)  # 0 for 0 is right
    found = {
        "MAE": float(error[there].mean()),
        "RMSE": float(np.sqrt(np.square(error[there]).mean())),
        "MASE": float(error[there].mean() / scale) if scale else float("nan"),
        "sMAPE": float(100 * relative[there].mean()),
    }
    if forecast.ndim > truth.ndim:
        inside = (forecast[..., 0] <= truth) & (truth <= forecast[..., -1])
        found["coverage"] = float(inside[there].mean())
    return found


def seasonal_error(values: np.ndarray, period: int) -> float:
    """The mean error of repeating the value of a period ago: the scale of MASE. NaN for too few values.

    Example:
        >>> seasonal_error(np.array([1.0, 5.0, 2.0, 7.0]), 2)
        1.5
    """
    if len(values) <= period:
        return float("nan")
    return float(np.abs(values[period:] - values[:-period]).mean())


def _origins(series: Series, horizon: int, stride: int, rows: int | None, model: Any) -> np.ndarray:
    last = max(len(series) // 5, horizon) if rows is None else rows
    first, needed = len(series) - last, model.input_length if isinstance(model, Forecaster) else 1
    if last < horizon or first < needed:
        raise DataError(
            f"Series {series.name!r} has {len(series)} rows: the last {last} cannot be forecast {horizon} at a time "
            f"with {needed} row(s) of history before them."
        )
    return np.arange(first, len(series) - horizon + 1, stride)


def _forecasts(
    model: Any, series: Series, origins: np.ndarray, horizon: int, num_targets: int, refit: bool
) -> np.ndarray:
    if isinstance(model, Forecaster):
        models = [model.refitted(series[:origin]) for origin in origins] if refit else [model]
        parts = np.split(origins, len(models))
        # The last forecasts of a shorter horizon would reach over the end: rows that are not looked at stand in.
        longer = _continued(series, model.horizon - horizon)
        found = np.concatenate([each.predict_at(longer, part) for each, part in zip(models, parts, strict=True)])
        return found[:, :horizon]
    values = series.values[:, :num_targets]
    forecasts = [np.asarray(model(values[:origin], horizon), "float64") for origin in origins]
    for each in forecasts:
        if each.shape[:2] != (horizon, num_targets):
            raise ShapeError(
                f"backtest: the function gave a forecast of shape {each.shape}; expected (horizon, targets), that is "
                f"({horizon}, {num_targets})."
            )
    return np.stack(forecasts)


def _continued(series: Series, rows: int) -> Series:
    if not rows:
        return series
    step = series.step()
    times = None if step is None else step.after(series.times[-1], np.arange(1, rows + 1))  # type: ignore[index]
    return Series(
        np.concatenate([series.values, np.repeat(series.values[-1:], rows, 0)]),
        series.names,
        None if times is None else np.concatenate([series.times, times]),  # type: ignore[list-item]
        series.name,
    )
