"""`timeseries_dataset_from_array`: windows that slide over a series."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError
from lamella.utils.stream import Stream


class TimeseriesDataset(Stream):
    """Batches of windows of a series; the windows are gathered when they are asked for.

    Args:
        data: The series, time first.
        targets: A target for each start of a window, or None.
        starts: Where the windows start.
        offsets: The steps of a window, from its start.
        batch_size: Windows in a batch; None for one by one.
        shuffle: Whether each epoch has a new order.
        seed: A seed for these orders.
    """

    def __init__(
        self,
        data: torch.Tensor,
        targets: torch.Tensor | None,
        starts: torch.Tensor,
        offsets: torch.Tensor,
        batch_size: int | None,
        shuffle: bool,
        seed: int | None,
    ) -> None:
        super().__init__(self._items, math.ceil(len(starts) / (batch_size or 1)))
        self.data = data
        self.targets = targets
        self.starts = starts
        self.offsets = offsets
        self.batch_size = batch_size
        self.reshuffles = shuffle
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def _items(self) -> Iterator[Any]:
        starts = self.starts
        if self.reshuffles:
            source = None if self.seed is None else torch.Generator().manual_seed(self.seed + self.epoch)
            self.epoch += 1
            starts = starts[torch.randperm(len(starts), generator=source)]
        parts = starts if self.batch_size is None or not len(starts) else starts.split(self.batch_size)
        for part in parts:
            windows = self.data[part.unsqueeze(-1) + self.offsets]
            yield windows if self.targets is None else (windows, self.targets[part])


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str | None = None,
) -> TimeseriesDataset:
    """Windows that slide over a series, each with its target. `fit` takes them.

    Window i has the steps i s, i s + r, ..., i s + (length - 1) r, where s is the stride and r the sampling rate; its
    target is `targets[i s]`. Windows without a target are left out.

    Args:
        data: The series, time first: (time, ...).
        targets: A target for each start of a window (so the target of the next step is `data[length:]`), or None.
        sequence_length: The number of steps in a window.
        sequence_stride: The steps from one window to the next.
        sampling_rate: The steps of the series for one step of a window.
        batch_size: Windows in a batch; None for one by one.
        shuffle: Whether each epoch has a new order.
        seed: A seed for these orders.
        start_index: Steps before it are not used.
        end_index: Steps from it on are not used.
        format: Kept for Keras's signature; batches are torch tensors.

    Returns:
        A stream of windows (batch, length, ...), or of `(windows, targets)`.

    Raises:
        ArgumentError: Numbers that do not fit the length of the series.

    Example:
        >>> import numpy as np
        >>> series = np.arange(8)
        >>> windows, targets = next(iter(timeseries_dataset_from_array(series, series[3:], 3)))
        >>> windows[:2].tolist(), targets.tolist()
        ([[0, 1, 2], [1, 2, 3]], [3, 4, 5, 6, 7])
    """
    length = len(data)
    if start_index and not 0 <= start_index < length:
        raise ArgumentError(f"`start_index` must be from 0 to {length - 1}; got {start_index}.")
    if end_index and not 0 < end_index < length:
        raise ArgumentError(f"`end_index` must be from 1 to {length - 1}; got {end_index}.")
    if start_index and end_index and end_index <= start_index:
        raise ArgumentError(f"`end_index` ({end_index}) must come after `start_index` ({start_index}).")
    for name, value in (("sampling_rate", sampling_rate), ("sequence_stride", sequence_stride)):
        if not 0 < value < length:
            raise ArgumentError(f"`{name}` must be from 1 to {length - 1}, less than the series is long; got {value}.")
    first, last = start_index or 0, length if end_index is None else end_index
    count = last - first - (sequence_length - 1) * sampling_rate
    if targets is not None:
        count = min(count, len(targets))
    series = _tensor(data)[first:last]
    goals = None if targets is None else _tensor(targets)[first:last]
    if goals is not None:
        count = min(count, len(goals))
    starts = torch.arange(0, max(count, 0), sequence_stride)
    offsets = torch.arange(0, sequence_length * sampling_rate, sampling_rate)
    return TimeseriesDataset(series, goals, starts, offsets, batch_size, shuffle, seed)


def _tensor(values: Any) -> torch.Tensor:
    return values if isinstance(values, torch.Tensor) else torch.as_tensor(np.asarray(values))
