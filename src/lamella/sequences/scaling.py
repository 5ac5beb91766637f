"""`Scaler`: the columns of a series, brought to mean 0 and deviation 1 and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella.errors import ArgumentError, DataError

SCALINGS = (None, "standard", "log1p")


class Scaler:
    """Subtracts a mean and divides by a deviation, each column by its own, as learnt from the training part.

    Args:
        kind: `"standard"`; `"log1p"` does so with log(1 + value) of the first columns, the targets, for what is never
            negative and grows by percents; None leaves values as they are.
        num_targets: How many columns these are.
        mean: (columns,), learnt by `fit`.
        deviation: (columns,), learnt by `fit`; 1 for a column that never changes.

    Source: the rule to learn scales from the training part alone, Hastie, Tibshirani and Friedman, 2009, 7.10.

    Example:
        >>> scaler = Scaler().fit(np.array([[1.0], [3.0]]), ["sales"], "shop")
        >>> scaler.transform(np.array([[5.0]])).tolist(), scaler.inverse(np.array([[3.0]])).tolist()
        ([[3.0]], [[5.0]])
    """

    def __init__(
        self,
        kind: str | None = "standard",
        num_targets: int = 1,
        mean: Sequence[float] | np.ndarray = (),
        deviation: Sequence[float] | np.ndarray = (),
    ) -> None:
        if kind not in SCALINGS:
            raise ArgumentError(f"`scaling` must be one of {SCALINGS}; got {kind!r}.")
        self.kind = kind
        self.num_targets = num_targets
        self.mean = np.asarray(mean, "float64")
        self.deviation = np.asarray(deviation, "float64")

    def fit(self, values: np.ndarray, columns: Sequence[str], series: str) -> Scaler:
        """Learns from (time, columns) and returns itself. `columns` and `series` are for messages.

        Raises:
            DataError: Values below 0 for `"log1p"`.
        """
        values = self._bent(values, columns, series)
        self.mean = values.mean(0) if self.kind else np.zeros(values.shape[1])
        deviation = values.std(0) if self.kind else np.ones(values.shape[1])
        tiny = 1e-12 * np.maximum(np.abs(values).max(0), 1e-300)
        self.deviation = np.where(deviation > tiny, deviation, 1.0)
        return self

    def transform(self, values: np.ndarray, columns: Sequence[str] = (), series: str = "") -> np.ndarray:
        """(time, columns) in units of the data, scaled."""
        return (self._bent(values, columns, series) - self.mean) / self.deviation

    def inverse(self, values: np.ndarray, axis: int = -1) -> np.ndarray:
        """Scaled values back in units of the data, of as many columns as there are along `axis`."""
        count = values.shape[axis]
        shape = [1] * values.ndim
        shape[axis] = count
        values = values * self.deviation[:count].reshape(shape) + self.mean[:count].reshape(shape)
        if self.kind != "log1p":
            return values
        return np.where(np.arange(count).reshape(shape) < self.num_targets, np.expm1(values), values)

    def _bent(self, values: np.ndarray, columns: Sequence[str], series: str) -> np.ndarray:
        if self.kind != "log1p":
            return values
        targets = values[:, : self.num_targets]
        negative = np.argwhere(targets < 0)
        if len(negative):
            row, column = negative[0]
            raise DataError(
                f"Series {series!r}, column {columns[column]!r}: {values[row, column]} in row {row} is below 0, which "
                f"scaling='log1p' cannot take. Use scaling='standard'."
            )
        return np.concatenate([np.log1p(targets), values[:, self.num_targets :]], 1)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this scaler again."""
        return {
            "kind": self.kind,
            "num_targets": self.num_targets,
            "mean": self.mean.tolist(),
            "deviation": self.deviation.tolist(),
        }
