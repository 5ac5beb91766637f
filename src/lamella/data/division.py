"""Batches of which each of several processes loads its own rows only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeGuard

from torch.utils.data import DataLoader, IterableDataset, default_collate

Where = Callable[[int], slice]
"""From the length of a batch to the rows of it that are wanted."""
Drawn = Callable[[Callable[[], Any]], Any]
"""Calls a function that draws the order of samples, so that it is the same in all processes."""


class Rows(NamedTuple):
    """What was loaded of a batch, and how many samples all of it has."""

    rows: Any
    length: int


def can_be_divided(stream: Any) -> TypeGuard[DataLoader[Any]]:
    """Whether this is a `DataLoader` whose batches are samples by number, each made by itself.

    A `collate_fn` of one's own may mix the samples of a batch, or pad them to the longest: such batches stay whole.
    """
    return (
        type(stream) is DataLoader
        and not isinstance(stream.dataset, IterableDataset)
        and stream.batch_sampler is not None
        and stream.collate_fn is default_collate
        and stream.in_order
    )


class LoadedRows:
    """The batches of a `DataLoader`, of which its workers load the rows `where` says.

    Args:
        loader: See `can_be_divided`.
        where: From the length of a batch to the rows.
        drawn: Calls a function that draws the order of samples.
    """

    def __init__(self, loader: DataLoader[Any], where: Where, drawn: Drawn) -> None:
        self.sampler = _RowNumbers(loader.batch_sampler, where, drawn)
        self.drawn = drawn
        self.loader = DataLoader(
            loader.dataset,
            batch_sampler=self.sampler,  # type: ignore[arg-type]
            num_workers=loader.num_workers,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            generator=loader.generator,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
        )

    def __iter__(self) -> Iterator[Rows]:
        batches = self.drawn(lambda: iter(self.loader))
        lengths = self.sampler.lengths
        return (Rows(batch, lengths.popleft()) for batch in batches)


class _RowNumbers:
    """The numbers of the samples of each batch, less those that others load; how long the batches are is kept."""

    def __init__(self, sampler: Any, where: Where, drawn: Drawn) -> None:
        self.sampler, self.where, self.drawn = sampler, where, drawn
        self.lengths: deque[int] = deque()

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[list[int]]:
        self.lengths = deque()
        return self._numbers(iter(self.sampler), self.lengths)

    def _numbers(self, batches: Iterator[list[int]], lengths: deque[int]) -> Iterator[list[int]]:
        while (numbers := self.drawn(lambda: next(batches, None))) is not None:
            lengths.append(len(numbers))
            yield numbers[self.where(len(numbers))]
