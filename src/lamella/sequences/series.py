"""`Series`: columns of numbers over time; and how to read some from arrays, frames and files."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lamella.errors import ArgumentError, DataError, nearest
from lamella.sequences.timestamps import Step, grid_rows, step_of, to_times

FILLS = (None, "linear", "forward")
_MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}


@dataclass(frozen=True)
class Series:
    """Columns of numbers over time. `series[10:20]` are some of its rows.

    Args:
        values: (time, columns), float64; NaN where a value is missing.
        names: The names of the columns.
        times: (time,), datetime64; None if the rows are simply one after the other.
        name: The name of the series.
        filled: (time, columns), where `cleaned` has put in a value.
        text: The names of columns that hold no numbers and were left out.

    Example:
        >>> series = Series(np.arange(6.0).reshape(3, 2), ("a", "b"))
        >>> len(series), series[1:].values.tolist()
        (3, [[2.0, 3.0], [4.0, 5.0]])
    """

    values: np.ndarray
    names: tuple[str, ...]
    times: np.ndarray | None = None
    name: str = "series"
    filled: np.ndarray | None = None
    text: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice) -> Series:
        return replace(
            self,
            values=self.values[rows],
            times=None if self.times is None else self.times[rows],
            filled=None if self.filled is None else self.filled[rows],
        )

    def row_name(self, row: int) -> str:
        """A row for messages: its number from 0, and its time."""
        return f"row {row}" if self.times is None else f"row {row} ({self.times[row]})"

    def cleaned(self, columns: Sequence[str], fill: str | None = None) -> Series:
        """These columns alone, on even times and without a missing value.

        Args:
            columns: Their names, in the order that is wanted.
            fill: What to do with missing rows and values. None refuses them; `"linear"` draws a line over the gap, and
                so uses values that come later; `"forward"` repeats the last value. Rows before the first value of
                every column are left out.

        Raises:
            DataError: A column that is not there or holds text; times that are not even; missing or infinite values
                that are not to be filled. The message names column and row.
        """
        series = self._even(fill)
        series = replace(series, values=series._columns(columns), names=tuple(columns))
        missing = np.isnan(series.values)
        infinite = np.argwhere(np.isinf(series.values))
        if len(infinite):
            row, column = infinite[0]
            raise DataError(
                f"Series {self.name!r}, column {columns[column]!r}: infinite in {series.row_name(row)} "
                f"({len(infinite)} such values). Correct them, or make them NaN and fill."
            )
        if not missing.any():
            return replace(series, filled=np.zeros_like(missing))
        row, column = np.argwhere(missing)[0]
        if fill is None:
            raise DataError(
                f"Series {self.name!r}, column {columns[column]!r}: no value in {series.row_name(row)} "
                f"({int(missing.sum())} missing values in all). Pass fill='linear' (a line over each gap) or "
                f"fill='forward' (the last value goes on), or leave these rows out."
            )
        empty = [name for name, gone in zip(columns, missing.all(0), strict=True) if gone]
        if empty:
            raise DataError(f"Series {self.name!r}: column {empty[0]!r} has no value at all.")
        start = int((~missing).argmax(0).max())
        series, missing = series[start:], missing[start:]
        values = _line(series.values, missing) if fill == "linear" else _forward(series.values, missing)
        return replace(series, values=values, filled=missing)

    def step(self) -> Step | None:
        """The time from one row to the next; None without times."""
        return None if self.times is None else step_of(self.times, self.name)

    def _even(self, fill: str | None) -> Series:
        """The same with a row of NaN for each missing time."""
        if fill not in FILLS:
            raise ArgumentError(f"`fill` must be one of {FILLS}; got {fill!r}.")
        if self.times is None or len(self) < 2:
            return self
        step = step_of(self.times, self.name)
        rows = grid_rows(self.times, step, self.name, gaps_allowed=fill is not None)
        if rows[-1] + 1 == len(rows):
            return self
        values = np.full((rows[-1] + 1, self.values.shape[1]), np.nan)
        values[rows] = self.values
        return replace(self, values=values, times=step.after(self.times[0], np.arange(len(values))), filled=None)

    def _columns(self, names: Sequence[str]) -> np.ndarray:
        for name in names:
            if name in self.text:
                raise DataError(
                    f"Series {self.name!r}: column {name!r} holds text. Encode it as numbers first, or leave it out."
                )
            if name not in self.names:
                close = nearest(name, self.names)
                mend = f"Did you mean {close[0]!r}?" if close else f"It has {list(self.names)}."
                raise DataError(f"Series {self.name!r} has no column {name!r}. {mend}")
        return self.values[:, [self.names.index(name) for name in names]]


def _line(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    rows = np.arange(len(values))
    columns = [np.interp(rows, rows[~gone], column[~gone]) for column, gone in zip(values.T, missing.T, strict=True)]
    return np.stack(columns, 1)


def _forward(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    last = np.where(missing, 0, np.arange(len(values))[:, None])
    return np.take_along_axis(values, np.maximum.accumulate(last, 0), 0)


def read_series(
    data: Any,
    time_column: str | Sequence[str] | None = None,
    series_column: str | None = None,
    name: str = "series",
) -> list[Series]:
    """One or several series, from what people have.

    Args:
        data: An array (time,) or (time, columns), whose columns are named "0", "1", ...; a dict of columns; a pandas
            DataFrame, whose DatetimeIndex are the times; the path of a CSV file with a header; a `Series`; or a list of
            these, or a dict of them by name, for several series.
        time_column: The column of the times, or several for year, month, day, hour, minute (in this order).
        series_column: The column that says which series a row belongs to.
        name: The name of a single series.

    Returns:
        The series. Columns with other values than numbers are left out, and named in `text`.

    Raises:
        DataError: Nothing that can be read, columns of different lengths, or no such column.

    Example:
        >>> frame = {"day": ["2024-01-01", "2024-01-02"], "shop": ["a", "b"], "sold": [3, 5]}
        >>> [(s.name, s.names, s.values.tolist()) for s in read_series(frame, "day", "shop")]
        [('a', ('sold',), [[3.0]]), ('b', ('sold',), [[5.0]])]
    """
    if isinstance(data, Series):
        return [data]
    if isinstance(data, (list, tuple)) and len(data) and not np.isscalar(data[0]):
        return _by_name(dict(enumerate(data)), time_column, series_column)
    if isinstance(data, Mapping) and data and all(_is_frame(each) for each in data.values()):
        return _by_name(data, time_column, series_column)
    columns, times = _read_columns(data, time_column)
    lengths = {key: len(column) for key, column in columns.items()}
    if len(set(lengths.values())) != 1 or not next(iter(lengths.values())):
        raise DataError(f"Columns must be of one length, above 0; got {lengths or 'no columns'}.")
    owners = None
    if series_column is not None:
        owners = np.asarray(_taken(columns, series_column, "series_column")).astype(str)
    numbers = {key: _numbers(column) for key, column in columns.items()}
    kept = {key: column for key, column in numbers.items() if column is not None}
    text = tuple(key for key, column in numbers.items() if column is None)
    values = np.stack(list(kept.values()), 1) if kept else np.zeros((next(iter(lengths.values()), 0), 0))
    whole = Series(values, tuple(kept), times, name, text=text)
    if owners is None:
        return [whole]
    return [replace(whole[owners == owner], name=str(owner)) for owner in dict.fromkeys(owners)]  # type: ignore[index]


def _by_name(
    data: Mapping[Any, Any], time_column: str | Sequence[str] | None, series_column: str | None
) -> list[Series]:
    many = {str(key): read_series(each, time_column, series_column, str(key)) for key, each in data.items()}
    return [replace(s, name=key) if len(part) == 1 else s for key, part in many.items() for s in part]


def _is_frame(data: Any) -> bool:
    """Whether this is a series by itself, rather than one column of one."""
    if isinstance(data, (Series, Mapping, str, os.PathLike)) or hasattr(data, "columns"):
        return True
    return getattr(data, "ndim", 1) == 2


def _read_columns(
    data: Any, time_column: str | Sequence[str] | None
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    columns, times = _as_columns(data)
    if isinstance(time_column, str):
        times = to_times(_taken(columns, time_column, "time_column"), time_column)
    elif time_column is not None:
        parts = [_numbers(_taken(columns, part, "time_column")) for part in time_column]
        if not 1 <= len(parts) <= 5 or any(part is None or np.isnan(part).any() for part in parts):
            raise DataError(
                f"`time_column` {list(time_column)}: several columns must be the numbers of year, month, day, hour and "
                f"minute, in this order."
            )
        whole = [part.astype("int64") for part in parts if part is not None]
        ones, zeros = np.ones_like(whole[0]), np.zeros_like(whole[0])
        year, month, day, hour, minute = [*whole, *[ones, ones, zeros, zeros][len(whole) - 1 :]]
        months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
        seconds = ((day - 1) * 86_400 + hour * 3600 + minute * 60).astype("timedelta64[s]")
        times = months.astype("datetime64[s]") + seconds
    return columns, times


def _as_columns(data: Any) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    if isinstance(data, (str, os.PathLike)):
        return _read_csv(Path(data)), None
    if hasattr(data, "columns") and hasattr(data, "iloc"):  # a pandas frame
        index = data.index.to_numpy()
        times = index.astype("datetime64[s]") if index.dtype.kind == "M" else None
        return {str(key): data[key].to_numpy() for key in data.columns}, times
    if isinstance(data, Mapping):
        return {str(key): np.asarray(column) for key, column in data.items()}, None
    if hasattr(data, "detach"):
        data = data.detach().cpu().numpy()
    array = np.asarray(data)
    if array.ndim not in (1, 2) or array.dtype.kind not in "biuf":
        raise DataError(
            f"A series is an array of numbers (time,) or (time, columns), a dict of columns, a DataFrame or the path "
            f"of a CSV file; got a {type(data).__name__} of shape {array.shape} and type {array.dtype}. Several "
            f"series are a list or a dict of them."
        )
    array = array.reshape(len(array), -1)
    return {str(i): column for i, column in enumerate(array.T)}, None


def _read_csv(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    if len(rows) < 2:
        raise DataError(f"{path} has no rows below its header.")
    header = [each.strip() for each in rows[0]]
    wrong = next((i for i, row in enumerate(rows) if len(row) != len(header)), None)
    if wrong is not None:
        raise DataError(
            f"{path}, row {wrong - 1}: {len(rows[wrong])} values, but the header has {len(header)}: {header}."
        )
    return {key: np.array(column) for key, column in zip(header, zip(*rows[1:], strict=True), strict=True)}


def _taken(columns: dict[str, np.ndarray], key: str, argument: str) -> np.ndarray:
    if key not in columns:
        raise DataError(f"`{argument}`: there is no column {key!r}; there are {list(columns)}.")
    return columns.pop(key)


def _numbers(column: np.ndarray) -> np.ndarray | None:
    """A column as float64, or None if it holds something else."""
    if column.dtype.kind in "UO":
        column = np.array([_text_or_nan(value) for value in column], dtype=object)
    try:
        return column.astype("float64") if column.dtype.kind != "M" else None
    except (TypeError, ValueError):
        return None


def _text_or_nan(value: Any) -> Any:
    if value is None or (isinstance(value, str) and value.strip().lower() in _MISSING):
        return np.nan
    return value
