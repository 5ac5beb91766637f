"""`Recorder`: writes a training to a run folder while it runs."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from lamella import distribution
from lamella.callbacks import History
from lamella.doctor import Doctor, Finding
from lamella.report import run_file
from lamella.report.evidence import evidence
from lamella.report.record import Evidence
from lamella.report.recording import beginning, doctor_of, ending
from lamella.report.samples import given, of_arrays, of_stream


class Recorder(History):
    """Writes all that a report shows to a run folder, at the end of each epoch, so that a killed training leaves it.

    `lamella report FOLDER` makes an HTML file of it, `lamella watch FOLDER` follows it live. It is a `History` that is
    written down. It never listens to batches, and random numbers, weights and modes stay as they are: a training
    gives bit for bit what it gives without.

    Args:
        folder: The run folder, which is made if it is not there. A training that goes on where a killed one was
            (`BackupAndRestore`) goes on with its file, too; any other begins anew.
        doctor: The doctor whose findings are written; by default the one among the callbacks of the training.
        data: `(x, y)` to look at the trained model with, as `predict` takes them; by default at most 2,000 samples of
            what `fit` validates on, or else trains on.

    Raises:
        DataError: While training ends: `data` that are no `(x, y)`.

    Notes:
        A disk that is full ends the recording with a warning, not the training. Pictures need Pillow:
        `pip install 'lamella[report]'`.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from lamella import Input, Sequential, layers, report
        >>> model = Sequential([Input((2,)), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     recorder = report.Recorder(folder)
        ...     _ = model.fit(np.ones((8, 2)), np.ones(8), epochs=3, verbose=0, callbacks=[recorder])
        ...     record = report.read(folder)
        >>> record.state, len(record.history["loss"])
        ('completed', 3)
    """

    first_only = True  # of several processes
    comes_last = 0.5  # what it writes must have the doctor's part of an event in it; a backup must have its own
    forgets = ("_begun", "_lost", "_readings", "_findings", "started")

    def __init__(self, folder: str | os.PathLike[str], doctor: Doctor | None = None, data: Any = None) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.doctor = doctor
        self.given = data
        self._anew()

    def _anew(self) -> None:
        self.history, self.epoch, self.logs, self.rates, self.seconds, self.error = {}, [], [], [], [], None
        self._begun = self._lost = False
        self._readings = 0
        self._findings: list[Finding] | None = None

    def set_callbacks(self, callbacks: Any) -> None:
        super().set_callbacks(callbacks)
        self._anew()  # here, for when training begins a backup may put back what there was

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        if self.given is not None:
            given(self.model, self.given)  # a mistake in it is to be told now

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._begin(epoch)  # only now: a training that goes on has said with which epoch
        super().on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, logs)
        self._write("epoch", epoch=epoch, logs=self.logs[-1], rate=self.rates[-1], seconds=self.seconds[-1])
        self._write_doctor()

    def on_train_end(self, logs: Any = None) -> None:
        self._begin(self.epoch[-1] + 1 if self.epoch else 0)
        self._write_doctor()
        found = self._evidence()
        if found is not None:
            self._write("evidence", **vars(found))
        self._end()

    def on_train_error(self, error: Exception) -> None:
        """Called by `fit` when an error ends the training."""
        super().on_train_error(error)
        self._begin(0)
        self._write_doctor()
        self._end()

    def _begin(self, epoch: int) -> None:
        if self._begun:
            return
        self._begun = True
        record = beginning(self)
        known = ("started", "epochs", "settings", "layers", "environment", "command")
        told = {name: getattr(record, name) for name in known}
        self._write("begin", version=run_file.VERSION, epoch=epoch, process=run_file.this_process(), **told)
        self._write_doctor()

    def _end(self) -> None:
        self._write("end", state=ending(self), error=self.error)
        self.data = self._source = self._validation = None

    def _write(self, event: str, **data: Any) -> None:
        if self._lost:
            return
        try:
            run_file.append(self.folder, event, **data)
        except OSError as error:
            self._lost = True
            warnings.warn(f"The training goes on, but is no longer recorded in {self.folder}: {error}", stacklevel=2)

    def _write_doctor(self) -> None:
        doctor = self.doctor or doctor_of(self)
        if doctor is None:
            return
        for reading in doctor.readings[self._readings :]:
            self._write("reading", **vars(reading))
        self._readings = len(doctor.readings)
        if doctor.findings != self._findings:
            self._findings = list(doctor.findings)
            self._write("findings", findings=self._findings)

    def _evidence(self) -> Evidence | None:
        if self.given is not None:
            return evidence(self.model, "given", given(self.model, self.given))
        kind, source = ("training", self._source) if self._validation is None else ("validation", self._validation)
        if source is None:
            return None
        if hasattr(source, "x"):
            return evidence(self.model, kind, of_arrays(source.x, source.y))
        together = distribution.get_distribution() is not None  # then all would have to read the stream
        if self.data is not None and (together or getattr(source, "once", False)):
            return evidence(self.model, kind, of_arrays(self.data.x, self.data.y))
        return evidence(self.model, kind, of_stream(source.batches()))
