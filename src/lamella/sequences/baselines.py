"""Forecasts that need no learning, to hold learnt ones against.

Each is a function `(history, horizon) -> forecast` for `backtest`: history (time, targets), forecast (horizon,
targets).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lamella.errors import ArgumentError, DataError


def naive(history: np.ndarray, horizon: int) -> np.ndarray:
    """The last value goes on.

    Example:
        >>> naive(np.array([[1.0], [4.0]]), 2).tolist()
        [[4.0], [4.0]]
    """
    return np.repeat(history[-1:], horizon, 0)


def seasonal_naive(period: int) -> Callable[[np.ndarray, int], np.ndarray]:
    """The last `period` values come again and again.

    Raises:
        ArgumentError: A period below 1.

    Example:
        >>> seasonal_naive(2)(np.array([[1.0], [4.0]]), 3).tolist()
        [[1.0], [4.0], [1.0]]
    """
    if isinstance(period, bool) or not isinstance(period, int) or period < 1:
        raise ArgumentError(f"seasonal_naive: `period` must be a whole number, 1 or more; got {period!r}.")

    def forecast(history: np.ndarray, horizon: int) -> np.ndarray:
        if len(history) < period:
            raise DataError(f"seasonal_naive: {len(history)} rows of history are less than a period of {period}.")
        return history[-period:][np.arange(horizon) % period]

    return forecast


def drift(history: np.ndarray, horizon: int) -> np.ndarray:
    """The line from the first value to the last goes on.

    Example:
        >>> drift(np.array([[1.0], [2.0], [5.0]]), 2).tolist()
        [[7.0], [9.0]]
    """
    slope = (history[-1] - history[0]) / max(len(history) - 1, 1)
    return history[-1] + slope * np.arange(1, horizon + 1)[:, None]
