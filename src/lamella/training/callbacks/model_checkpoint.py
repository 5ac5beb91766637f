"""`ModelCheckpoint`: saves the model, or its weights, while it is trained."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from lamella.errors import ArgumentError
from lamella.training.callbacks.base import Logs
from lamella.training.callbacks.monitor import MonitorCallback

_WEIGHTS = (".weights.h5", ".safetensors")
_MODELS = (".keras", ".h5")


def is_due(count: list[int], every: int | str, batch: int) -> bool:
    """Whether `every` batches have passed, over the ends of epochs.

    Args:
        count: The batches since the last time, and the last one's number: [0, -1] at first. It is changed.
        every: The number of batches; `"epoch"`: never.
        batch: The number of the batch in its epoch.

    Example:
        >>> count = [0, -1]
        >>> [is_due(count, 3, batch) for batch in (0, 1, 0, 1, 0, 1)]
        [False, False, True, False, False, True]
    """
    since, last = count
    since += batch - last if batch > last else batch + 1
    due = isinstance(every, int) and since >= every
    count[:] = 0 if due else since, batch
    return due


def check_save_freq(callback: str, save_freq: int | str) -> None:
    """Raises ArgumentError for anything but `"epoch"` or a number of batches."""
    whole = isinstance(save_freq, int) and not isinstance(save_freq, bool) and save_freq > 0
    if save_freq != "epoch" and not whole:
        raise ArgumentError(f"{callback}: `save_freq` must be 'epoch' or a number of batches; got {save_freq!r}.")


class ModelCheckpoint(MonitorCallback):
    """Saves the model (or its weights) after each epoch, or after so many batches.

    Args:
        filepath: The file. `{epoch}`, `{batch}` (with a number as `save_freq`) and the metrics are filled in:
            `"{epoch:02d}-{val_loss:.2f}.keras"`. Weights go into `.weights.h5` or `.safetensors`, whole models
            into `.keras`.
        monitor: The metric that says which model is best.
        verbose: 1 to say what is saved.
        save_best_only: Whether only a model better than all before is saved.
        save_weights_only: Whether only the weights are saved.
        mode: `"min"`, `"max"`, or `"auto"`: what is known of the metric says it.
        save_freq: `"epoch"`, or a number of batches.
        initial_value_threshold: A value of the metric that the first model to be saved must beat.

    Raises:
        ArgumentError: A file name of another kind, or another `save_freq`.

    Example:
        >>> checkpoint = ModelCheckpoint("best.weights.h5", save_best_only=True, save_weights_only=True)
        >>> checkpoint.monitor
        'val_loss'
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: int | str = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        check_save_freq("ModelCheckpoint", save_freq)
        self.filepath = os.fspath(filepath)
        endings = _WEIGHTS if save_weights_only else _MODELS
        if not self.filepath.endswith(endings):
            raise ArgumentError(
                f"ModelCheckpoint: with save_weights_only={save_weights_only} `filepath` must end in "
                f"{' or '.join(endings)}; got {self.filepath!r}."
            )
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._count = [0, -1]
        self._current_epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._current_epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save_model(epoch, None, logs or {})

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._should_save_on_batch(batch):
            self._save_model(self._current_epoch, batch, logs or {})

    # The next four have Keras's names and arguments: callbacks of other packages are written on top of them.

    def _should_save_on_batch(self, batch: int) -> bool:
        return is_due(self._count, self.save_freq, batch)

    def _save_model(self, epoch: int, batch: int | None, logs: Logs) -> None:
        path = self._get_file_path(epoch, batch, logs)
        if not self._should_save_model(epoch, batch, logs, path):
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if Path(path).is_dir():
            raise IsADirectoryError(f"ModelCheckpoint: {path} is a directory; give the name of a file.")
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)

    def _get_file_path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        numbers = {"epoch": epoch + 1} | ({} if batch is None else {"batch": batch + 1})
        try:
            return self.filepath.format(**{**numbers, **logs})
        except KeyError as error:
            raise KeyError(
                f"ModelCheckpoint: `filepath` {self.filepath!r} asks for {error}, but there are only "
                f"{', '.join([*numbers, *logs])}."
            ) from None

    def _should_save_model(self, epoch: int, batch: int | None, logs: Logs, path: str) -> bool:
        if not self.save_best_only:
            self._say(f"\nEpoch {epoch + 1}: saving the model to {path}")
            return True
        value = logs.get(self.monitor)
        if not isinstance(value, (int, float)):
            found = "there is none" if value is None else f"it is {value!r}"
            warnings.warn(
                f"ModelCheckpoint: save_best_only needs {self.monitor!r} as a number, but {found}; the model is "
                f"saved as it is.",
                stacklevel=2,
            )
            return True
        before = "none" if self.best is None else f"{self.best:.5f}"
        if not self._is_improvement(value, self.best):
            self._say(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {before}")
            return False
        self._say(f"\nEpoch {epoch + 1}: {self.monitor} improved from {before} to {value:.5f}: saving to {path}")
        self.best = float(value)
        return True

    def _say(self, text: str) -> None:
        if self.verbose > 0:
            print(text)
