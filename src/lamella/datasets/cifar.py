"""The batches in which CIFAR-10 and CIFAR-100 are stored."""

from __future__ import annotations

import io
import os
import tarfile

import numpy as np

from lamella.datasets.files import SafeUnpickler
from lamella.errors import DataError


def read_batch(archive: tarfile.TarFile, name: str, labels: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, 32, 32, 3) and labels (n, 1), both uint8.

    Args:
        archive: Where the batch is.
        name: Its path.
        labels: The key of its labels.

    Raises:
        DataError: There is no such batch.
    """
    file = archive.extractfile(name)
    if file is None:
        raise DataError(f"{os.fsdecode(archive.name or b'')} lacks {name}.")
    batch = SafeUnpickler(io.BytesIO(file.read()), encoding="bytes").load()
    images = np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), np.asarray(batch[labels.encode()], np.uint8).reshape(-1, 1)
