"""The times of a series: whether they go on evenly, where they go on to, and what the calendar says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lamella.errors import ArgumentError, DataError

_DAY = 86_400


@dataclass(frozen=True)
class Step:
    """The time from one row to the next: so many seconds, or so many months of the calendar."""

    length: int
    unit: str  # "s" or "M"

    def index(self, times: np.ndarray) -> np.ndarray:
        """How many steps each time lies after the first; a fraction where it lies between two."""
        if self.unit == "M":
            months = times.astype("datetime64[M]").astype("int64")
            return (months - months[0]) / self.length
        seconds = times.astype("int64")
        return (seconds - seconds[0]) / self.length

    def after(self, time: np.datetime64, steps: np.ndarray) -> np.ndarray:
        """The times so many steps after `time`."""
        if self.unit == "s":
            return time + (steps * self.length).astype("timedelta64[s]")
        month = time.astype("datetime64[M]")
        within = time - month.astype("datetime64[s]")
        return (month + (steps * self.length).astype("timedelta64[M]")).astype("datetime64[s]") + within

    def __str__(self) -> str:
        if self.unit == "M":
            return f"{self.length} month{'s' * (self.length > 1)}"
        for size, word in ((_DAY, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
            if self.length % size == 0:
                return f"{self.length // size} {word}{'s' * (self.length > size)}"
        raise AssertionError("every whole number is a multiple of 1")


def to_times(values: Sequence[object] | np.ndarray, name: str) -> np.ndarray:
    """Dates, texts such as 2016-07-01 00:00 or 1949-01, or datetime64, as datetime64 in seconds.

    Raises:
        DataError: A value that is no time; the message names its row.

    Example:
        >>> to_times(["1949-01", "1949-02"], "Month")[1]
        np.datetime64('1949-02-01T00:00:00')
    """
    array = np.asarray(values)
    try:
        times = array.astype("datetime64[s]")
    except (ValueError, TypeError):
        times = None
    if times is None or array.dtype.kind in "iufb":
        bad = next((row for row, value in enumerate(array) if not _is_time(value)), 0)
        raise DataError(
            f"Column {name!r}, row {bad}: {array[bad]!r} is no time. Expected dates, or texts such as '2016-07-01' or "
            f"'2016-07-01 13:00'. If the rows are even, the time column can also be left out."
        )
    missing = np.flatnonzero(np.isnat(times))
    if len(missing):
        raise DataError(f"Column {name!r} has no time in row {missing[0]} ({len(missing)} such rows): drop them.")
    return times


def _is_time(value: object) -> bool:
    try:
        np.asarray(value).astype("datetime64[s]")
    except (ValueError, TypeError):
        return False
    return isinstance(value, str) or np.asarray(value).dtype.kind in "MO"


def step_of(times: np.ndarray, name: str) -> Step:
    """The commonest time from one row to the next, for times that rise.

    Steps of 28 days or more are taken as months of the calendar, which differ in length.

    Raises:
        DataError: Times that do not rise, naming the rows; or fewer than two.

    Example:
        >>> str(step_of(to_times(["1949-01", "1949-02", "1949-03"], "Month"), "sales"))
        '1 month'
    """
    if len(times) < 2:
        raise DataError(f"Series {name!r} has {len(times)} row(s): its times cannot be told. Give two rows or more.")
    seconds = np.diff(times).astype("int64")
    wrong = np.flatnonzero(seconds <= 0)
    if len(wrong):
        row = int(wrong[0]) + 1
        what = "the same time as the row before" if seconds[row - 1] == 0 else f"comes after {times[row - 1]}"
        mend = (
            "Keep one row for each time, or say in `series_column` which series each belongs to."
            if seconds[row - 1] == 0
            else "Sort the rows by time."
        )
        raise DataError(f"Series {name!r}, row {row}: {times[row]} {what} ({len(wrong)} such rows). {mend}")
    lengths, counts = np.unique(seconds, return_counts=True)
    commonest = int(lengths[counts.argmax()])
    if commonest < 28 * _DAY:
        return Step(commonest, "s")
    months = np.diff(times.astype("datetime64[M]")).astype("int64")
    lengths, counts = np.unique(months, return_counts=True)
    return Step(max(int(lengths[counts.argmax()]), 1), "M")


def grid_rows(times: np.ndarray, step: Step, name: str, gaps_allowed: bool) -> np.ndarray:
    """The number of each row on an even grid that starts with the first: 0, 1, 2, ... where no row is missing.

    Raises:
        DataError: A time between two steps; or, unless allowed, missing rows. The message names the row.
    """
    index = step.index(times)
    rows = np.round(index).astype("int64")
    uneven = np.flatnonzero((np.abs(index - rows) > 1e-6) | (np.diff(rows, prepend=-1) < 1))
    if len(uneven):
        row = int(uneven[0])
        raise DataError(
            f"Series {name!r}, row {row}: {times[row]} lies between two steps; most rows are {step} apart "
            f"({len(uneven)} such rows). Bring the series to even times first, for instance with pandas' resample."
        )
    missing = np.flatnonzero(np.diff(rows) > 1)
    if len(missing) and not gaps_allowed:
        row = int(missing[0]) + 1
        count = int(rows[-1] - len(rows) + 1)
        raise DataError(
            f"Series {name!r}, row {row}: {times[row]} follows {times[row - 1]}, but most rows are {step} apart; "
            f"{count} row(s) are missing. Pass fill='linear' or fill='forward' to put them in."
        )
    return rows


_PARTS = {
    "minute_of_hour": lambda t: _seconds_of_day(t) % 3600 / 3600,
    "hour_of_day": lambda t: _seconds_of_day(t) / _DAY,
    "day_of_week": lambda t: (t.astype("datetime64[D]").astype("int64") + 3) % 7 / 7,
    "day_of_month": lambda t: (t.astype("datetime64[D]") - t.astype("datetime64[M]")).astype("int64") / 31,
    "month_of_year": lambda t: t.astype("datetime64[M]").astype("int64") % 12 / 12,
    "day_of_year": lambda t: (t.astype("datetime64[D]") - t.astype("datetime64[Y]")).astype("int64") / 365.25,
}
CALENDAR = tuple(_PARTS)


def _seconds_of_day(times: np.ndarray) -> np.ndarray:
    return times.astype("int64") % _DAY


def calendar_features(times: np.ndarray, parts: Sequence[str]) -> np.ndarray:
    """The sine and the cosine of where each time lies in the hour, the day, the week, ...

    Args:
        times: (time,), datetime64.
        parts: Any of "minute_of_hour", "hour_of_day", "day_of_week" (from Monday), "day_of_month", "month_of_year" and
            "day_of_year".

    Returns:
        (time, 2 * parts), from -1 to 1.

    Raises:
        ArgumentError: Another part.

    Example:
        >>> calendar_features(to_times(["2024-01-01 06:00"], "date"), ["hour_of_day"]).round(3)
        array([[1., 0.]])
    """
    check_calendar(parts)
    angles = [2 * np.pi * _PARTS[part](times) for part in parts]
    columns = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    return np.stack(columns, 1) if columns else np.zeros((len(times), 0))


def check_calendar(parts: Sequence[str]) -> None:
    """Raises ArgumentError for a part of the calendar that there is not."""
    unknown = [part for part in parts if part not in _PARTS]
    if isinstance(parts, str) or unknown:
        raise ArgumentError(f"`calendar` is a list of any of {list(CALENDAR)}; got {parts!r}.")
