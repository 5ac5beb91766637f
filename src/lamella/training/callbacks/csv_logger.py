"""`CSVLogger`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from lamella.training.callbacks.base import Callback, Logs


class CSVLogger(Callback):
    """Writes the metrics of each epoch to a CSV file; `NA` stands for what an epoch does not have.

    Example:
        >>> CSVLogger("log.csv").separator
        ','
    """

    forgets = ("_header",)  # of this file, not of the run

    first_only = True  # of several processes

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename = Path(filename)
        self.separator = separator
        self.append = append

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._header = not (self.append and self.filename.exists() and self.filename.stat().st_size > 0)
        self._file = self.filename.open("a" if self.append else "w", newline="", encoding="utf-8")
        self._writer: Any = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self._writer is None:
            names = sorted(logs)
            if not any(name.startswith("val_") for name in names):  # the first validation may come later
                names += [f"val_{name}" for name in names]
            self._writer = csv.DictWriter(
                self._file, ["epoch", *names], delimiter=self.separator, restval="NA", extrasaction="ignore"
            )
            if self._header:
                self._writer.writeheader()
        self._writer.writerow({"epoch": epoch} | {name: _cell(value) for name, value in logs.items()})
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._file.close()


def _cell(value: Any) -> Any:
    return f'"[{", ".join(map(str, value))}]"' if isinstance(value, (list, tuple)) else value
