"""`History`: what `fit` returns."""

from __future__ import annotations

import importlib
import os
import time
from datetime import UTC, datetime
from typing import Any

from lamella.training.callbacks.base import Callback, Logs
from lamella.training.callbacks.kept_data import KeptData, keep


class History(Callback):
    """What `fit` returns: `history.history` has a list for each metric, a number for each epoch.

    Attributes:
        history: For each metric, its numbers.
        epoch: The epochs' numbers, from 0.
        logs: For each epoch, all its metrics.
        rates: The learning rate at the end of each epoch; None where the optimizer has none.
        seconds: How long each epoch took, its validation included.
        started: When training began, as in `2026-11-21T20:15:00+00:00`.
        sizes: `"batch_size"`, `"samples"` and `"validation_samples"`, as far as they are known.
        error: What ended the training, where it failed.
        callbacks: The `CallbackList` of the training.
        data: The samples that `report` looks at. A pickle or a copy of a history has neither these nor callbacks.

    Example:
        >>> History().history
        {}
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.logs: list[Logs] = []
        self.rates: list[float | None] = []
        self.seconds: list[float] = []
        self.started = ""
        self.sizes: dict[str, int] = {}
        self.error: str | None = None
        self.callbacks: Any = None
        self.data: KeptData | None = None
        self._source: Any = None
        self._validation: Any = None
        self._clock = 0.0

    def set_callbacks(self, callbacks: Any) -> None:
        """Called before training, with the list that this callback is in."""
        self.callbacks = callbacks
        self.params = callbacks.params

    def set_data(self, source: Any, validation: Any) -> None:
        """Called by `fit` with what it trains on, and with what it validates on or None."""
        self._source, self._validation = source, validation
        counts = {
            "batch_size": getattr(source, "batch_size", None),
            "samples": source.num_samples,
            "validation_samples": None if validation is None else validation.num_samples,
        }
        self.sizes = {name: count for name, count in counts.items() if count is not None}
        streams = not hasattr(source if validation is None else validation, "x")
        self.data = keep(source, validation) if streams else None  # of a stream, before it runs dry

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.started = datetime.now(UTC).isoformat(timespec="seconds")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._clock = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        self.logs.append(dict(logs or {}))
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.rates.append(_rate(getattr(self.model, "optimizer", None)))
        self.seconds.append(time.perf_counter() - self._clock)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.data = self.data or keep(self._source, self._validation)
        self._close()

    def on_train_error(self, error: Exception) -> None:
        """Called by `fit` when an error ends the training."""
        self.error = f"{type(error).__name__}: {error}"
        self._close()

    def _close(self) -> None:
        for data in (self._source, self._validation):
            if data is not None:
                data.close()
        self._source = self._validation = None

    def report(self, path: str | os.PathLike[str], language: str | None = None, data: Any = None) -> None:
        """Writes one HTML file that shows and explains the training, and opens without a network.

        Args:
            path: The file.
            language: `"en"` or `"zh"`; by default `LAMELLA_LANG`, else the system's.
            data: `(x, y)`, what the trained model is looked at with; by default at most 2,000 samples of what `fit`
                validated on, or else trained on.

        Raises:
            ArgumentError: A language that there are no texts in.
        """
        # `lamella.report` is a room above this one, which may import it but not be imported here.
        importlib.import_module("lamella.report").write(path, self, language, data)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "callbacks": None, "data": None, "_source": None, "_validation": None}


def _rate(optimizer: Any) -> float | None:
    """The learning rate; of several optimizers, the first one's."""
    optimizer = next(iter(getattr(optimizer, "optimizers", [])), optimizer)
    rate = getattr(optimizer, "learning_rate", None)
    return None if rate is None else float(rate)
