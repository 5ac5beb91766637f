"""CIFAR-10: 60,000 color pictures, 32 x 32, ten classes."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np

from lamella.datasets.cifar import read_batch
from lamella.datasets.files import find, present, reading

Pair = tuple[np.ndarray, np.ndarray]
_ORIGIN = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_data() -> tuple[Pair, Pair]:
    """The pictures, from `LAMELLA_DATA`, the cache or the web.

    A file `cifar10_subset.zip` of JPEG pictures in `LAMELLA_DATA` is used as it is, and said; reading it needs
    Pillow (`pip install lamella[vision]`).

    Returns:
        `(x_train, y_train), (x_test, y_test)`: pictures (n, 32, 32, 3) and labels (n, 1), both uint8.

    Raises:
        DownloadError: It is neither here nor to be had; the message says where to put it.

    Source: Krizhevsky, 2009.
    """
    subset = present("cifar10_subset/cifar10_subset.zip", "cifar10_subset.zip")
    if subset is not None and present("cifar10/cifar-10-python.tar.gz", "cifar-10-python.tar.gz") is None:
        return _from_jpegs(subset)
    return _from_batches(find("cifar10", "cifar-10-python.tar.gz", _ORIGIN, _SHA256))


def _from_batches(path: Path) -> tuple[Pair, Pair]:
    with reading(path), tarfile.open(path) as archive:
        parts = [read_batch(archive, f"cifar-10-batches-py/data_batch_{i}", "labels") for i in range(1, 6)]
        test = read_batch(archive, "cifar-10-batches-py/test_batch", "labels")
    images, labels = zip(*parts, strict=True)
    return (np.concatenate(images), np.concatenate(labels)), test


def _from_jpegs(path: Path) -> tuple[Pair, Pair]:
    from PIL import Image

    pairs = []
    with reading(path), zipfile.ZipFile(path) as archive:
        for part in ("train", "test"):
            names = sorted(name for name in archive.namelist() if name.startswith(part) and name.endswith(".jpg"))
            images = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names])
            labels = np.array([[CLASSES.index(name.split("/")[1])] for name in names], np.uint8)
            pairs.append((images, labels))
    print(
        f"cifar10: using the {len(pairs[0][0]):,} + {len(pairs[1][0]):,} JPEG pictures in {path}, not the original set."
    )
    return pairs[0], pairs[1]
