"""`TimeseriesGenerator`: windows over a series, batch by batch."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from lamella.data.py_dataset import PyDataset
from lamella.errors import ArgumentError, ShapeError


class TimeseriesGenerator(PyDataset):
    """Windows of a series, each with the target that comes after it. Newer code: `timeseries_dataset_from_array`.

    Args:
        data: The series, (time, ...).
        targets: A target for each time.
        length: How many times a window spans.
        sampling_rate: A window takes every so manyth time.
        stride: How many times later the next window begins.
        start_index: Earlier times are left out.
        end_index: Later times are left out; None for none.
        shuffle: Whether windows are drawn at random, with repetition.
        reverse: Whether the last time of a window comes first.
        batch_size: How many windows are in a batch.

    Raises:
        ShapeError: Other numbers of times and targets.
        ArgumentError: No window fits.

    Example:
        >>> windows = TimeseriesGenerator(np.arange(6), np.arange(6), length=3, batch_size=2)
        >>> windows[0][0].tolist(), windows[0][1].tolist(), len(windows)
        ([[0, 1, 2], [1, 2, 3]], [3, 4], 2)
    """

    def __init__(
        self,
        data: Any,
        targets: Any,
        length: int,
        sampling_rate: int = 1,
        stride: int = 1,
        start_index: int = 0,
        end_index: int | None = None,
        shuffle: bool = False,
        reverse: bool = False,
        batch_size: int = 128,
    ) -> None:
        super().__init__()
        if len(data) != len(targets):
            raise ShapeError(f"There must be a target for each time; got {len(data)} times and {len(targets)} targets.")
        self.data = np.asarray(data)
        self.targets = np.asarray(targets)
        self.length = length
        self.sampling_rate = sampling_rate
        self.stride = stride
        self.start_index = start_index + length
        self.end_index = len(data) - 1 if end_index is None else end_index
        self.shuffle = shuffle
        self.reverse = reverse
        self.batch_size = batch_size
        if self.start_index > self.end_index:
            raise ArgumentError(
                f"No window of {length} times fits between start_index={start_index} and end_index={self.end_index}: "
                f"take a smaller `length`."
            )

    def __len__(self) -> int:
        span = self.batch_size * self.stride
        return (self.end_index - self.start_index + span) // span

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if self.shuffle:
            rows = np.random.randint(self.start_index, self.end_index + 1, size=self.batch_size)
        else:
            first = self.start_index + self.batch_size * self.stride * index
            rows = np.arange(first, min(first + self.batch_size * self.stride, self.end_index + 1), self.stride)
        times = np.arange(-self.length, 0, self.sampling_rate)
        windows = self.data[rows[:, None] + times]
        return windows[:, ::-1] if self.reverse else windows, self.targets[rows]

    def get_config(self) -> dict[str, Any]:
        """The arguments, with the data as JSON."""
        settings = ("length", "sampling_rate", "stride", "start_index", "end_index", "shuffle", "reverse", "batch_size")
        config = {name: getattr(self, name) for name in settings}
        return {"data": json.dumps(self.data.tolist()), "targets": json.dumps(self.targets.tolist()), **config}

    def to_json(self, **kwargs: Any) -> str:
        """The generator as JSON. Arguments are those of `json.dumps`."""
        return json.dumps({"class_name": "TimeseriesGenerator", "config": self.get_config()}, **kwargs)
