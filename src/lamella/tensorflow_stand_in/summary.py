"""`tf.summary`: numbers for TensorBoard, written by torch's writer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lamella.errors import ArgumentError
from lamella.tensorflow_stand_in.tensors import convert_to_tensor

__all__ = [
    "create_file_writer",
    "flush",
    "histogram",
    "image",
    "scalar",
    "text",
    "trace_export",
    "trace_off",
    "trace_on",
]

_defaults: list[FileWriter] = []


class FileWriter:
    """Writes into a folder that TensorBoard reads.

    Raises:
        ImportError: The package tensorboard is missing.
    """

    def __init__(self, logdir: Any, filename_suffix: str = "") -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError("tf.summary needs the package tensorboard: pip install tensorboard") from error
        self._writer = SummaryWriter(str(logdir), filename_suffix=filename_suffix)  # type: ignore[no-untyped-call]

    @contextmanager
    def as_default(self, step: Any = None) -> Iterator[FileWriter]:
        """Within it `tf.summary.scalar` and the others write here; `step` is theirs where they give none."""
        before, self._step = self._step, step
        _defaults.append(self)
        try:
            yield self
        finally:
            _defaults.pop()
            self._step = before

    _step: Any = None

    def set_as_default(self, step: Any = None) -> None:
        """From now on `tf.summary.scalar` and the others write here."""
        self._step = step
        _defaults[:] = [self]

    def flush(self) -> None:
        """Everything is in the file."""
        self._writer.flush()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Nothing more is written."""
        self._writer.close()  # type: ignore[no-untyped-call]

    def write(self, kind: str, name: str, data: Any, step: Any, **options: Any) -> None:
        """One entry of a kind of torch's writer."""
        step = self._step if step is None else step
        if step is None:
            raise ArgumentError(f"tf.summary: {name!r} has no step. Give `step=...`, here or to `as_default`.")
        getattr(self._writer, f"add_{kind}")(name, data, int(step), **options)
        self.flush()


def create_file_writer(logdir: Any, filename_suffix: str | None = None, **kwargs: Any) -> FileWriter:
    """A writer into a folder, which is used by `with writer.as_default():`.

    Args:
        logdir: The folder.
        filename_suffix: What the file's name ends in.
        **kwargs: TensorFlow's further arguments: they change nothing here.
    """
    return FileWriter(logdir, filename_suffix or "")


def scalar(name: str, data: Any, step: Any = None, description: str | None = None) -> bool:
    """Writes a number; False where there is no writer."""
    return _write("scalar", name, lambda: float(convert_to_tensor(data)), step)


def histogram(
    name: str, data: Any, step: Any = None, buckets: int | None = None, description: str | None = None
) -> bool:
    """Writes how numbers are spread; False where there is no writer."""
    return _write("histogram", name, lambda: convert_to_tensor(data).detach().cpu(), step)


def image(name: str, data: Any, step: Any = None, max_outputs: int = 3, description: str | None = None) -> bool:
    """Writes the first pictures of a batch (batch, height, width, channels); False where there is no writer."""
    return _write(
        "images", name, lambda: convert_to_tensor(data)[:max_outputs].detach().cpu(), step, dataformats="NHWC"
    )


def text(name: str, data: Any, step: Any = None, description: str | None = None) -> bool:
    """Writes a text; False where there is no writer."""
    return _write("text", name, lambda: data.decode("utf-8") if isinstance(data, bytes) else str(data), step)


def flush(writer: FileWriter | None = None, name: str | None = None) -> None:
    """Everything is in the file."""
    for each in [writer] if writer is not None else _defaults:
        each.flush()


def trace_on(graph: bool = True, profiler: bool = False, **kwargs: Any) -> None:
    """Nothing is traced, which a warning says: functions run as they are written, and make no graph."""
    warnings.warn("tf.summary.trace_on: functions run as they are written: there is no graph to show.", stacklevel=2)


def trace_off() -> None:
    """Nothing was traced."""


def trace_export(name: str, step: Any = None, profiler_outdir: Any = None) -> None:
    """Nothing was traced, and nothing is written."""


def _write(kind: str, name: str, data: Any, step: Any, **options: Any) -> bool:
    if not _defaults:
        return False
    _defaults[-1].write(kind, name, data(), step, **options)
    return True
