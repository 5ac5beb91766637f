"""Arrays in a random order, cut into what is for training and what is for testing."""

from __future__ import annotations

import numpy as np

from lamella.errors import ArgumentError

Pair = tuple[np.ndarray, np.ndarray]


def check_share(test_split: float) -> None:
    """Raises ArgumentError for a share of the test part that is not in [0, 1)."""
    if not 0 <= test_split < 1:
        raise ArgumentError(f"`test_split` must be 0 or more and below 1; got {test_split}.")


def shuffled(x: np.ndarray, y: np.ndarray, seed: int) -> Pair:
    """Both in the order that the seed says."""
    indices = np.arange(len(x))
    np.random.RandomState(seed).shuffle(indices)
    return x[indices], y[indices]


def divided(x: np.ndarray, y: np.ndarray, test_split: float) -> tuple[Pair, Pair]:
    """`(x_train, y_train), (x_test, y_test)`: the last samples, a share of so much, are for testing."""
    cut = int(len(x) * (1 - test_split))
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])
