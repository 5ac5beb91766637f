"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lamella.engine import cluster
from lamella.errors import ArgumentError


@contextmanager
def written_aside(path: Path, overwrite: bool = True) -> Iterator[Path]:
    """A path beside `path` to write to; at the end it is on the disk and renamed to `path`, or removed on an error.

    A kill at any moment leaves the old file or the new one (and perhaps a `.part` file beside it).

    Raises:
        ArgumentError: The file exists and `overwrite` is False, or its folder does not exist.

    Of several processes only the first keeps what it writes.
    """
    if not cluster.is_first():
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / path.name
        return
    if path.exists() and not overwrite:
        raise ArgumentError(f"{path} exists already; pass overwrite=True to replace it.")
    if not path.parent.is_dir():
        raise ArgumentError(f"There is no folder {path.parent} to write {path.name} into: make it first.")
    handle, name = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        os.chmod(aside, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        with open(aside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
        _sync_folder(path.parent)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _sync_folder(folder: Path) -> None:
    """Makes the rename last through a loss of power, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
