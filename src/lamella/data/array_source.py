"""Batches of arrays that are in memory.

They are moved to the device once; an epoch is a permutation and an index-select, never a loop over samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from lamella.data.arrays import as_input, as_tensor, check_data, flat, is_mapped, map_arrays, part, placed, shared
from lamella.data.batch import Batch, OwnRows, with_class_weight
from lamella.data.division import Drawn, Where
from lamella.data.place import Rounds
from lamella.data.source import Source

# Small batches are gathered several at a time, up to so many bytes: one large index-select costs less than
# many small ones, and what it fetched is still in the cache when it is used. On the CPU the limit is what one
# core fetches into its own cache: torch splits a larger select over the cores, and the step then reads the other
# core's cache (measured with 784 features, batches of 32, two cores: 18 us a batch at 128 KiB, 29 us at 1 MiB).
_CHUNK_BYTES = {"cpu": 1 << 17}
_CHUNK_BYTES_ELSEWHERE = 1 << 20
_ORDERED = 1024
"""Batches whose row numbers are cut out at once: it takes less time than one by one, and all would take memory."""


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
        def load(name: str, data: Any, read: Any = as_tensor) -> Any:
            return map_arrays(lambda leaf: shared(leaf) if is_mapped(leaf) else read(leaf, name, device, dtype), data)

        self.x, self.y = load("x", x, as_input), load("y", y)
        weight = load("sample_weight", sample_weight)
        weight = map_arrays(lambda leaf: leaf.to(dtype), weight)
        self.num_samples = check_data({"x": self.x, "y": self.y, "sample_weight": weight})
        self.weight = with_class_weight(self.y, weight, class_weight)
        self.batch_size = int(batch_size or (-(-self.num_samples // steps) if steps else 32))
        self.shuffle = shuffle
        self.device = device
        self.dtype = dtype
        parts = (*flat(self.x), *flat(self.y), *flat(weight))
        self._mapped = any(
            leaf.device != device or (leaf.is_floating_point() and leaf.dtype != dtype)
            for leaf in parts
            if isinstance(leaf, torch.Tensor)
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
        def cut(data: Any) -> Any:
            return map_arrays(lambda leaf: part(leaf, where), data)

        return cut(self.x), cut(self.y), cut(self.weight)

    def batches(self) -> Iterator[Batch]:
        return map(self._placed, self._batches()) if self._mapped else self._batches()

    def _placed(self, batch: Batch) -> Batch:
        x, y, weight = (map_arrays(partial(placed, device=self.device, dtype=self.dtype), each) for each in batch)
        return OwnRows((x, y, weight), batch.length) if isinstance(batch, OwnRows) else (x, y, weight)

    def divide(self, where: Where, drawn: Drawn) -> bool:
        self._division = where, drawn
        return True

    def _batches(self) -> Iterator[Batch]:
        if self.steps is None:
            return self._one_round()
        if self.one_round:
            if self.steps > self._whole:
                self.fell_short(self._whole, self.steps)
            return itertools.islice(self._one_round(), self.steps)
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
        streams = [itertools.repeat(None) if each is None else map_arrays(cut, each) for each in parts]
        if all(isinstance(stream, Iterator) for stream in streams):
            yield from zip(*streams, strict=False)
            return
        for _ in range(self._whole):
            yield tuple(map_arrays(next, stream) for stream in streams)  # type: ignore[misc]


def _in_batches(leaf: Any, order: torch.Tensor, size: int) -> Iterator[Any]:
    """The rows of an array in this order, so many in a batch."""
    if isinstance(leaf, np.ndarray):
        yield from (part(leaf, rows) for rows in order.split(size))
        return
    order = order.to(leaf.device)  # a file that is mapped into memory stays there
    limit = _CHUNK_BYTES.get(leaf.device.type, _CHUNK_BYTES_ELSEWHERE)
    together = limit // max(1, leaf[:1].numel() * leaf.element_size() * size)
    chunk = size * max(1, min(together, _ORDERED))
    for many in order.split(size * _ORDERED):
        for rows in many.split(chunk):
            found = leaf.index_select(0, rows)
            if chunk == size:
                yield found
            else:
                yield from found.split(size)
