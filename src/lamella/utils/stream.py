"""`Stream`: batches that can be iterated anew each epoch, with the methods that scripts use on datasets."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella.errors import ArgumentError


class Stream:
    """Batches (or samples), iterated anew each time; `fit` takes it.

    Args:
        make: Gives a new iterator each time it is called.
        length: The number of items; None if unknown.
        like: A stream whose attributes (`class_names`, `file_paths`) this one has too.

    Example:
        >>> numbers = Stream(lambda: iter(range(4)), 4).map(lambda x: x * 10)
        >>> list(numbers.take(2)), len(numbers.skip(1))
        ([0, 10], 3)
    """

    class_names: list[str] | None = None
    file_paths: list[str] | None = None

    def __init__(
        self, make: Callable[[], Iterator[Any]], length: int | None = None, like: Stream | None = None
    ) -> None:
        self._make = make
        self._length = length
        self._source = like
        if like is not None:
            self.class_names, self.file_paths = like.class_names, like.file_paths

    def __iter__(self) -> Iterator[Any]:
        return self._make()

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError("The number of batches of this stream is not known.")
        return self._length

    def cardinality(self) -> int:
        """The number of items; -2 if unknown."""
        return -2 if self._length is None else self._length

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch comes next: a resumed run gets the order that it would have had."""
        if self._source is not None:
            self._source.set_epoch(epoch)

    def map(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Stream:
        """The stream of `function(item)`, or of `function(x, y)` where an item is a tuple; no other argument counts."""

        def items() -> Iterator[Any]:
            return (function(*item) if isinstance(item, tuple) else function(item) for item in self)

        return Stream(items, self._length, self)

    def take(self, count: int) -> Stream:
        """The first `count` items."""
        length = None if self._length is None else min(count, self._length)
        return Stream(lambda: itertools.islice(iter(self), count), length, self)

    def skip(self, count: int) -> Stream:
        """All but the first `count` items."""
        length = None if self._length is None else max(self._length - count, 0)
        return Stream(lambda: itertools.islice(iter(self), count, None), length, self)

    def cache(self, *args: Any) -> Stream:
        """Keeps the items in memory after the first time: what is shuffled before it keeps one order.

        A resumed run fills the memory anew: give a shuffle before it a `seed`, so that it gets that order again.
        """
        kept: list[Any] = []
        whole = False

        def items() -> Iterator[Any]:
            nonlocal whole
            if whole:
                yield from kept
                return
            kept.clear()
            self.set_epoch(0)  # whichever epoch a resumed run begins with
            for item in self:
                kept.append(item)
                yield item
            whole = True

        return Stream(items, self._length, self)

    def prefetch(self, *args: Any, **kwargs: Any) -> Stream:
        """The stream itself: files are read ahead in any case."""
        return self

    def shuffle(self, buffer_size: int, seed: int | None = None, **kwargs: Any) -> Stream:
        """The items in a random order, another each time, each drawn from the next `buffer_size` ones.

        A function that draws random numbers is to be mapped after it: a resumed run fills the buffer anew.
        """
        if buffer_size < 1:
            raise ArgumentError(f"Stream.shuffle: `buffer_size` must be 1 or more; got {buffer_size}.")
        return _Shuffled(self, buffer_size, seed)

    def repeat(self, count: int | None = None) -> Stream:
        """The stream `count` times over; without end by default."""
        return _Repeated(self, None if count is None or count < 0 else count)

    def unbatch(self) -> Stream:
        """The samples, one by one."""
        return Stream(lambda: (sample for batch in self for sample in samples_of(batch)), None, self)

    def batch(self, batch_size: int, drop_remainder: bool = False, **kwargs: Any) -> Stream:
        """Batches of `batch_size` items."""

        def items() -> Iterator[Any]:
            ahead = iter(self)
            while part := list(itertools.islice(ahead, batch_size)):
                if len(part) == batch_size or not drop_remainder:
                    yield joined(part)

        length = None
        if self._length is not None:
            length = self._length // batch_size if drop_remainder else -(-self._length // batch_size)
        return Stream(items, length, self)

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The items as NumPy arrays."""
        return (pytree.tree_map_only(torch.Tensor, lambda t: t.numpy(), item) for item in self)


class _Shuffled(Stream):
    def __init__(self, source: Stream, buffer_size: int, seed: int | None) -> None:
        super().__init__(self._items, source._length, source)
        self.source, self.buffer_size, self.seed = source, buffer_size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        super().set_epoch(epoch)

    def _items(self) -> Iterator[Any]:
        # A generator of its own for each time: a resumed run draws the order anew, but not what the model drew
        generator = torch.Generator().manual_seed(_any_seed() if self.seed is None else self.seed + self.epoch)
        self.epoch += 1
        buffer: list[Any] = []
        for item in self.source:
            buffer.append(item)
            if len(buffer) >= self.buffer_size:
                yield _drawn(buffer, generator)
        while buffer:
            yield _drawn(buffer, generator)


class _Repeated(Stream):
    def __init__(self, source: Stream, count: int | None) -> None:
        length = None if source._length is None or count is None else source._length * count
        super().__init__(self._items, length, source)
        self.source, self.count = source, count

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch * (self.count or 1))

    def _items(self) -> Iterator[Any]:
        seeds = torch.Generator().manual_seed(_any_seed())
        for _ in itertools.count() if self.count is None else range(self.count):
            # an order without a seed is drawn as each time begins: it must not depend on what the model drew before
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(_any_seed(seeds))
                going = iter(self.source)
                first = list(itertools.islice(going, 1))
            if not first:
                return
            yield from first
            yield from going


def _any_seed(generator: torch.Generator | None = None) -> int:
    return int(torch.randint(2**62, (), generator=generator))


def _drawn(buffer: list[Any], generator: torch.Generator) -> Any:
    place = int(torch.randint(len(buffer), (), generator=generator))
    buffer[place], buffer[-1] = buffer[-1], buffer[place]
    return buffer.pop()


def samples_of(batch: Any) -> Iterable[Any]:
    """The samples of one batch, in its nesting."""
    leaves, spec = pytree.tree_flatten(batch)
    return (pytree.tree_unflatten(list(row), spec) for row in zip(*leaves, strict=True))


def joined(samples: list[Any]) -> Any:
    """Samples as one batch, in their nesting: tensors and numbers as tensors, texts as an array of texts."""
    spec = pytree.tree_structure(samples[0])
    columns = zip(*(pytree.tree_leaves(sample) for sample in samples), strict=True)
    return pytree.tree_unflatten([_column(list(column)) for column in columns], spec)


def _column(values: list[Any]) -> Any:
    if isinstance(values[0], (str, bytes)):
        return np.array(values, dtype=object)
    return torch.stack([torch.as_tensor(value) for value in values])
