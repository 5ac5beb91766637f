"""Series: reading, cleaning, times, scales."""

import re

import numpy as np
import pytest

from lamella.errors import ArgumentError, DataError
from lamella.sequences import Series, read_series
from lamella.sequences.scaling import Scaler
from lamella.sequences.timestamps import CALENDAR, calendar_features, step_of, to_times

pd = pytest.importorskip("pandas")


def test_every_form_gives_the_same_series(tmp_path):
    columns = {"day": ["2024-01-01", "2024-01-02", "2024-01-03"], "a": [1.0, 2.0, 3.5], "b": [4, 5, 6]}
    frame = pd.DataFrame(columns)
    path = tmp_path / "series.csv"
    frame.to_csv(path, index=False)
    indexed = frame.drop(columns="day").set_index(pd.to_datetime(frame["day"]))
    found = [
        read_series(columns, "day")[0],
        read_series(frame, "day")[0],
        read_series(path, "day")[0],
        read_series(indexed)[0],
    ]
    for series in found:
        assert series.names == ("a", "b")
        np.testing.assert_array_equal(series.values, [[1, 4], [2, 5], [3.5, 6]])
        np.testing.assert_array_equal(series.times, np.array(columns["day"], "datetime64[s]"))


def test_several_series_from_a_column_a_list_and_a_dict():
    long = {"shop": ["x", "y", "x", "y"], "sold": [1.0, 10.0, 2.0, 20.0]}
    by_column = read_series(long, series_column="shop")
    assert [(s.name, s.values.ravel().tolist()) for s in by_column] == [("x", [1.0, 2.0]), ("y", [10.0, 20.0])]
    parts = [np.array([1.0, 2.0]), np.array([10.0, 20.0, 30.0])]
    assert [s.name for s in read_series(parts)] == ["0", "1"]
    named = read_series({"x": {"sold": parts[0]}, "y": {"sold": parts[1]}})
    assert [(s.name, len(s)) for s in named] == [("x", 2), ("y", 3)]
    assert len(read_series([1.0, 2.0, 3.0])) == 1


def test_csv_with_missing_values_and_text(tmp_path):
    path = tmp_path / "air.csv"
    path.write_text("No,pm2.5,wind\n1,NA,NW\n2,3.5,SE\n3,,SE\n")
    (series,) = read_series(path)
    assert series.names == ("No", "pm2.5") and series.text == ("wind",)
    np.testing.assert_array_equal(series.values[:, 1], [np.nan, 3.5, np.nan])
    with pytest.raises(DataError, match="'wind' holds text"):
        series.cleaned(["wind"])
    path.write_text("a,b\n1,2\n3\n")
    with pytest.raises(DataError, match="row 1: 1 values, but the header has 2"):
        read_series(path)
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "none.csv"))):
        read_series(tmp_path / "none.csv")


def test_times_from_several_columns():
    parts = {"year": [2010, 2010], "month": [12, 12], "day": [31, 31], "hour": [22, 23], "v": [1.0, 2.0]}
    (series,) = read_series(parts, ("year", "month", "day", "hour"))
    assert [str(t) for t in series.times] == ["2010-12-31T22:00:00", "2010-12-31T23:00:00"]
    assert series.names == ("v",)
    (series,) = read_series(parts, ("year", "month"))
    assert str(series.times[0]) == "2010-12-01T00:00:00"
    with pytest.raises(DataError, match="numbers of year, month, day"):
        read_series({"y": ["x"], "v": [1.0]}, ("y",))


@pytest.mark.parametrize("fill", ["linear", "forward"])
def test_filling_is_pandas_filling(rng, fill):
    values = rng.normal(size=(60, 2))
    values[rng.random(values.shape) < 0.3] = np.nan
    values[:3, 0] = np.nan
    values[3] = 1.0
    frame = pd.DataFrame(values, columns=["a", "b"])
    cleaned = Series(values, ("a", "b")).cleaned(["a", "b"], fill)
    first = int(np.isnan(values).argmin(0).max())
    expected = frame.interpolate("linear") if fill == "linear" else frame.ffill()
    np.testing.assert_allclose(cleaned.values, expected.to_numpy()[first:])
    np.testing.assert_array_equal(cleaned.filled, np.isnan(values[first:]))


