"""`Stream`: batches that can be iterated anew each epoch, with the methods that scripts use on datasets."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella.errors import ArgumentError
from lamella.utils.joining import joined, padded, samples_of
from lamella.utils.stream_transforms import EVERY_AXIS, Transforms, of_item


class Count(int):
    """A number that can also be read as scripts for TensorFlow read it."""

    def numpy(self) -> np.int64:
        """The number, as NumPy has it."""
        return np.int64(self)


class Stream(Transforms):
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
            self.open_axes = like.open_axes

    def __iter__(self) -> Iterator[Any]:
        return self._make()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {'?' if self._length is None else self._length} items>"

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError("The number of batches of this stream is not known.")
        return self._length

    def cardinality(self) -> Count:
        """The number of items; -2 if unknown."""
        return Count(-2 if self._length is None else self._length)

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch comes next: a resumed run gets the order that it would have had."""
        if self._source is not None:
            self._source.set_epoch(epoch)

    def map(self, map_func: Callable[..., Any], *args: Any, **kwargs: Any) -> Stream:
        """The stream of `map_func(item)`, or of `map_func(x, y)` where an item is a tuple; no other argument counts."""

        def mapped(item: Any) -> Any:
            made = of_item(map_func, item)
            return tuple(made) if type(made) is list else made  # as in TensorFlow, where decode_csv gives a list

        def items() -> Iterator[Any]:
            return map(mapped, self)

        found = Stream(items, self._length, self)
        found.function, found._example = map_func, lambda: mapped(self._example())  # type: ignore[attr-defined, method-assign]
        return found

    def filter(self, predicate: Callable[..., Any], **kwargs: Any) -> Stream:
        """The items for which `predicate(item)`, or `predicate(x, y)`, is true."""

        def items() -> Iterator[Any]:
            return (item for item in self if of_item(predicate, item))

        return Stream(items, None, self)

    def flat_map(self, map_func: Callable[..., Iterable[Any]], **kwargs: Any) -> Stream:
        """The items of the streams that the function makes of the items, one stream after the other."""
        return Stream(lambda: itertools.chain.from_iterable(self.map(map_func)), None, self)

    def interleave(
        self,
        map_func: Callable[..., Iterable[Any]],
        cycle_length: int | None = None,
        block_length: int = 1,
        **kwargs: Any,
    ) -> Stream:
        """The items of the streams that the function makes of the items, `cycle_length` (10) streams in turns.

        Args:
            map_func: Makes a stream of an item.
            cycle_length: How many streams are read at a time.
            block_length: How many items are taken of each in its turn.
            **kwargs: tf.data's further arguments: they change nothing here.
        """

        def items() -> Iterator[Any]:
            waiting = map(iter, self.map(map_func))
            going = list(itertools.islice(waiting, 10 if cycle_length is None or cycle_length < 1 else cycle_length))
            turn = 0
            while going:
                turn %= len(going)
                block = list(itertools.islice(going[turn], block_length))
                yield from block
                if len(block) == block_length:
                    turn += 1
                elif (new := next(waiting, None)) is not None:
                    going[turn] = new
                    turn += 1
                else:
                    del going[turn]

        return Stream(items, None, self)

    def concatenate(self, dataset: Stream) -> Stream:
        """The items of this stream, then those of another one."""
        known = self._length is not None and dataset._length is not None
        length = self._length + dataset._length if known else None  # type: ignore[operator]
        return Stream(lambda: itertools.chain(self, dataset), length, self)

    def enumerate(self, start: int = 0, **kwargs: Any) -> Stream:
        """Pairs of a number, from `start` on, and an item."""
        return Stream(lambda: enumerate(self, start), self._length, self)

    def shard(self, num_shards: int, index: int, **kwargs: Any) -> Stream:
        """Every `num_shards`-th item, from the one at `index` on."""
        if not 0 <= index < num_shards:
            raise ArgumentError(f"Stream.shard: `index` must be in [0, {num_shards}); got {index}.")
        length = None if self._length is None else max(0, -(-(self._length - index) // num_shards))
        return Stream(lambda: itertools.islice(iter(self), index, None, num_shards), length, self)

    def window(
        self, size: int, shift: int | None = None, stride: int = 1, drop_remainder: bool = False, **kwargs: Any
    ) -> Stream:
        """Streams of `size` items, each of which begins `shift` (`size`) items after the one before.

        Args:
            size: How many items are in a window.
            shift: How many items further the next one begins.
            stride: A window takes every `stride`-th item.
            drop_remainder: Whether windows with fewer items are left out.
            **kwargs: tf.data's further arguments: they change nothing here.

        Items that are tuples give tuples of streams.
        """
        step, span = size if shift is None else shift, (size - 1) * stride + 1

        def windows() -> Iterator[Any]:
            ahead, kept = iter(self), list[Any]()
            while True:
                kept.extend(itertools.islice(ahead, span - len(kept)))
                found = kept[::stride]
                if not found or (drop_remainder and len(found) < size):
                    return
                yield _streams_of(found)
                if step > len(kept):
                    list(itertools.islice(ahead, step - len(kept)))
                kept = kept[step:]

        return Stream(windows, None, self)

    def reduce(self, initial_state: Any, reduce_func: Callable[[Any, Any], Any], **kwargs: Any) -> Any:
        """What the function makes of the state so far and an item, item by item."""
        return functools.reduce(reduce_func, self, initial_state)

    def apply(self, transformation_func: Callable[[Stream], Any]) -> Any:
        """What the function makes of the stream."""
        return transformation_func(self)

    def take(self, count: int) -> Stream:
        """The first `count` items; all for -1."""
        if count < 0:
            return self
        length = None if self._length is None else min(count, self._length)
        return Stream(lambda: itertools.islice(iter(self), count), length, self)

    def skip(self, count: int) -> Stream:
        """All but the first `count` items."""
        length = None if self._length is None else max(self._length - count, 0)
        return Stream(lambda: itertools.islice(iter(self), count, None), length, self)

    def cache(self, *args: Any, **kwargs: Any) -> Stream:
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

    def shuffle(
        self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True, **kwargs: Any
    ) -> Stream:
        """The items in a random order, each drawn from the next `buffer_size` ones.

        A function that draws random numbers is to be mapped after it: a resumed run fills the buffer anew.

        Args:
            buffer_size: How many items wait to be drawn.
            seed: Of the order.
            reshuffle_each_iteration: Whether the order is another each time.
            **kwargs: tf.data's further arguments: they change nothing here.

        Raises:
            ArgumentError: A buffer without room.
        """
        if buffer_size < 1:
            raise ArgumentError(f"Stream.shuffle: `buffer_size` must be 1 or more; got {buffer_size}.")
        return _Shuffled(self, buffer_size, seed, reshuffle_each_iteration)

    def repeat(self, count: int | None = None) -> Stream:
        """The stream `count` times over; without end by default."""
        return _Repeated(self, None if count is None or count < 0 else count)

    def unbatch(self) -> Stream:
        """The samples, one by one."""
        found = Stream(lambda: (sample for batch in self for sample in samples_of(batch)), None, self)
        found.open_axes = 0
        return found

    def batch(self, batch_size: int, drop_remainder: bool = False, **kwargs: Any) -> Stream:
        """Batches of `batch_size` items."""
        return self._in_batches(batch_size, drop_remainder, joined, 0 if drop_remainder else 1)

    def _in_batches(
        self, batch_size: int, drop_remainder: bool, join: Callable[[list[Any]], Any], open_axes: int
    ) -> Stream:
        if batch_size < 1:
            raise ArgumentError(f"Stream.batch: `batch_size` must be 1 or more; got {batch_size}.")

        def items() -> Iterator[Any]:
            ahead = iter(self)
            while part := list(itertools.islice(ahead, batch_size)):
                if len(part) == batch_size or not drop_remainder:
                    yield join(part)

        length = None
        if self._length is not None:
            length = self._length // batch_size if drop_remainder else -(-self._length // batch_size)
        found = Stream(items, length, self)
        found.open_axes = open_axes
        found._example = lambda: join([self._example()] * (batch_size if drop_remainder else 1))  # type: ignore[method-assign]
        return found

    def rebatch(self, batch_size: int, drop_remainder: bool = False, **kwargs: Any) -> Stream:
        """Batches of another size."""
        return self.unbatch().batch(batch_size, drop_remainder)

    def padded_batch(
        self,
        batch_size: int,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
        **kwargs: Any,
    ) -> Stream:
        """Batches of items of different sizes, made equal by what stands after them.

        Args:
            batch_size: How many items are in a batch.
            padded_shapes: The shape of each part of an item, None or -1 for the largest of the batch; by default so for
                all.
            padding_values: What stands after each part: 0 by default, `""` after texts.
            drop_remainder: Whether a last batch with fewer items is left out.
            **kwargs: tf.data's further arguments: they change nothing here.

        Raises:
            ShapeError: An item that is larger than its shape.
        """

        def join(items: list[Any]) -> Any:
            return padded(items, padded_shapes, padding_values)

        return self._in_batches(batch_size, drop_remainder, join, EVERY_AXIS)

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The items as NumPy arrays, single numbers as NumPy's scalars; texts as bytes."""
        return (pytree.tree_map(_as_numpy, item) for item in self)

    def _made(self, items: Callable[[], Iterator[Any]], length: int | None = None) -> Stream:
        return Stream(items, length, self)


class _Shuffled(Stream):
    def __init__(self, source: Stream, buffer_size: int, seed: int | None, anew: bool) -> None:
        super().__init__(self._items, source._length, source)
        self.source, self.buffer_size, self.anew = source, buffer_size, anew
        self.seed = _any_seed() if seed is None and not anew else seed
        self.epoch = 0
        self._example = source._example  # type: ignore[method-assign]

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        super().set_epoch(epoch)

    def _items(self) -> Iterator[Any]:
        # A generator of its own for each time: a resumed run draws the order anew, but not what the model drew
        seed = _any_seed() if self.seed is None else self.seed + self.epoch * self.anew
        generator = torch.Generator().manual_seed(seed)
        self.epoch += 1
        if self._length is not None and self.buffer_size >= self._length:
            every = list(self.source)
            yield from (every[place] for place in torch.randperm(len(every), generator=generator).tolist())
            return
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
        self._example = source._example  # type: ignore[method-assign]

    def cardinality(self) -> Count:
        return Count(-1) if self.count is None else super().cardinality()

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


def _streams_of(items: list[Any]) -> Any:
    """A stream of items; of items that are tuples, a tuple of streams."""
    if not isinstance(items[0], tuple):
        return Stream(lambda: iter(items), len(items))
    return tuple(_streams_of(list(parts)) for parts in zip(*items, strict=True))


def _as_numpy(part: Any) -> Any:
    found = part.numpy() if hasattr(part, "numpy") else part
    return found[()] if isinstance(found, np.ndarray) else found
