"""What a `Stream` can do besides: grouping, scanning, choosing, telling the shapes and types of its items."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.utils import _pytree as pytree

from lamella.engine.tensor_spec import specs_of
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.utils.joining import joined, padded

if TYPE_CHECKING:
    from lamella.utils.stream import Stream

EVERY_AXIS = 1 << 10


class Transforms:
    """Methods of `Stream` that are made of its others."""

    open_axes = 0
    """How many of the first axes of an item differ from item to item: 1 of batches, of which the last is smaller."""

    _source: Stream | None = None

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError

    def _made(self, items: Callable[[], Iterator[Any]], length: int | None = None) -> Stream:
        raise NotImplementedError

    @property
    def element_spec(self) -> Any:
        """The shape and type of each part of an item, in its nesting, found on the first item.

        Raises:
            DataError: There is no item.
        """
        with torch.random.fork_rng(devices=[]):
            return specs_of(self._example(), self.open_axes)

    def _example(self) -> Any:
        """One item, after which the stream goes on as if it had not been asked for."""
        epochs, each = [], cast("Stream | None", self)
        while each is not None:
            epochs.append((each, getattr(each, "epoch", None)))
            each = each._source
        found = list(itertools.islice(iter(self), 1))
        if not found:
            raise DataError("The stream has no item by which the shapes and types of its items could be told.")
        for stream, epoch in epochs:
            if epoch is not None:
                stream.epoch = epoch  # type: ignore[attr-defined]
        return found[0]

    def scan(self, initial_state: Any, scan_func: Callable[[Any, Any], tuple[Any, Any]], **kwargs: Any) -> Stream:
        """What `state, result = scan_func(state, item)` gives for item after item."""

        def items() -> Iterator[Any]:
            state = initial_state
            for item in self:
                state, found = scan_func(state, item)
                yield found

        return self._made(items)

    def take_while(self, predicate: Callable[..., Any], **kwargs: Any) -> Stream:
        """The items until before the first for which the predicate is false."""
        return self._made(lambda: itertools.takewhile(lambda item: bool(of_item(predicate, item)), self))

    def unique(self, **kwargs: Any) -> Stream:
        """Each different item (a number or a text) once."""

        def items() -> Iterator[Any]:
            seen = set()
            for item in self:
                value = item.item() if isinstance(item, torch.Tensor) else item
                if value not in seen:
                    seen.add(value)
                    yield item

        return self._made(items)

    def ignore_errors(self, log_warning: bool = False, **kwargs: Any) -> Stream:
        """The items without those of which making raised an error; only of functions that were mapped last."""
        source, function = self._source, getattr(self, "function", None)
        if source is None or function is None:
            raise ArgumentError("Stream.ignore_errors comes right after `map`, whose errors it leaves out.")

        def items() -> Iterator[Any]:
            for item in source:
                try:
                    found = of_item(function, item)
                except Exception as error:
                    if log_warning:
                        print(f"An item is left out: {error}")
                    continue
                yield found

        return self._made(items)

    def get_single_element(self, **kwargs: Any) -> Any:
        """The only item.

        Raises:
            DataError: There is none, or there are more.
        """
        found = list(itertools.islice(iter(self), 2))
        if len(found) != 1:
            raise DataError(f"Stream.get_single_element: the stream has {'no' if not found else 'more than one'} item.")
        return found[0]

    def group_by_window(
        self,
        key_func: Callable[..., Any],
        reduce_func: Callable[[Any, Stream], Stream],
        window_size: int | None = None,
        window_size_func: Callable[[Any], Any] | None = None,
        **kwargs: Any,
    ) -> Stream:
        """What `reduce_func(key, stream of items)` gives for each group of items with the same key.

        Args:
            key_func: Gives the key of an item, a whole number.
            reduce_func: Makes a stream of a key and of its group, mostly one batch.
            window_size: How many items a group has at most.
            window_size_func: Tells it for each key, in the place of `window_size`.
            **kwargs: tf.data's further arguments: they change nothing here.

        Raises:
            ArgumentError: Both sizes, or none.
        """
        if (window_size is None) == (window_size_func is None):
            raise ArgumentError("Stream.group_by_window takes `window_size` or `window_size_func`.")

        def size_of(key: int) -> int:
            return int(window_size if window_size_func is None else window_size_func(torch.tensor(key)))  # type: ignore[arg-type]

        def group(key: int, members: list[Any]) -> Iterator[Any]:
            stream = self._made(lambda: iter(members), len(members))
            return iter(reduce_func(torch.tensor(key), stream))

        def items() -> Iterator[Any]:
            waiting: dict[int, list[Any]] = {}
            for item in self:
                key = int(of_item(key_func, item))
                members = waiting.setdefault(key, [])
                members.append(item)
                if len(members) >= size_of(key):
                    yield from group(key, waiting.pop(key))
            for key in sorted(waiting):
                yield from group(key, waiting[key])

        return self._made(items)

    def bucket_by_sequence_length(
        self,
        element_length_func: Callable[..., Any],
        bucket_boundaries: Sequence[int],
        bucket_batch_sizes: Sequence[int],
        padded_shapes: Any = None,
        padding_values: Any = None,
        pad_to_bucket_boundary: bool = False,
        no_padding: bool = False,
        drop_remainder: bool = False,
        **kwargs: Any,
    ) -> Stream:
        """Batches of items of about the same length, each filled up to the longest of its batch.

        Args:
            element_length_func: Tells the length of an item.
            bucket_boundaries: Where the next bucket begins, in ascending order.
            bucket_batch_sizes: How many items a batch of each bucket has: one more than there are boundaries.
            padded_shapes: As of `padded_batch`.
            padding_values: As of `padded_batch`.
            pad_to_bucket_boundary: Whether items are filled up to the longest that their bucket takes.
            no_padding: Whether they are not filled up: then all of a batch must be of one length.
            drop_remainder: Whether batches with fewer items are left out.
            **kwargs: tf.data's further arguments: they change nothing here.

        Raises:
            ArgumentError: Another number of batch sizes.
            ShapeError: An item that is too long for `pad_to_bucket_boundary`.
        """
        if len(bucket_batch_sizes) != len(bucket_boundaries) + 1:
            raise ArgumentError(
                f"Stream.bucket_by_sequence_length: {len(bucket_boundaries)} boundaries need "
                f"{len(bucket_boundaries) + 1} batch sizes; got {len(bucket_batch_sizes)}."
            )
        sizes = [int(size) for size in bucket_batch_sizes]

        def bucket(item: Any) -> int:
            length = int(of_item(element_length_func, item))
            place = sum(length >= boundary for boundary in bucket_boundaries)
            if pad_to_bucket_boundary and place == len(bucket_boundaries):
                raise ShapeError(
                    f"Stream.bucket_by_sequence_length: with pad_to_bucket_boundary an item must be shorter than "
                    f"{bucket_boundaries[-1]}; got one of {length}. Filter such items out, or add a boundary."
                )
            return place

        def batch(place: int, members: list[Any]) -> Any:
            if no_padding:
                return joined(members)
            shapes = padded_shapes
            if pad_to_bucket_boundary:
                longest = bucket_boundaries[place] - 1
                shapes = pytree.tree_map(lambda part: [longest, *part.shape[1:]] if part.ndim else [], members[0])
            return padded(members, shapes, padding_values)

        def items() -> Iterator[Any]:
            waiting: dict[int, list[Any]] = {}
            for item in self:
                place = bucket(item)
                members = waiting.setdefault(place, [])
                members.append(item)
                if len(members) == sizes[place]:
                    yield batch(place, waiting.pop(place))
            if not drop_remainder:
                for place in sorted(waiting):
                    yield batch(place, waiting[place])

        found = self._made(items)
        found.open_axes = EVERY_AXIS
        return found

    def save(self, path: Any, compression: str | None = None, **kwargs: Any) -> None:
        """Writes all items into a folder, of which `lamella.utils.stream_files.load_stream` makes a stream again."""
        from lamella.utils.stream_files import save_stream

        save_stream(cast("Stream", self), path, compression)

    def snapshot(self, path: Any, compression: str | None = None, **kwargs: Any) -> Stream:
        """The same items, which are made once and kept in a folder, also for later runs."""
        from lamella.utils.stream_files import snapshot_of

        return snapshot_of(cast("Stream", self), path, compression)

    def with_options(self, options: Any, **kwargs: Any) -> Stream:
        """The stream itself: how it is read is up to Lamella."""
        return cast("Stream", self)

    def rejection_resample(
        self,
        class_func: Callable[..., Any],
        target_dist: Any,
        initial_dist: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> Stream:
        """Pairs (class, item), of which some are left out so that the classes come as often as they should.

        Args:
            class_func: Tells the class of an item, a whole number.
            target_dist: How often each class should come.
            initial_dist: How often each comes; counted on the way by default.
            seed: Of the drawing.
            **kwargs: tf.data's further arguments: they change nothing here.
        """
        target = [float(each) for each in target_dist]

        def items() -> Iterator[Any]:
            draw = random.Random(int(torch.randint(2**31, ())) if seed is None else seed)
            counts = [1.0] * len(target) if initial_dist is None else [float(each) for each in initial_dist]
            for item in self:
                place = int(of_item(class_func, item))
                if initial_dist is None:
                    counts[place] += 1
                ratios = [wanted / had if had else 0.0 for wanted, had in zip(target, counts, strict=True)]
                if draw.random() * max(ratios) < ratios[place]:
                    yield torch.tensor(place, dtype=torch.int32), item

        return self._made(items)


def of_item(function: Callable[..., Any], item: Any) -> Any:
    """The function of an item, or of the parts of one that is a tuple."""
    return function(*item) if isinstance(item, tuple) else function(item)
