"""`BackupAndRestore`: a run that was killed goes on where it was, to the bit."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch

from lamella.data.plain_values import random_state, set_random_state
from lamella.engine import cluster
from lamella.errors import ArgumentError, DataError, FileError
from lamella.training.callbacks import training_state
from lamella.training.callbacks.base import Callback, Logs
from lamella.training.callbacks.model_checkpoint import check_save_freq, is_due

_VERSION = 2


class BackupAndRestore(Callback):
    """Keeps the whole state of training in a folder; `fit` called again after a kill goes on from it.

    Kept are the weights, the optimizer, the epoch and the batch, the metrics' sums, the random generators (Python's,
    NumPy's, torch's, and those of seeded layers), the place in the data, and what the other callbacks count and
    remember, the history among them. So the rest of training is, bit for bit, what it would have been.

    Args:
        backup_dir: The folder; only for this callback.
        save_freq: `"epoch"`, or a number of batches.
        double_checkpoint: Whether the backup before the last is kept too.
        delete_checkpoint: Whether the folder is removed when training has ended.

    Raises:
        ArgumentError: No folder, or another `save_freq`.
        DataError: While training starts: a damaged backup, or that of another model.
        FileError: The folder cannot be written to; the disk is full.

    Notes:
        Data must give the same batches again. Of a `PyDataset` what changes from epoch to epoch is kept: its
        generators, numbers, texts, orders (arrays of one axis) and lists of them; or what its `state_dict()` gives, if
        it has that and `load_state_dict(state)`. A generator is read again from its start. Random numbers that data
        draw from a generator of their own, out of sight within a function, are not kept. A `DataLoader`'s workers
        begin anew each epoch. A run that ends with Ctrl-C keeps its backup.

    Example:
        >>> import lamella, numpy as np, tempfile
        >>> model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     backup = lamella.callbacks.BackupAndRestore(folder + "/backup")
        ...     history = model.fit(np.ones((8, 2)), np.ones((8, 1)), epochs=2, verbose=0, callbacks=[backup])
        >>> len(history.epoch)
        2
    """

    comes_last = True  # what it saves must have the others' part of this event in it

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: int | str = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        check_save_freq("BackupAndRestore", save_freq)
        if not backup_dir:
            raise ArgumentError("BackupAndRestore needs a folder: `backup_dir` is empty.")
        self.backup_dir = Path(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._callbacks: Any = None
        self._saved: dict[str, Any] | None = None
        self._count = [0, -1]
        self._epoch = 0
        self._epoch_start: dict[str, Any] = {}
        self._data: list[Any] = []
        self._ended = False
        self._step: Any = None

    # `on_train_batch_end` makes `fit` read the metrics after each batch: it is there only where it is needed.
    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        if self.save_freq != "epoch":
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def set_callbacks(self, callbacks: Any) -> None:
        """Called before training, with the list that this callback is in."""
        self._callbacks = callbacks

    def set_data(self, source: Any, validation: Any) -> None:
        """Called before training, with what `fit` reads."""
        self._data = [source] if validation is None else [source, validation]
        for data in self._data:
            data.keep_places()

    @property
    def path(self) -> Path:
        """The file of the last backup."""
        return self.backup_dir / "latest.pt"

    def skips(self, epoch: int) -> bool:
        """Whether the backup says that this epoch was trained already."""
        return self._saved is not None and (epoch < self._saved["epoch"] or self._was_stopped())

    def _was_stopped(self) -> bool:
        """Whether a callback had ended this very training when the backup was made."""
        return self._saved is not None and self._saved["stopped"] == self.params.get("epochs", 0)

    # -- going on -----------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._saved = self._read()
        if self._saved is None:
            self._make_folder()
            return
        self._ended = self._is_last(self._saved["epoch"]) or self._was_stopped()
        where = str(self.backup_dir)
        training_state.set_model_state(self.model, self._saved["model"], where)
        saved = list(self._saved["callbacks"])
        for callback in self._others():
            alike = next((pair for pair in saved if pair[0] == type(callback).__name__), None)
            if alike is not None:
                saved.remove(alike)
                training_state.set_callback_state(callback, alike[1])
        set_random_state(self._saved["random"])
        training_state.set_generator_states(self.model, self._saved["generators"])

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch
        saved, self._saved = self._saved, None
        if saved is not None:
            if epoch != saved["epoch"]:
                raise ArgumentError(
                    f"The backup in {self.backup_dir} goes on with epoch {saved['epoch'] + 1}, but fit() starts with "
                    f"epoch {epoch + 1}. Pass fit(initial_epoch={saved['epoch']}), or remove the folder to start anew."
                )
            for data, place in zip(self._data, saved["places"], strict=True):
                data.go_to(place)
            set_random_state(saved["epoch_start"] if saved["batch"] else saved["random"])
            if saved["batch"]:
                self._replay(saved)
        if self.save_freq != "epoch":
            self._epoch_start = random_state()

    def _replay(self, saved: dict[str, Any]) -> None:
        """Lets the first batches of the epoch pass untrained; then all is as it was when the backup was made."""
        step, passed = self.model._train_function, 0

        def until_there(x: Any, y: Any, weight: Any) -> None:
            nonlocal passed
            if passed == saved["batch"]:
                self._callbacks.replaying = False
                step(x, y, weight)
                return
            passed += 1
            if passed == saved["batch"]:
                training_state.set_metrics(self.model, saved["model"], str(self.backup_dir))
                set_random_state(saved["random"])
                self._count = saved["count"]

        self._callbacks.replaying = True
        self._step, self.model._train_function = step, until_there

    def _read(self) -> dict[str, Any] | None:
        before = self.path.with_suffix(".pt.bkp")
        for path in (self.path, before):
            if not path.exists():
                continue
            try:
                with zipfile.ZipFile(path) as parts:  # torch does not look at the checksums
                    if damaged := parts.testzip():
                        raise ValueError(f"the checksum of {damaged} is wrong")
                saved: Any = torch.load(path, weights_only=True)
            except Exception as error:
                if path == self.path and before.exists():
                    continue
                raise DataError(f"The backup {path} is damaged ({error}). Remove it to start anew.") from error
            if not isinstance(saved, dict) or saved.get("version") != _VERSION:
                raise DataError(f"The backup {path} is of another version of Lamella. Remove it to start anew.")
            return saved
        return None

    def _make_folder(self) -> None:
        """Before training, not after an epoch of it, a folder that nothing can be written to is told."""
        try:
            if cluster.is_first():
                self.backup_dir.mkdir(parents=True, exist_ok=True)
                if not os.access(self.backup_dir, os.W_OK | os.X_OK):
                    raise PermissionError("no permission to write")
        except OSError as error:
            raise FileError(
                f"BackupAndRestore cannot write to the folder {self.backup_dir} ({error}). Give it another "
                f"`backup_dir`."
            ) from error

    # -- saving -------------------------------------------------------------------------------------------

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        if is_due(self._count, self.save_freq, batch):
            self._save(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._step is not None:
            self._callbacks.replaying = False
            self._step, self.model._train_function = None, self._step
        self._ended = self._is_last(epoch + 1) or self.model.stop_training
        if self.save_freq == "epoch":
            self._save(epoch + 1, 0)

    def _is_last(self, epochs: int) -> bool:
        return epochs >= self.params.get("epochs", 0)

    def _save(self, epoch: int, batch: int) -> None:
        state = {
            "version": _VERSION,
            "epoch": epoch,
            "batch": batch,
            "stopped": self.params["epochs"] if self.model.stop_training and not batch else None,
            "count": self._count,
            "model": training_state.model_state(self.model),
            "random": random_state(),
            "epoch_start": self._epoch_start,
            "places": [
                data.place_of_epoch() if batch and data is self._data[0] else data.place() for data in self._data
            ],
            "generators": training_state.generator_states(self.model),
            "callbacks": [[type(c).__name__, training_state.callback_state(c)] for c in self._others()],
        }
        if not cluster.is_first():
            return
        aside = self.path.with_suffix(".pt.part")
        try:
            self.backup_dir.mkdir(parents=True, exist_ok=True)
            with open(aside, "wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:
            aside.unlink(missing_ok=True)
            raise FileError(
                f"The backup {self.path} could not be written ({error}). Is the disk full? What was there before is "
                f"as it was: make room, and start again to go on from it."
            ) from error
        if self.double_checkpoint and self.path.exists():
            os.replace(self.path, self.path.with_suffix(".pt.bkp"))
        os.replace(aside, self.path)

    def _others(self) -> list[Any]:
        return [c for c in self._callbacks.callbacks if c is not self] if self._callbacks is not None else []

    def on_train_error(self, error: Exception) -> None:
        """Called by `fit` when an error ends the training."""
        self._data = []

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._data = []
        if self.delete_checkpoint and self._ended and cluster.is_first():
            shutil.rmtree(self.backup_dir, ignore_errors=True)