def test_missing_rows_are_put_in():
    days = ["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-05"]
    (series,) = read_series({"day": days, "v": [1.0, 2.0, 4.0, 5.0]}, "day")
    with pytest.raises(DataError, match=r"row 2: 2024-01-04T00:00:00 follows 2024-01-02.* 1 day apart; 1 row"):
        series.cleaned(["v"])
    filled = series.cleaned(["v"], "linear")
    assert filled.values.ravel().tolist() == [1, 2, 3, 4, 5]
    assert filled.filled.ravel().tolist() == [False, False, True, False, False]
    assert str(filled.times[2]) == "2024-01-03T00:00:00"


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["2024-01-02", "2024-01-01", "2024-01-03"], r"row 1: 2024-01-01.* comes after 2024-01-02.*Sort"),
        (["2024-01-01", "2024-01-02", "2024-01-02"], "row 2: .* the same time as the row before"),
        (["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04 12:00"], "row 3: .* lies between two steps"),
        (["2024-01-01", "yesterday"], "row 1: .*'yesterday'.* is no time"),
        (["2024-01-01", "NaT"], "no time in row 1"),
    ],
)
def test_times_that_cannot_be(times, message):
    with pytest.raises(DataError, match=message):
        read_series({"t": times, "v": np.arange(len(times))}, "t")[0].cleaned(["v"])


def test_values_that_cannot_be():
    times = np.datetime64("2024-01-01", "h") + np.arange(4)
    values = np.array([[1.0, 5], [np.nan, 5], [np.nan, 5], [2.0, np.inf]])
    series = Series(values, ("price", "amount"), times.astype("datetime64[s]"), "shop")
    with pytest.raises(DataError, match=r"'shop', column 'price'.*row 1 \(2024-01-01T01:00:00\) \(2 missing"):
        series.cleaned(["price"])
    with pytest.raises(DataError, match=r"column 'amount': infinite in row 3"):
        series.cleaned(["amount"], "linear")
    with pytest.raises(DataError, match=r"no column 'prize'\. Did you mean 'price'"):
        series.cleaned(["prize"])
    with pytest.raises(ArgumentError, match="`fill` must be one of"):
        series.cleaned(["price"], "guess")
    with pytest.raises(DataError, match="one length"):
        read_series({"a": [1, 2], "b": [1]})
    with pytest.raises(DataError, match="shape \\(2, 2, 2\\)"):
        read_series(np.zeros((2, 2, 2)))
    with pytest.raises(DataError, match="there is no column 'when'"):
        read_series({"a": [1, 2]}, "when")


@pytest.mark.parametrize("frequency", ["D", "h", "15min", "W", "MS", "ME", "QS", "YS"])
def test_steps_go_on_as_pandas_says(frequency):
    times = pd.date_range("2023-01-31", periods=30, freq=frequency).to_numpy().astype("datetime64[s]")
    step = step_of(times[:20], "s")
    ahead = step.after(times[19], np.arange(1, 11))
    if frequency == "ME":  # the last days of months: the month is right, the day a plain one
        ahead, times = ahead.astype("datetime64[M]"), times.astype("datetime64[M]")
        return
    np.testing.assert_array_equal(ahead, times[20:])


def test_calendar_features_come_round(rng):
    times = np.datetime64("2023-03-06T05:30", "s") + np.arange(3)  # a Monday
    features = calendar_features(times, CALENDAR)
    assert features.shape == (3, 12)
    np.testing.assert_allclose(np.square(features[:, ::2]) + np.square(features[:, 1::2]), 1)
    angle = np.arctan2(features[0, ::2], features[0, 1::2]) % (2 * np.pi) / (2 * np.pi)
    np.testing.assert_allclose(angle, [0.5, 5.5 / 24, 0, 5 / 31, 2 / 12, 64 / 365.25], atol=1e-9)
    with pytest.raises(ArgumentError, match="`calendar` is a list"):
        calendar_features(times, ["season"])
    assert str(to_times(["1949-01"], "m")[0]) == "1949-01-01T00:00:00"


@pytest.mark.parametrize("kind", [None, "standard", "log1p"])
def test_scaler_there_and_back(rng, kind):
    values = np.exp(rng.normal(size=(50, 3)) * 2)
    values[:, 2] = -4.0  # one that never changes
    scaler = Scaler(kind, 2).fit(values, ["a", "b", "c"], "s")
    scaled = scaler.transform(values)
    np.testing.assert_allclose(scaler.inverse(scaled), values, rtol=1e-9)
    np.testing.assert_allclose(scaler.inverse(scaled[:, :2].T, axis=0), values[:, :2].T, rtol=1e-9)
    if kind is not None:
        np.testing.assert_allclose(scaled[:, :2].mean(0), 0, atol=1e-9)
        np.testing.assert_allclose(scaled[:, :2].std(0), 1)
        np.testing.assert_allclose(scaled[:, 2], 0)
    again = Scaler(**scaler.get_config())
    np.testing.assert_array_equal(again.transform(values), scaled)
    if kind == "log1p":
        with pytest.raises(DataError, match=r"column 'b': -1\.0 in row 0 is below 0"):
            scaler.transform(np.array([[1.0, -1.0, 0.0]]), ["a", "b", "c"], "s")
