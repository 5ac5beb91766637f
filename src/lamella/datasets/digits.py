"""Handwritten digits, 8 x 8, that come with scikit-learn: 1,797 pictures, no download."""

from __future__ import annotations

import numpy as np

from lamella.errors import ArgumentError

Pair = tuple[np.ndarray, np.ndarray]


def load_data(test_split: float = 0.2, seed: int = 113) -> tuple[Pair, Pair]:
    """The embedded digits, split with the same share of each class in both parts.

    Args:
        test_split: The share of the test part.
        seed: Another seed gives another split.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: pictures (n, 8, 8) of uint8 from 0 to 16, labels (n,) from 0 to 9.

    Source: Alpaydin and Kaynak, 1998 (UCI, "Optical recognition of handwritten digits").

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()
        >>> x_train.shape, x_test.shape
        ((1437, 8, 8), (360, 8, 8))
    """
    if not 0 < test_split < 1:
        raise ArgumentError(f"`test_split` must lie between 0 and 1; got {test_split}.")
    from sklearn.datasets import load_digits  # slow to import, so only here
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8).astype("uint8")
    y = y.astype("uint8")
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=test_split, random_state=seed, stratify=y)
    return (x_train, y_train), (x_test, y_test)
