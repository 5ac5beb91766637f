"""Fashion-MNIST: 70,000 pictures of clothes, 28 x 28, ten classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lamella.datasets.files import STORE, present, read_idx_pairs
from lamella.utils.files import get_file

Pair = tuple[np.ndarray, np.ndarray]

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def load_data() -> tuple[Pair, Pair]:
    """The pictures, from `LAMELLA_DATA` (a folder `fashion_mnist` with the four files), the cache or the web.

    A folder with only the first 10,000 training pictures (`train10k-...`) is used as it is, and said.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: pictures (n, 28, 28) and labels (n,), both uint8.

    Raises:
        DownloadError: It is neither here nor to be had; the message says where to put it.

    Source: Xiao et al., 2017.
    """
    images = present(
        *(
            f"{folder}/{part}-images-idx3-ubyte.gz"
            for folder in ("fashion_mnist", "fashion-mnist")
            for part in ("train", "train10k")
        )
    )
    folder = images.parent if images else None
    if folder is None:
        for name in ("train-labels-idx1", "train-images-idx3", "t10k-labels-idx1", "t10k-images-idx3"):
            file = get_file(f"{name}-ubyte.gz", f"{STORE}{name}-ubyte.gz", cache_subdir="datasets/fashion-mnist")
            folder = Path(file).parent
    assert folder is not None
    train, test = read_idx_pairs(folder)
    if len(train[0]) < 60_000:
        print(f"fashion_mnist: using the {len(train[0]):,} training pictures in {folder} (the whole set has 60,000).")
    return train, test
