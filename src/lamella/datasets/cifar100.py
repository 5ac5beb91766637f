"""CIFAR-100: 60,000 color pictures, 32 x 32, a hundred classes in twenty groups."""

from __future__ import annotations

import tarfile

import numpy as np

from lamella.datasets.cifar import read_batch
from lamella.datasets.files import find, reading
from lamella.errors import ArgumentError

Pair = tuple[np.ndarray, np.ndarray]
_ORIGIN = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
_SHA256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"


def load_data(label_mode: str = "fine") -> tuple[Pair, Pair]:
    """The pictures, from `LAMELLA_DATA`, the cache or the web.

    Args:
        label_mode: `"fine"` (the hundred classes) or `"coarse"` (their twenty groups).

    Returns:
        `(x_train, y_train), (x_test, y_test)`: pictures (n, 32, 32, 3) and labels (n, 1), both uint8.

    Raises:
        ArgumentError: Another `label_mode`.
        DownloadError: It is neither here nor to be had; the message says where to put it.

    Source: Krizhevsky, 2009.
    """
    if label_mode not in ("fine", "coarse"):
        raise ArgumentError(f"`label_mode` must be 'fine' or 'coarse'; got {label_mode!r}.")
    path = find("cifar100", "cifar-100-python.tar.gz", _ORIGIN, _SHA256)
    with reading(path), tarfile.open(path) as archive:
        train, test = (
            read_batch(archive, f"cifar-100-python/{part}", f"{label_mode}_labels") for part in ("train", "test")
        )
    return train, test
