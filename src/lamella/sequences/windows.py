"""`Windows`: the stretches of series that a forecaster learns from, gathered on the device batch by batch."""

from __future__ import annotations

from typing import Any

import torch

from lamella.utils import PyDataset


class Windows(PyDataset):
    """Batch i is `(history, targets)`, or `([history, future], targets)` where something of the future is known.

    The series lie one after the other in one tensor; a batch is one gather of rows from it. So windows that overlap
    are never copied, and nothing leaves the device.

    Args:
        rows: (rows, features): the targets, what is known of the past alone, what is known of the future too.
        starts: (windows,), int64, the row where each window starts.
        input_length: Rows of history.
        horizon: Rows to forecast.
        num_targets: The first so many features are the targets.
        num_known: The last so many features are known of the future.
        batch_size: Windows in a batch.
        shuffle: Whether each epoch has a new order.

    Shapes: history (batch, input_length, features), future (batch, horizon, num_known), targets (batch, horizon,
    num_targets).

    Example:
        >>> rows = torch.arange(6.0).unsqueeze(-1)
        >>> history, targets = Windows(rows, torch.arange(3), 3, 1, num_targets=1, num_known=0)[0]
        >>> history[1, :, 0].tolist(), targets[1, :, 0].tolist()
        ([1.0, 2.0, 3.0], [4.0])
    """

    def __init__(
        self,
        rows: torch.Tensor,
        starts: torch.Tensor,
        input_length: int,
        horizon: int,
        num_targets: int,
        num_known: int,
        batch_size: int = 32,
        shuffle: bool = False,
    ) -> None:
        super().__init__()
        self.rows = rows
        self.starts = starts
        self.num_targets = num_targets
        self.num_known = num_known
        self.batch_size = batch_size
        self.shuffle = shuffle
        self._past = torch.arange(input_length, device=rows.device)
        self._ahead = torch.arange(input_length, input_length + horizon, device=rows.device)

    def __len__(self) -> int:
        return -(-len(self.starts) // self.batch_size)

    def on_epoch_begin(self) -> None:
        if self.shuffle:
            self.starts = self.starts[torch.randperm(len(self.starts), device=self.starts.device)]

    def __getitem__(self, index: int) -> tuple[Any, torch.Tensor]:
        starts = self.starts[index * self.batch_size : (index + 1) * self.batch_size].unsqueeze(-1)
        history, ahead = self.rows[starts + self._past], self.rows[starts + self._ahead]
        inputs = [history, ahead[..., -self.num_known :]] if self.num_known else history
        return inputs, ahead[..., : self.num_targets]
