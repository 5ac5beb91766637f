"""`SeriesFeatures`: from a series to the scaled rows that a network sees, and from its outputs back to units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError, DataError, NotBuiltError, nearest
from lamella.sequences.scaling import Scaler
from lamella.sequences.series import FILLS, Series, read_series
from lamella.sequences.timestamps import calendar_features, check_calendar


class SeriesFeatures:
    """Which columns of a series a forecaster sees, in which order, and by which scale; see `Forecaster`.

    A row has the targets, the columns that are known of the past alone, those known of the future too, and a sine and a
    cosine for each part of the calendar.

    Attributes:
        targets: The columns to forecast; None until a first series has told.
        scalers: A `Scaler` by the name of each series that was trained on.
        step: The time from one row to the next, in words; None without times.
    """

    def __init__(
        self,
        targets: str | Sequence[str] | None = None,
        past: Sequence[str] = (),
        known_future: Sequence[str] = (),
        scaling: str | None = "standard",
        calendar: Sequence[str] = (),
        time_column: str | Sequence[str] | None = None,
        series_column: str | None = None,
        fill: str | None = None,
    ) -> None:
        if fill not in FILLS:
            raise ArgumentError(f"`fill` must be one of {FILLS}; got {fill!r}.")
        check_calendar(calendar)
        Scaler(scaling)
        self.targets = [targets] if isinstance(targets, str) else None if targets is None else list(targets)
        self.past = list(past)
        self.known_future = list(known_future)
        self.scaling = scaling
        self.calendar = list(calendar)
        self.time_column = time_column if time_column is None or isinstance(time_column, str) else list(time_column)
        self.series_column = series_column
        self.fill = fill
        self.scalers: dict[str, Scaler] = {}
        self.step: str | None = None
        if targets is not None:
            self._check_columns()

    @property
    def columns(self) -> list[str]:
        """The columns that a series needs, in order."""
        if self.targets is None:
            raise NotBuiltError("The forecaster learns its targets in fit(): call that first.")
        return [*self.targets, *self.past, *self.known_future]

    @property
    def num_known(self) -> int:
        """How many features are known of the future; they are the last."""
        return len(self.known_future) + 2 * len(self.calendar)

    @property
    def num_features(self) -> int:
        """How many features a row has."""
        return len(self.columns) + 2 * len(self.calendar)

    def read(self, data: Any, fitting: bool = False) -> list[Series]:
        """The series, with the columns needed and nothing missing. `fitting` takes targets and step from them.

        Raises:
            DataError: Series that cannot be used; the message names the series, the column and the row.
        """
        many = read_series(data, self.time_column, self.series_column)
        if self.targets is None and fitting:
            taken = {*self.past, *self.known_future}
            self.targets = [name for name in many[0].names if name not in taken]
            if not self.targets:
                raise DataError(f"Series {many[0].name!r} has no column of numbers to forecast: {many[0].text}.")
            self._check_columns()
        many = [series.cleaned(self.columns, self.fill) for series in many]
        for series in many:
            self._check_times(series, fitting)
        return many

    def read_future(self, future: Any, many: list[Series], horizon: int) -> list[np.ndarray]:
        """(horizon, known_future columns) for each series.

        Raises:
            ArgumentError: None where some is needed, or the other way round.
            DataError: Other series, rows or times than come after the history.
        """
        if not self.known_future:
            if future is not None:
                raise ArgumentError("`future` is for models with `known_future` columns; this one has none.")
            return [np.zeros((horizon, 0))] * len(many)
        if future is None:
            raise ArgumentError(
                f"The model needs {self.known_future} of the {horizon} rows ahead: pass them as `future`."
            )
        found = read_series(future, self.time_column if self._times_in(future) else None, self.series_column)
        by_name = {series.name: series for series in found}
        if len(found) != len(many) or (len(many) > 1 and set(by_name) != {series.name for series in many}):
            raise DataError(
                f"`future` has the series {sorted(by_name)}, the history {sorted(s.name for s in many)}: give the same."
            )
        ahead = []
        for series in many:
            more = by_name.get(series.name, found[0]).cleaned(self.known_future)
            if len(more) != horizon:
                raise DataError(f"`future` of series {series.name!r} has {len(more)} rows; expected {horizon}.")
            expected = _times_ahead(series, horizon)
            if more.times is not None and expected is not None and (more.times != expected).any():
                row = int(np.argmax(more.times != expected))
                raise DataError(
                    f"`future` of series {series.name!r}, row {row}: its time is {more.times[row]}; after the history "
                    f"comes {expected[row]}."
                )
            ahead.append(more.values)
        return ahead

    def learn_scale(self, series: Series, rows: int) -> None:
        """Learns the scale of a new series from its first rows; that of a known one stays, as the weights know it.

        Raises:
            DataError: A target that never changes.
        """
        if series.name in self.scalers:
            return
        training = series.values[:rows]
        if not len(training):
            raise DataError(f"Series {series.name!r} has {len(series)} rows: none are left to train on.")
        for i, target in enumerate(self.targets or ()):
            if len(training) > 1 and np.ptp(training[:, i]) == 0:
                raise DataError(
                    f"Series {series.name!r}: target {target!r} is always {training[0, i]:g} in its {rows} training "
                    f"rows. There is nothing to learn from it: leave it out."
                )
        self.scalers[series.name] = Scaler(self.scaling, len(self.targets or ())).fit(
            training, self.columns, series.name
        )

    def scaler(self, name: str) -> Scaler:
        """The scale of a series; of any, if only one was trained on.

        Raises:
            DataError: Several were, and this is none of them.
        """
        if name in self.scalers:
            return self.scalers[name]
        if len(self.scalers) == 1:
            return next(iter(self.scalers.values()))
        if not self.scalers:
            raise NotBuiltError("The forecaster knows no scale yet: call fit() first.")
        close = nearest(name, self.scalers) or list(self.scalers)[:5]
        raise DataError(
            f"The forecaster was not trained on a series {name!r} and does not know its scale; it knows {close}. Give "
            f"series by name, as {{{close[0]!r}: history}}."
        )

    def rows(self, series: Series, ahead: np.ndarray | None = None) -> torch.Tensor:
        """(rows, features), float32, scaled; with `ahead`, as many rows more, whose targets and past are 0."""
        scaler = self.scaler(series.name)
        scaled = scaler.transform(series.values, self.columns, series.name)
        times = series.times
        if ahead is not None:
            first = scaled.shape[1] - ahead.shape[1]
            more = np.zeros((len(ahead), scaled.shape[1]))
            more[:, first:] = (ahead - scaler.mean[first:]) / scaler.deviation[first:]
            scaled = np.concatenate([scaled, more])
            if self.calendar:
                times = np.concatenate([times, _times_ahead(series, len(ahead))])  # type: ignore[list-item]
        if self.calendar:
            assert times is not None
            scaled = np.concatenate([scaled, calendar_features(times, self.calendar)], 1)
        return torch.from_numpy(scaled.astype("float32"))

    def _check_columns(self) -> None:
        repeated = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if repeated or not self.targets:
            raise ArgumentError(
                f"`targets`, `past` and `known_future` are different columns, at least one of them a target; got "
                f"{repeated or 'no target'}{' twice' if repeated else ''}."
            )

    def _check_times(self, series: Series, fitting: bool) -> None:
        if self.calendar and series.times is None:
            raise DataError(
                f"Series {series.name!r} has no times, which `calendar` needs: name their column in `time_column`, "
                f"or give a DataFrame with a DatetimeIndex."
            )
        if series.times is None or len(series) < 2:
            return
        step = str(series.step())
        if fitting and self.step is None:
            self.step = step
        if self.step not in (None, step):
            raise DataError(
                f"Series {series.name!r} has rows {step} apart; this forecaster learns from rows {self.step} apart. "
                f"Bring them to one step, or make a forecaster for each."
            )

    def _times_in(self, future: Any) -> bool:
        columns = getattr(future, "columns", future if isinstance(future, Mapping) else ())
        names = [self.time_column] if isinstance(self.time_column, str) else self.time_column or []
        return isinstance(future, (list, str)) or all(name in columns for name in names)

    def get_config(self) -> dict[str, Any]:
        """The arguments, and under "scalers" and "step" what was learnt."""
        return {
            "targets": self.targets,
            "past": self.past,
            "known_future": self.known_future,
            "scaling": self.scaling,
            "calendar": self.calendar,
            "time_column": self.time_column,
            "series_column": self.series_column,
            "fill": self.fill,
            "scalers": {name: scaler.get_config() for name, scaler in self.scalers.items()},
            "step": self.step,
        }


def _times_ahead(series: Series, horizon: int) -> np.ndarray | None:
    step = series.step() if len(series) > 1 else None
    return None if step is None else step.after(series.times[-1], np.arange(1, horizon + 1))  # type: ignore[index]
