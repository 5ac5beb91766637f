"""From what a user passes to `fit` to batches of tensors on the device.

Arrays are moved to the device once; an epoch is a permutation and an index-select, never a loop over
samples. Generators, `DataLoader`s and `PyDataset`s stream.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from lamella.data.arrays import (
    as_tensor,
    check_finite,
    check_lengths,
    flat,
    is_array,
    is_mapped,
    map_arrays,
    placed,
    shared,
)
from lamella.data.division import Drawn, LoadedRows, Rows, Where, can_be_divided
from lamella.data.place import Rounds, holders_of
from lamella.data.py_dataset import PyDataset
from lamella.data.workers import death_of_worker
from lamella.errors import ArgumentError, DataError

Batch = tuple[Any, Any, Any]

# Small batches are gathered several at a time, up to so many bytes: one large index-select costs less than
# many small ones, and what it fetched is still in the cache when it is used. On the CPU the limit is what one
# core fetches into its own cache: torch splits a larger select over the cores, and the step then reads the other
# core's cache (measured with 784 features, batches of 32, two cores: 18 us a batch at 128 KiB, 29 us at 1 MiB).
_CHUNK_BYTES = {"cpu": 1 << 17}
_CHUNK_BYTES_ELSEWHERE = 1 << 20
_ORDERED = 1024
"""Batches whose row numbers are cut out at once: it takes less time than one by one, and all would take memory."""


def make_source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight: Mapping[int, float] | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Source:
    """The source of batches for data of any kind.

    Args:
        x: Arrays, or something that gives batches.
        y: Targets, with arrays only.
        sample_weight: Weights, with arrays only.
        batch_size: Samples in a batch, with arrays only. By default 32, or with `steps` as many as give so many
            batches.
        steps: Batches in an epoch; all by default.
        shuffle: Whether each epoch has a new order; `"batch"` shuffles batches only.
        class_weight: A weight for each class.
        device: Where batches are.
        dtype: The type of floats.

    Raises:
        DataError: Data that cannot be used.
        ArgumentError: Arguments that do not go together.
    """
    device = torch.device(device)
    if batch_size is not None and (
        isinstance(batch_size, bool) or not hasattr(batch_size, "__index__") or batch_size < 1
    ):
        raise ArgumentError(f"`batch_size` must be a whole number, 1 or more; got {batch_size!r}.")
    if x is None:
        raise DataError("There are no data: x is None.")
    if _holds_arrays(x):
        return ArraySource(x, y, sample_weight, batch_size, steps, shuffle, class_weight, device, dtype)
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ArgumentError(
                f"`{name}` goes with arrays; a {type(x).__name__} gives its own, as (x, y) or (x, y, sample_weight)."
            )
    if isinstance(x, Dataset) and not isinstance(x, IterableDataset) and not isinstance(x, DataLoader):
        x, batch_size = DataLoader(x, batch_size=batch_size or 32, shuffle=bool(shuffle)), None
    elif isinstance(x, IterableDataset):
        x, batch_size = DataLoader(x, batch_size=batch_size or 32), None
    if batch_size is not None:
        raise ArgumentError(f"`batch_size` goes with arrays; a {type(x).__name__} makes its batches itself.")
    if isinstance(x, PyDataset) or (hasattr(x, "__getitem__") and hasattr(x, "on_epoch_end")):
        return PyDatasetSource(x, steps, shuffle, class_weight, device, dtype)
    if isinstance(x, Iterable):
        return StreamSource(x, steps, class_weight, device, dtype)
    raise DataError(
        f"Cannot train on a {type(x).__name__}: give arrays, tensors, data frames, lists of them, a generator, a "
        f"torch DataLoader or a PyDataset."
    )


def _holds_arrays(x: Any) -> bool:
    return is_array(x) or (
        isinstance(x, (list, tuple, dict)) and bool(flat(x)) and all(is_array(leaf) for leaf in flat(x))
    )


class OwnRows(tuple[Any, Any, Any]):
    """A batch of which only the rows of this process were loaded.

    Attributes:
        length: The number of samples in all of it.
    """

    length: int

    def __new__(cls, batch: Batch, length: int) -> OwnRows:
        own = super().__new__(cls, batch)
        own.length = length
        return own


class Source:
    """Batches, epoch after epoch.

    Attributes:
        num_batches: The number in an epoch; None if unknown.
        num_samples: The number of samples; None if unknown.
        lasting: Whether a batch stays as it is when the next one is drawn.
    """

    num_batches: int | None = None
    num_samples: int | None = None
    lasting = False
    _rounds: Rounds
    _epoch_place: dict[str, Any]

    def batches(self) -> Iterator[Batch]:
        """The batches `(x, y, sample_weight)` of one epoch."""
        raise NotImplementedError

    def peek(self) -> Batch:
        """The first batch, which is not used up."""
        raise NotImplementedError

    def targets(self) -> Any:
        """All targets, or those of the first batch where the data stream."""
        return self.peek()[1]

    def close(self) -> None:
        """Called when training has ended: worker processes are not to wait for the garbage collector."""

    def keep_places(self) -> None:
        """Called before the first epoch, if `place` is going to be asked for."""
        self._rounds.keeps = True

    def place(self) -> dict[str, Any]:
        """Where the next epoch begins, as plain data."""
        raise NotImplementedError

    def place_of_epoch(self) -> dict[str, Any]:
        """Where the epoch that is going on began, and the states in which rounds over the data began since."""
        return {**self._epoch_place, "states": self._rounds.states}

    def go_to(self, place: dict[str, Any]) -> None:
        """Goes to a place that the source of an earlier run gave. It leaves random generators in any state."""
        raise NotImplementedError

    def divide(self, where: Where, drawn: Drawn) -> bool:
        """Before the first batch: only some rows of each are to be loaded, and batches are to be `OwnRows`.

        Args:
            where: From the length of a batch to its rows that are wanted.
            drawn: Calls a function in which the order of samples is drawn, and returns what it returns.

        Returns:
            Whether the data allow it.
        """
        return False


class ArraySource(Source):
    """Batches of arrays that are in memory."""

    lasting = True

    def __init__(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        batch_size: int | None,
        steps: int | None,
        shuffle: bool | str,
        class_weight: Mapping[int, float] | None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        def load(name: str, part: Any) -> Any:
            return map_arrays(
                lambda leaf: shared(leaf) if is_mapped(leaf) else as_tensor(leaf, name, device, dtype), part
            )

        self.x, self.y = load("x", x), load("y", y)
        weight = load("sample_weight", sample_weight)
        weight = map_arrays(lambda leaf: leaf.to(dtype), weight)
        self.num_samples = check_lengths({"x": self.x, "y": self.y, "sample_weight": weight})
        for name, part in (("x", self.x), ("y", self.y), ("sample_weight", weight)):
            for leaf in flat(part):
                check_finite(name, leaf)
        self.weight = with_class_weight(self.y, weight, class_weight)
        self.batch_size = int(batch_size or (-(-self.num_samples // steps) if steps else 32))
        self.shuffle = shuffle
        self.device = device
        self.dtype = dtype
        parts = (*flat(self.x), *flat(self.y), *flat(weight))
        self._mapped = any(
            leaf.device != device or (leaf.is_floating_point() and leaf.dtype != dtype) for leaf in parts
        )
        whole = -(-self.num_samples // self.batch_size)
        self.steps = steps
        self.num_batches = whole if steps is None else steps
        self._whole = whole
        self._division: tuple[Where, Drawn] | None = None
        self._endless: Iterator[Batch] | None = None
        self._rounds = Rounds()
        self._epoch_place = self.place()

    def peek(self) -> Batch:
        return self._placed(self._part(slice(0, self.batch_size)))

    def targets(self) -> Any:
        return self.y

    def _part(self, where: slice | torch.Tensor) -> Batch:
        def cut(part: Any) -> Any:
            return map_arrays(lambda leaf: leaf[where], part)

        return cut(self.x), cut(self.y), cut(self.weight)

    def batches(self) -> Iterator[Batch]:
        return map(self._placed, self._batches()) if self._mapped else self._batches()

    def _placed(self, batch: Batch) -> Batch:
        x, y, weight = (map_arrays(partial(placed, device=self.device, dtype=self.dtype), part) for part in batch)
        return OwnRows((x, y, weight), batch.length) if isinstance(batch, OwnRows) else (x, y, weight)

    def divide(self, where: Where, drawn: Drawn) -> bool:
        self._division = where, drawn
        return True

    def _batches(self) -> Iterator[Batch]:
        if self.steps is None:
            return self._one_round()
        return self._some_of_many(self.steps)

    def _some_of_many(self, steps: int) -> Iterator[Batch]:
        self._epoch_place = self.place()
        del self._rounds.states[:-1]
        yield from self._next(steps)

    def _next(self, count: int) -> Iterator[Batch]:
        if self._endless is None:
            self._endless = itertools.chain.from_iterable(self._one_of_many() for _ in itertools.count())
        for batch in itertools.islice(self._endless, count):
            self._rounds.passed += 1
            yield batch

    def _one_of_many(self) -> Iterator[Batch]:
        self._rounds.begin()
        return self._one_round()

    def place(self) -> dict[str, Any]:
        rounds = self._rounds
        return {"round": rounds.number, "passed": rounds.passed, "states": rounds.states[-1:]}

    def go_to(self, place: dict[str, Any]) -> None:
        self._endless = None
        self._rounds.plan(place["round"] - bool(place["passed"]), place["states"])
        for _ in self._next(place["passed"]):
            pass

    def _one_round(self) -> Iterator[Batch]:
        assert self.num_samples is not None
        if self._division is not None:
            yield from self._own_rows(*self._division)
        elif not self.shuffle:
            for start in range(0, self.num_samples, self.batch_size):
                yield self._part(slice(start, start + self.batch_size))
        elif self.shuffle == "batch":
            for i in torch.randperm(self._whole).tolist():
                yield self._part(slice(i * self.batch_size, (i + 1) * self.batch_size))
        else:
            order = torch.randperm(self.num_samples, device="cpu" if self._mapped else self.device)
            yield from self._gathered(order)

    def _own_rows(self, where: Where, drawn: Drawn) -> Iterator[OwnRows]:
        """As `_one_round`, of each batch the rows `where` says. The order comes from the CPU's generator."""
        assert self.num_samples is not None
        starts = torch.arange(0, self.num_samples, self.batch_size)
        order = None
        if self.shuffle == "batch":
            starts = starts[drawn(lambda: torch.randperm(self._whole))]
        elif self.shuffle:
            order = drawn(lambda: torch.randperm(self.num_samples or 0)).to("cpu" if self._mapped else self.device)
        for start in starts.tolist():
            length = min(self.batch_size, self.num_samples - start)
            own = where(length)
            rows = slice(start + own.start, start + own.stop)
            yield OwnRows(self._part(rows if order is None else order[rows]), length)

    def _gathered(self, order: torch.Tensor) -> Iterator[Batch]:
        cut = partial(_in_batches, order=order, size=self.batch_size)
        parts = (self.x, self.y, self.weight)
        streams = [itertools.repeat(None) if part is None else map_arrays(cut, part) for part in parts]
        if all(isinstance(stream, Iterator) for stream in streams):
            yield from zip(*streams, strict=False)
            return
        for _ in range(self._whole):
            yield tuple(map_arrays(next, stream) for stream in streams)  # type: ignore[misc]


