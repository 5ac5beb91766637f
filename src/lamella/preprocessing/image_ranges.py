"""The ranges within which pictures are changed at random: checked when they are given, drawn from when they are used.

Everything is drawn from NumPy's global generator.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from lamella.errors import ArgumentError


def number(name: str, value: Any) -> Any:
    """The argument, which must be a finite number."""
    if not isinstance(value, Real) or not math.isfinite(value):
        raise ArgumentError(f"`{name}` must be a number; got {value!r}.")
    return value


def pair(name: str, value: Any, other: str = "") -> Any:
    """The argument, which must be (smallest, largest)."""
    fits = (
        isinstance(value, (tuple, list, np.ndarray))
        and len(value) == 2
        and all(isinstance(each, Real) for each in value)
    )
    if not fits or not all(map(math.isfinite, value)):
        raise ArgumentError(f"`{name}` must be two numbers, (smallest, largest){other}; got {value!r}.")
    return value


def shifts(name: str, value: Any) -> Any:
    """The argument, which must be a number or a list of numbers to choose from."""
    if isinstance(value, Real):
        return number(name, value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(each, Real) and math.isfinite(each) for each in value
    ):
        raise ArgumentError(
            f"`{name}` must be a number (below 1 a part of the picture, else pixels) or a list of numbers to choose "
            f"from; got {value!r}."
        )
    return value


def within(span: float) -> float:
    """A random number of at most this size."""
    return np.random.uniform(-span, span) if span else 0


def drawn_shift(span: Any, length: int) -> Any:
    """A random shift in pixels: of those in a list or below a whole number, or up to a number."""
    if not span:
        return 0
    chosen = not isinstance(span, Real) or (isinstance(span, (int, np.integer)) and span > 0)
    shift = np.random.choice(span) * np.random.choice([-1, 1]) if chosen else np.random.uniform(-span, span)
    return shift * length if np.max(span) < 1 else shift
