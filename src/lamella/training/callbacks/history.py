"""`History`: what `fit` returns."""

from __future__ import annotations

from lamella.training.callbacks.base import Callback, Logs


class History(Callback):
    """What `fit` returns: `history.history` has a list for each metric, a number for each epoch.

    Example:
        >>> History().history
        {}
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