def _in_batches(leaf: torch.Tensor, order: torch.Tensor, size: int) -> Iterator[torch.Tensor]:
    """The rows of an array in this order, so many in a batch."""
    limit = _CHUNK_BYTES.get(leaf.device.type, _CHUNK_BYTES_ELSEWHERE)
    together = limit // max(1, leaf[:1].numel() * leaf.element_size() * size)
    chunk = size * max(1, min(together, _ORDERED))
    for part in order.split(size * _ORDERED):
        for rows in part.split(chunk):
            found = leaf.index_select(0, rows)
            if chunk == size:
                yield found
            else:
                yield from found.split(size)


class StreamSource(Source):
    """Batches from an iterable: a generator (used up once) or something that can be iterated anew."""

    def __init__(
        self,
        stream: Iterable[Any],
        steps: int | None,
        class_weight: Mapping[int, float] | None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.stream = stream
        self.class_weight = class_weight
        self.device = device
        self.dtype = dtype
        self.once = isinstance(stream, Iterator)
        self.steps = steps
        self.num_batches = steps if steps is not None else _length(stream)
        self._going: Iterator[Any] | None = None
        self._ahead: list[Batch] = []
        self._rounds = Rounds(holders_of(stream))
        self._epoch_place: dict[str, Any] = {}

    def peek(self) -> Batch:
        if not self._ahead:
            self._ahead.append(self._next(checked=True))
        return self._ahead[0]

    def divide(self, where: Where, drawn: Drawn) -> bool:
        if hasattr(self.stream, "own_rows") and getattr(self.stream, "batch_size", None):
            self.stream = self.stream.own_rows(where, drawn)
        elif can_be_divided(self.stream):
            self.stream = LoadedRows(self.stream, where, drawn)
        else:
            return False
        return True

    def _next(self, checked: bool = False) -> Batch:
        if self._going is None:
            self._begin_round()
        assert self._going is not None
        try:
            item = next(self._going)
        except StopIteration:
            if checked:
                raise DataError("The data are empty: the stream gave no batch.") from None
            raise
        except (OSError, EOFError) as error:
            if told := death_of_worker(self._going):
                raise RuntimeError(told) from error
            raise
        return self._batch(item, checked)

    def _batch(self, item: Any, checked: bool) -> Batch:
        if isinstance(item, Rows):
            return OwnRows(self._batch(item.rows, checked), item.length)
        x, y, weight = unpack_x_y_sample_weight(item)

        def load(name: str, part: Any) -> Any:
            return map_arrays(lambda leaf: as_tensor(leaf, name, self.device, self.dtype), part)

        x, y, weight = load("x", x), load("y", y), load("sample_weight", weight)
        if checked:
            check_lengths({"x": x, "y": y, "sample_weight": weight})
            for name, part in (("x", x), ("y", y), ("sample_weight", weight)):
                for leaf in flat(part):
                    check_finite(name, leaf)
        return x, y, with_class_weight(y, weight, self.class_weight)

    def _begin_round(self) -> None:
        loader = getattr(self.stream, "loader", self.stream)
        if self._rounds.keeps and isinstance(loader, DataLoader):
            loader._iterator = None  # workers that outlive an epoch have random states that nobody can give them again
        if not self.once:
            self._rounds.begin()
        self._going = iter(self.stream)

    def close(self) -> None:
        going: Any = self._going
        self._going, self._ahead = None, []
        # Those that are left to the garbage collector (after an error, say) take it five seconds each: it closes the
        # queues by which they would be told to end before it tells them.
        if hasattr(going, "_shutdown_workers") and not going._persistent_workers:
            going._shutdown_workers()

    def place(self) -> dict[str, Any]:
        rounds, going = self._rounds, self._going is not None
        return {
            "round": rounds.number,
            "going": going,
            "passed": rounds.passed,
            "ahead": bool(self._ahead),
            "states": rounds.states[-1:] if going else [],
            "own": rounds.own_states(),
        }

    def go_to(self, place: dict[str, Any]) -> None:
        rounds = self._rounds
        if self.once:  # it goes on from the batch that was peeked at
            rounds.plan(-1, place["states"])
            rounds.begin()
        else:
            self._ahead, self._going = [], None  # what was peeked at was drawn in another state
            rounds.plan(place["round"] - place["going"], place["states"])
            if hasattr(self.stream, "set_epoch"):
                self.stream.set_epoch(rounds.number + 1)
        if place["going"]:
            for _ in range(place["passed"]):
                self._used()
            if place["ahead"]:
                self.peek()
        rounds.set_own_states(place["own"])

    def _used(self) -> Batch:
        batch = self._ahead.pop() if self._ahead else self._next()
        self._rounds.passed += 1
        return batch

    def _begin_epoch(self) -> None:
        """Called at the start of an epoch."""
        if self.steps is None and not self.once and not self._ahead:
            self._going = None  # an epoch that was left half way is not gone on with
        if self.once and not self._rounds.passed:
            self._rounds.begin()

    def batches(self) -> Iterator[Batch]:
        count, dry = 0, False
        self._epoch_place = self.place()
        del self._rounds.states[: -1 if self._going is not None else None]
        self._begin_epoch()
        while self.steps is None or count < self.steps:
            try:
                batch = self._used()
            except StopIteration:
                self._going = None  # what can be iterated anew starts again
                if self.steps is None or self.once or dry:
                    break
                dry = True
                continue
            dry = False
            yield batch
            count += 1
        if count < (self.steps or 1):
            warnings.warn(
                f"The data ran out after {count} of {self.steps or 'any'} batches; the epoch ends here. A generator is "
                f"used up once: it must give steps_per_epoch * epochs batches.",
                stacklevel=2,
            )
        if self.num_batches is None:
            self.num_batches = count


def _length(stream: Any) -> int | None:
    try:
        return len(stream)
    except TypeError:  # also a DataLoader of a stream, which has `__len__` and refuses it
        return None


class PyDatasetSource(StreamSource):
    """Batches of a `PyDataset`, made by worker processes where it asks for them."""

    def __init__(
        self,
        dataset: Any,
        steps: int | None,
        shuffle: bool | str,
        class_weight: Mapping[int, float] | None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.dataset = dataset
        count = dataset.num_batches if hasattr(type(dataset), "num_batches") else len(dataset)
        if count is None and steps is None:
            raise ArgumentError(f"{type(dataset).__name__} never ends (num_batches is None): pass steps_per_epoch.")
        super().__init__(_Numbered(dataset, count, bool(shuffle)), steps, class_weight, device, dtype)
        self.num_batches = count if steps is None else steps
        self._rounds = Rounds([dataset])

    def _begin_epoch(self) -> None:
        super()._begin_epoch()
        if hasattr(self.dataset, "on_epoch_begin"):
            self.dataset.on_epoch_begin()
            if self._ahead:  # peeked at before the data set knew its order
                self._ahead, self._going = [], None

    def batches(self) -> Iterator[Batch]:
        yield from super().batches()
        if hasattr(self.dataset, "on_epoch_end"):
            self.dataset.on_epoch_end()


class _Numbered:
    """A `PyDataset` as an iterable: its batches in order, or in a new order each time; None of them: without end."""

    def __init__(self, dataset: Any, count: int | None, shuffle: bool) -> None:
        self.dataset = dataset
        self.count = count
        self.shuffle = shuffle

    def _order(self) -> Iterable[int]:
        if self.count is None:
            return itertools.count()
        return torch.randperm(self.count).tolist() if self.shuffle else range(self.count)

    def __iter__(self) -> Iterator[Any]:
        order = self._order()
        workers = getattr(self.dataset, "workers", 1)
        if workers < 1 or (workers == 1 and not getattr(self.dataset, "use_multiprocessing", False)):
            return (self.dataset[i] for i in order)
        loader = DataLoader(
            self.dataset,
            batch_size=None,
            sampler=order,
            num_workers=workers,
            collate_fn=_as_it_is,
            prefetch_factor=max(1, getattr(self.dataset, "max_queue_size", 10) // workers),
        )
        return iter(loader)


def _as_it_is(batch: Any) -> Any:
    return batch


def unpack_x_y_sample_weight(data: Any) -> Batch:
    """`x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)` as three.

    Example:
        >>> unpack_x_y_sample_weight((1, 2))
        (1, 2, None)
    """
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise DataError(f"Data must be x, (x, y) or (x, y, sample_weight); got {len(data)} parts.")
    x, y, weight = (*data, None, None)[:3]
    return x, y, weight


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """`x`, `(x, y)` or `(x, y, sample_weight)`: the other way round.

    Example:
        >>> pack_x_y_sample_weight(1, 2)
        (1, 2)
    """
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def train_validation_split(
    arrays: tuple[Any, Any, Any], validation_split: float
) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
    """The first part of the samples for training, the last share of them for validation.

    Raises:
        ArgumentError: A share that is not between 0 and 1, or data that stream.
    """
    x = arrays[0]
    if not 0 < validation_split < 1:
        raise ArgumentError(f"`validation_split` must lie between 0 and 1; got {validation_split}.")
    if not _holds_arrays(x):
        raise ArgumentError(f"`validation_split` needs arrays; for a {type(x).__name__} pass validation_data.")
    samples = check_lengths({"x": x, "y": arrays[1], "sample_weight": arrays[2]})
    cut = int(samples * (1.0 - validation_split))
    if cut == 0 or cut == samples:
        raise ArgumentError(
            f"`validation_split` of {validation_split} leaves {cut} of {samples} samples for training. "
            f"Both parts need some."
        )

    def part(where: slice) -> tuple[Any, Any, Any]:
        return tuple(
            map_arrays(lambda leaf: leaf.iloc[where] if hasattr(leaf, "iloc") else leaf[where], a) for a in arrays
        )  # type: ignore[return-value]

    return part(slice(0, cut)), part(slice(cut, None))


def with_class_weight(y: Any, weight: Any, class_weight: Mapping[int, float] | None) -> Any:
    """Sample weights, times the weight of each sample's class.

    Raises:
        DataError: Targets that are not one array of class numbers or one-hot rows.
    """
    if class_weight is None:
        return weight
    if not isinstance(y, torch.Tensor):
        raise DataError("`class_weight` needs targets in one array; for several outputs use sample_weight.")
    if y.ndim > 2:
        raise DataError(f"`class_weight` needs class numbers or one-hot rows as targets; got shape {tuple(y.shape)}.")
    y = y.to(torch.uint8) if y.dtype == torch.bool else y  # torch has no argmax and no rounding for booleans
    classes = y.argmax(dim=-1) if y.ndim == 2 and y.shape[-1] > 1 else y.reshape(-1).round().to(torch.int64)
    try:
        by_number = {int(index): float(value) for index, value in class_weight.items()}
    except ValueError as error:
        raise DataError(f"`class_weight` must map class numbers to weights; got {dict(class_weight)!r}.") from error
    present, place = classes.unique(return_inverse=True)  # class numbers may be negative, or far apart
    by_class = torch.tensor([by_number.get(c, 1.0) for c in present.tolist()], device=y.device)[place]
    return by_class if weight is None else weight * by_class.reshape(-1, *[1] * (weight.ndim - 1))
