"""`Runs`: which trainings lie under some folders, and which of them changed since the last look."""

from __future__ import annotations

import math
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lamella.report import run_file
from lamella.report.record import Record

_DEPTH = 3
_KEPT = 16
_POINTS = 60
_SILENCE = 5.0, 10


@dataclass(frozen=True)
class Stamp:
    """A run's file at one moment: a file that was written to since has another stamp.

    Attributes:
        folder: Where it is.
        size: In bytes.
        modified: When it was written to, in nanoseconds.
        number: Its inode: a file that was replaced has another.
        silence: How often its age has doubled since 5 s: a training that was killed writes nothing, so that silent
            runs are looked at again, ever more seldom.
    """

    folder: str
    size: int
    modified: int
    number: int
    silence: int


@dataclass(frozen=True)
class Summary:
    """A run in one row.

    Attributes:
        name: Under which it was found.
        title: What it calls itself.
        state: As in `Record`; `"unreadable"` where its file makes no sense.
        error: What ended the training, or what is wrong with the file; else None.
        started: As in `Record`.
        epoch: How many epochs have ended.
        epochs: How many were asked for.
        loss: After the last epoch; None before the first.
        val_loss: Likewise; None without validation.
        curve: The losses, at most 60, spread over all epochs.
    """

    name: str
    title: str
    state: str
    error: str | None = None
    started: str = ""
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    val_loss: float | None = None
    curve: tuple[float, ...] = ()


class Runs:
    """The runs under some folders.

    It looks at sizes and times of files, which every file system has, and only reads: a training does not notice it.
    Runs may appear, grow, be cut short and vanish at any time. A name stands for a folder that was found, never for a
    path. Not made for use by several threads at once.

    Args:
        folders: Where to look: at each itself and at three levels of folders in it. They need not be there yet.
        read: Makes a `Record` of a run folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     runs = Runs([folder])
        ...     before = runs.look(), sorted(runs.stamps)
        ...     run_file.append(f"{folder}/first", "begin", epochs=3)
        ...     before, runs.look(), sorted(runs.stamps), runs.summary("first").epochs
        ((False, []), True, ['first'], 3)
    """

    def __init__(self, folders: Sequence[str | Path], read: Callable[[Path], Record] = run_file.read) -> None:
        self.folders = list(dict.fromkeys(os.path.normpath(folder) for folder in folders))
        self.stamps: dict[str, Stamp] = {}
        self._read = read
        self._records: OrderedDict[Stamp, Record] = OrderedDict()
        self._summaries: dict[str, tuple[Stamp, Summary]] = {}

    def look(self) -> bool:
        """Looks at all files anew; whether a run appeared, changed or vanished."""
        now: dict[str, Stamp] = {}
        for folder in self.folders:
            for stamp in _found(folder, _DEPTH):
                now[self._name(folder, stamp.folder)] = stamp
        changed = now != self.stamps
        self.stamps = now
        self._summaries = {name: kept for name, kept in self._summaries.items() if name in now}
        return changed

    def record(self, name: str) -> Record:
        """All that is known about a run.

        Raises:
            KeyError: No run of this name was found at the last look.
            OSError: It vanished since.
            LamellaError: Its file makes no sense.
        """
        stamp = self.stamps[name]
        if stamp not in self._records:
            self._records[stamp] = self._read(Path(stamp.folder))
            while len(self._records) > _KEPT:
                self._records.popitem(last=False)
        self._records.move_to_end(stamp)
        return self._records[stamp]

    def summary(self, name: str) -> Summary:
        """A run in one row; whatever is wrong with its file is told there.

        Raises:
            KeyError: No run of this name was found at the last look.
        """
        stamp = self.stamps[name]
        kept = self._summaries.get(name)
        if kept is None or kept[0] != stamp:
            try:
                # Not by `record`: a list of a thousand runs would keep none of those that somebody looks at.
                found = _summarized(name, self._records.get(stamp) or self._read(Path(stamp.folder)))
            except (OSError, ValueError) as error:
                found = Summary(name, name, "unreadable", str(error))
            kept = self._summaries[name] = stamp, found
        return kept[1]

    def _name(self, root: str, folder: str) -> str:
        inner = Path(os.path.relpath(folder, root)).as_posix()
        if len(self.folders) > 1:
            return Path(os.path.normpath(os.path.join(root, inner))).as_posix()
        return Path(root).resolve().name if inner == "." else inner


def _found(folder: str, depth: int) -> Iterator[Stamp]:
    try:
        status = os.stat(os.path.join(folder, run_file.NAME))
        doubled = math.log2(max(1.0, (time.time() - status.st_mtime) / _SILENCE[0]))
        yield Stamp(folder, status.st_size, status.st_mtime_ns, status.st_ino, min(math.ceil(doubled), _SILENCE[1]))
        return
    except OSError:
        pass
    if depth == 0:
        return
    try:
        with os.scandir(folder) as entries:
            inner = [each.path for each in entries if not each.name.startswith(".") and each.is_dir()]
    except OSError:
        return
    for path in inner:
        yield from _found(path, depth - 1)


def _summarized(name: str, record: Record) -> Summary:
    losses = record.history.get("loss", [])
    held = record.history.get("val_loss", [])
    epoch = max(map(len, record.history.values()), default=0)
    step = max(1, (len(losses) - 1) / (_POINTS - 1))
    curve = tuple(losses[round(i * step)] for i in range(min(len(losses), _POINTS)))
    return Summary(
        name,
        record.name or name,
        record.state,
        record.error,
        record.started,
        epoch,
        record.epochs,
        losses[-1] if losses else None,
        held[-1] if held else None,
        curve,
    )
