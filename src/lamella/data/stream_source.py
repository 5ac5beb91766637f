"""Batches of what streams: generators, `DataLoader`s, `PyDataset`s."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader

from lamella.data.arrays import as_input, as_tensor, check_data, map_arrays
from lamella.data.batch import Batch, OwnRows, unpack_x_y_sample_weight, with_class_weight
from lamella.data.division import Drawn, LoadedRows, Rows, Where, can_be_divided
from lamella.data.place import Rounds, holders_of
from lamella.data.source import Source
from lamella.data.workers import death_of_worker, start, telling
from lamella.errors import ArgumentError, DataError


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

        def load(name: str, part: Any, read: Any = as_tensor) -> Any:
            return map_arrays(lambda leaf: read(leaf, name, self.device, self.dtype), part)

        x, y, weight = load("x", x, as_input), load("y", y), load("sample_weight", weight)
        if checked:
            check_data({"x": x, "y": y, "sample_weight": weight})
        return x, y, with_class_weight(y, weight, self.class_weight)

    def _begin_round(self) -> None:
        loader = getattr(self.stream, "loader", self.stream)
        if self._rounds.keeps and isinstance(loader, DataLoader):
            loader._iterator = None  # workers that outlive an epoch have random states that nobody can give them again
        if not self.once:
            self._rounds.begin()
        with telling(loader):
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
        if (self.steps is None or self.one_round) and not self.once and not self._ahead:
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
                if self.steps is None or self.once or self.one_round or dry:
                    break
                dry = True
                continue
            dry = False
            yield batch
            count += 1
        if count < (self.steps or 1):
            self.fell_short(count, self.steps)
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
            worker_init_fn=start,
            prefetch_factor=max(1, getattr(self.dataset, "max_queue_size", 10) // workers),
        )
        return iter(loader)


def _as_it_is(batch: Any) -> Any:
    return batch
