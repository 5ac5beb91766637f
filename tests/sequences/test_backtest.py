"""Back-tests: the measures by their definitions, and that nothing of the future is seen."""

import numpy as np
import pytest

from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.sequences import Forecaster, backtest, drift, naive, seasonal_naive


def test_measures_by_definition(rng):
    series = rng.normal(size=60).cumsum() + 50
    period, horizon, rows, stride = 7, 4, 20, 3
    result = backtest(seasonal_naive(period), series, horizon, stride, rows, period)
    scale = np.mean([abs(series[t] - series[t - period]) for t in range(period, 40)])
    errors, relative = [], []
    for origin in range(40, 60 - horizon + 1, stride):
        for step in range(horizon):
            forecast, truth = series[origin + step - period], series[origin + step]
            errors.append(abs(truth - forecast))
            relative.append(2 * abs(truth - forecast) / (abs(truth) + abs(forecast)))
    (row,) = result.rows
    assert row["forecasts"] == 6
    assert row["MAE"] == pytest.approx(np.mean(errors))
    assert row["RMSE"] == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    assert row["MASE"] == pytest.approx(np.mean(errors) / scale)
    assert row["sMAPE"] == pytest.approx(100 * np.mean(relative))
    assert f"{row['MAE']:.4g}" in str(result)


def test_baselines(rng):
    line = np.arange(10.0)[:, None] * [2.0, -1.0] + 3
    np.testing.assert_allclose(drift(line, 3), np.arange(10.0, 13)[:, None] * [2.0, -1.0] + 3)
    np.testing.assert_array_equal(naive(line, 2), line[[-1, -1]])
    np.testing.assert_array_equal(seasonal_naive(3)(line, 5), line[[-3, -2, -1, -3, -2]])
    with pytest.raises(ArgumentError, match="`period`"):
        seasonal_naive(0)
    with pytest.raises(DataError, match="less than a period of 12"):
        seasonal_naive(12)(line, 2)


def test_a_function_sees_only_the_rows_before(rng):
    series, seen = np.arange(30.0), []

    def spy(history, horizon):
        seen.append(history[-1, 0])
        return naive(history, horizon)

    result = backtest(spy, series, 2, 2, rows=6)
    assert seen == [23, 25, 27]
    assert result.origins["series"].tolist() == [24, 26, 28]


def test_filled_values_are_no_truth():
    series = np.array([1.0, 2, 3, 4, np.nan, 9])
    row = backtest(naive, {"v": series}, 1, rows=2, fill="forward").rows[0]
    assert row["MAE"] == 5  # 9 against the 4 that went on; the gap itself is not measured


def test_coverage_of_quantiles(rng):
    series = rng.normal(size=400)

    def normal(history, horizon):
        return np.tile([[[-1.2816, 0.0, 1.2816]]], (horizon, 1, 1))

    row = backtest(normal, series, 1, rows=300).rows[0]
    inside = np.abs(series[100:]) <= 1.2816
    assert row["coverage"] == pytest.approx(inside.mean())
    assert row["MAE"] == pytest.approx(np.abs(series[100:]).mean())


def test_a_forecaster_is_tested_as_if_by_predict(rng):
    wave = np.sin(np.arange(90) / 4) * 5 + rng.normal(size=90) * 0.1
    model = Forecaster(12, 4, kernel_size=3)
    model.compile()
    model.fit(wave[:70], epochs=3, verbose=0)
    result = backtest(model, wave, rows=20, stride=1)
    for forecast, origin in zip(result.forecasts["series"], result.origins["series"], strict=True):
        np.testing.assert_allclose(forecast, model.predict(wave[:origin]), rtol=1e-5, atol=1e-6)
    shorter = backtest(model, wave, horizon=2, rows=20, stride=1)
    np.testing.assert_allclose(
        shorter.forecasts["series"][:17], result.forecasts["series"][:, :2], rtol=1e-5, atol=1e-6
    )
    assert len(shorter.forecasts["series"]) == 19


def test_refit_trains_on_the_rows_before_each_forecast():
    wave = np.concatenate([np.full(40, 1.0) + np.arange(40) % 2, 100 + np.arange(20) % 2])
    model = Forecaster(4, 2, kernel_size=3)
    model.compile()
    model.fit(wave[:40], epochs=1, verbose=0)
    result = backtest(model, wave, rows=8, stride=4, refit=True)
    again = [model.refitted(wave[:origin]).features.scalers["series"].mean[0] for origin in result.origins["series"]]
    assert again == pytest.approx([wave[:52].mean(), wave[:56].mean()])
    assert model.features.scalers["series"].mean[0] == pytest.approx(1.5)  # the model itself stays


def test_refusals():
    series = np.arange(20.0)
    with pytest.raises(ArgumentError, match="needs a `horizon`"):
        backtest(naive, series)
    with pytest.raises(ArgumentError, match="`stride` must be a whole number"):
        backtest(naive, series, 2, stride=-1)
    with pytest.raises(DataError, match="20 rows: the last 20 cannot be forecast"):
        backtest(naive, series, 2, rows=20)
    with pytest.raises(ShapeError, match=r"shape \(3, 1\); expected .*\(2, 1\)"):
        backtest(lambda history, horizon: naive(history, 3), series, 2)
    model = Forecaster(4, 2)
    model.compile()
    model.fit(series, verbose=0)
    with pytest.raises(ArgumentError, match="`horizon` 5 is more than the model's 2"):
        backtest(model, series, 5)
    with pytest.raises(ArgumentError, match="brings its own"):
        backtest(model, series, fill="linear")
