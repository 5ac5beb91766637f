"""MNIST: 70,000 handwritten digits, 28 x 28."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lamella.datasets.files import STORE, present, read_idx_pairs, read_npz
from lamella.utils.files import get_file

Pair = tuple[np.ndarray, np.ndarray]
_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"


def load_data(path: str = "mnist.npz") -> tuple[Pair, Pair]:
    """The digits, from `LAMELLA_DATA` (an `mnist.npz` or the four original files), the cache or the web.

    Args:
        path: The name of the file in the cache.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: pictures (n, 28, 28) and labels (n,), both uint8.

    Raises:
        DownloadError: It is neither here nor to be had; the message says where to put it.

    Source: LeCun et al., 1998.
    """
    images = present("mnist/train-images-idx3-ubyte.gz", "train-images-idx3-ubyte.gz")
    if images is not None:
        return read_idx_pairs(images.parent)
    found = present(f"mnist/{path}", path) or Path(get_file(path, STORE + "mnist.npz", file_hash=_SHA256))
    arrays = read_npz(found)
    return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
