"""`Scale`: from values to places on an axis, with round ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from lamella.report.figures import number, power

_HIGH = 30.0
_FAR = 100.0
"""A logarithmic axis is for positive values of which the largest is so many times the smallest."""


@dataclass(frozen=True)
class Scale:
    """An axis.

    Attributes:
        low, high: The values at its ends.
        start, end: Where its ends are.
        log: Whether it is logarithmic.
        whole: Whether only whole numbers are of interest, as with epochs.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    whole: bool = False

    def place(self, value: float) -> float:
        """Where a value is.

        Example:
            >>> Scale(0, 10, 100, 200).place(5), Scale(1, 100, 0, 100, log=True).place(10)
            (150.0, 50.0)
        """
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        part = ((math.log(value) if self.log else value) - low) / (high - low)
        return self.start + part * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[tuple[float, str]]:
        """About so many round values and how they are written.

        Example:
            >>> [text for _, text in Scale(0, 1, 0, 100).ticks()]
            ['0.0', '0.2', '0.4', '0.6', '0.8', '1.0']
        """
        if self.log:
            bottom, top = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            if top > bottom:
                return [(10.0**e, power(e)) for e in range(bottom, top + 1, -(-(top - bottom) // count))]
        step = max(_round_step((self.high - self.low) / count), 1.0 if self.whole else 0.0)
        places = max(0, -math.floor(math.log10(step)))
        steps = range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)
        plain = 0 < places < 6
        return [(i * step, f"{i * step:.{places}f}".replace("-", "−") if plain else number(i * step)) for i in steps]


def covering(values: Iterable[float], start: float, end: float, whole: bool = False, log: bool | None = None) -> Scale:
    """An axis on which all finite values have a place.

    Args:
        values: The values; those that are NaN or infinite do not count.
        start, end: Where its ends are.
        whole: Whether the values are whole numbers such as epochs: then it ends exactly at the least and the greatest.
        log: Whether it is logarithmic; by default where values are positive and far apart.
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if log is None:
        log = high / low > _FAR if low > 0 else False
    if log and low > 0:
        low, high = (low / 1.5, high * 1.5) if not whole or low == high else (low, high)
        return Scale(low, high, start, end, log=True)
    if low == high:
        margin = 0.5 if whole else abs(low) or 0.5
    else:
        margin = 0.0 if whole else (high - low) / 20
    bottom = 0.0 if low >= 0 and not whole and low < (high - low) / 4 else low - margin
    return Scale(bottom, high + margin, start, end, whole=whole)


def squeezed(values: Iterable[float]) -> bool:
    """Whether a few values are so large that the most would lie flat at the foot of an axis that is not logarithmic.

    Example:
        >>> squeezed([0.5, 0.7, 40.0]), squeezed([2.0, 0.7, 0.01])
        (True, False)
    """
    positive = [value for value in values if math.isfinite(value) and value > 0]
    return bool(positive) and max(positive) > _HIGH * median(positive)


def _round_step(rough: float) -> float:
    magnitude = 10.0 ** math.floor(math.log10(rough))
    return min((magnitude * times for times in (1, 2, 5, 10)), key=lambda step: abs(math.log(step / rough)))
