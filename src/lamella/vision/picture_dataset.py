"""`PictureDataset`: what data sets of pictures share: order, memory, augmentation, and files that are broken."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

from lamella.data.py_dataset import PyDataset
from lamella.errors import ArgumentError, DataError
from lamella.vision.annotations import Problem, Problems

Sample = dict[str, Any]

_BUDGET = 2 << 30
"""Bytes of pictures that are kept in memory without being asked to."""


class PictureDataset(PyDataset):
    """Batches of pictures that are read when they are needed, and kept in memory where they fit.

    A picture that cannot be read is left out of its batch, once reported by a warning, and listed in `skipped`; it
    never ends a training. The order and the augmentation of an epoch follow from `lamella.utils.set_random_seed`, with
    any number of workers.

    A subclass writes `file(index)`, `load(index)` and `collate(samples)`.

    Args:
        count: How many pictures there are.
        batch_size: Pictures in a batch.
        augment: A function `(sample, random, another) -> sample`, as an `Augmentation`: a sample is a dict of arrays
            that must not be written to, `random` a NumPy generator, and `another()` gives another sample.
        shuffle: Whether each epoch has a new order.
        drop_last: Whether a last batch that is not full is left out.
        cache: Whether pictures are kept in memory; "auto" if they all fit into 2 GiB and there are no workers.
        picture_bytes: The size of one sample in memory.
        problems: What is wrong with the files so far.
        workers: As for `PyDataset`.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        augment: Callable[..., Sample] | None,
        shuffle: bool,
        drop_last: bool,
        cache: bool | str,
        picture_bytes: int,
        problems: Problems,
        workers: int,
    ) -> None:
        super().__init__(workers=workers)
        name = type(self).__name__
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(f"{name}: `batch_size` must be a whole number, 1 or more; got {batch_size!r}.")
        if cache not in (True, False, "auto"):
            raise ArgumentError(f"{name}: `cache` must be True, False or 'auto'; got {cache!r}.")
        if augment is not None and not callable(augment):
            raise ArgumentError(f"{name}: `augment` must be an Augmentation or another function; got {augment!r}.")
        if count == 0:
            raise DataError(f"{name}: no picture is left. {problems.summary()}".strip())
        self.batch_size = batch_size
        self.augment = augment
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.problems = problems
        self._count = count
        fits = workers <= 1 and count * picture_bytes <= _BUDGET
        self._cache: dict[int, Sample] | None = {} if cache is True or (cache == "auto" and fits) else None
        # Worker processes write here, too: [cannot be read, boxes cut at the edge, boxes outside]
        self._found = torch.zeros(count, 3, dtype=torch.int32)
        if workers > 1:
            self._found.share_memory_()
        self._reported = False
        self._order = np.arange(count)
        self._seed = 0
        self._new_epoch()
        if problems.summary():
            warnings.warn(f"{name}: {problems.summary()}", stacklevel=4)

    # -- what a subclass writes -----------------------------------------------------------------------------

    def file(self, index: int) -> str:
        """The name of picture `index`, for messages."""
        raise NotImplementedError

    def load(self, index: int) -> Sample:
        """Sample number `index`; a DataError that names the file if it cannot be read."""
        raise NotImplementedError

    def collate(self, samples: list[Sample]) -> Any:
        """A batch of samples."""
        raise NotImplementedError

    # -- batches --------------------------------------------------------------------------------------------

    @property
    def num_pictures(self) -> int:
        """How many pictures there are, also those found broken later."""
        return self._count

    def __len__(self) -> int:
        whole, rest = divmod(self._count, self.batch_size)
        return whole if self.drop_last and whole else whole + bool(rest)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"{type(self).__name__} has {len(self)} batches; there is no batch {index}.")
        start = index * self.batch_size
        chosen = self._order[start : start + self.batch_size]
        samples = [(i, sample) for i in chosen.tolist() if (sample := self.sample(i)) is not None]
        return self.collate([self._augmented(i, sample) for i, sample in samples or [self._first_good(start)]])

    def __iter__(self) -> Any:
        """The batches of a new epoch."""
        self.on_epoch_begin()
        return super().__iter__()

    def sample(self, index: int) -> Sample | None:
        """Sample number `index`, as it was read; None if it cannot be read."""
        if self._cache is not None and index in self._cache:
            return self._cache[index]
        if self._found[index, 0]:
            return None
        try:
            sample = self.load(index)
        except DataError as error:
            if self.problems.strict:
                raise
            self._found[index, 0] = 1
            if get_worker_info() is None:
                self._report(index, error)
            return None
        if self._cache is not None:
            self._cache[index] = sample
        return sample

    def _first_good(self, start: int) -> tuple[int, Sample]:
        for i in np.roll(self._order, -start).tolist():
            sample = self.sample(i)
            if sample is not None:
                return i, sample
        raise DataError(f"{type(self).__name__}: none of {self._count} pictures can be read. {self.problems.summary()}")

    def _augmented(self, index: int, sample: Sample) -> Sample:
        if self.augment is None:
            return sample
        random = np.random.default_rng([self._seed, index])

        def another() -> Sample:
            drawn = self.sample(int(random.integers(self._count)))
            return sample if drawn is None else drawn

        return self.augment(sample, random, another)

    # -- epochs ---------------------------------------------------------------------------------------------

    def on_epoch_begin(self) -> None:
        self._new_epoch()
        if self._cache is not None and self.workers > 1:  # what the workers read is lost with them
            for index in range(self._count):
                self.sample(index)

    def on_epoch_end(self) -> None:
        reported = {file for file, _ in self.problems.skipped}
        for index in self._found[:, 0].nonzero().flatten().tolist():
            if self.file(index) not in reported:  # a worker met it
                try:
                    self.load(index)
                except DataError as error:
                    self._report(index, error)

    def _new_epoch(self) -> None:
        if self.shuffle:
            self._order = torch.randperm(self._count).numpy()
        if self.augment is not None:
            self._seed = int(torch.randint(1 << 62, ()))

    # -- what is wrong --------------------------------------------------------------------------------------

    def _report(self, index: int, error: DataError) -> None:
        self.problems.skip(self.file(index), str(error))
        if not self._reported:
            self._reported = True
            warnings.warn(
                f"{type(self).__name__} leaves out what it cannot read: {error} Others will be left out without a "
                f"word: see `skipped` and report().",
                stacklevel=2,
            )

    @property
    def skipped(self) -> list[Problem]:
        """(file, reason) of each file that is not used, as far as they were read."""
        return self.problems.skipped

    def report(self) -> str:
        """What was read, left out and mended so far, in words."""
        broken, cut, outside = self._found.sum(0).tolist()
        lines = [f"{type(self).__name__}: {self._count - broken} pictures in {len(self)} batches."]
        for count, what in ((cut, "boxes cut at the picture's edge"), (outside, "boxes outside the picture left out")):
            if count:
                lines.append(f"{count} {what}.")
        lines += [f"{count} {what} left out." for what, count in self.problems.mended.items()]
        lines += [f"Skipped {os.path.basename(file)}: {reason}" for file, reason in self.skipped]
        return "\n".join(lines)
