"""`PyDataset`: a data set that makes its batches in Python, by number."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any


class PyDataset:
    """The base of data sets that give batch i when asked for it; workers can make several at a time.

    Args:
        workers: How many processes make batches; 0 and 1 make them in the training process.
        use_multiprocessing: Whether a single worker, too, is a process. Several always are.
        max_queue_size: How many batches may wait.

    Subclasses write `__len__` (the number of batches), or the property `num_batches`, and `__getitem__(index)`,
    which gives `(x, y)` or `(x, y, sample_weight)`.

    Example:
        >>> import numpy as np
        >>> class Squares(PyDataset):
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, index):
        ...         x = np.full((2, 1), index, "float32")
        ...         return x, x**2
        >>> Squares()[2][1].tolist()
        [[4.0], [4.0]]
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    @property
    def num_batches(self) -> int | None:
        """The number of batches in an epoch; None if it never ends."""
        if not hasattr(self, "__len__"):
            raise NotImplementedError(f"{type(self).__name__} has neither __len__() nor the property num_batches.")
        return len(self)

    def __getitem__(self, index: int) -> Any:
        """Batch number `index`."""
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__().")

    def __iter__(self) -> Iterator[Any]:
        """The batches in order."""
        count = self.num_batches
        return (self[i] for i in (itertools.count() if count is None else range(count)))

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch."""


Sequence = PyDataset
