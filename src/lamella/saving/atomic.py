"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
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


@contextmanager
def folder_written_aside(path: Path, names: set[str], overwrite: bool = True) -> Iterator[Path]:
    """A folder beside `path` to write to; at the end it takes the place of `path`, or is removed on an error.

    A kill at any moment leaves the old folder or the new one (and perhaps one that ends in `.part`).

    Args:
        path: The folder.
        names: What such a folder may hold (`*` for anything): one that holds anything else is not replaced.
        overwrite: Whether a folder that exists is replaced.

    Raises:
        ArgumentError: The folder exists and `overwrite` is False, it holds other files, or `path` is a file.

    Of several processes only the first keeps what it writes.
    """
    if not cluster.is_first():
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    _check_replaceable(path, names, overwrite)
    aside = Path(tempfile.mkdtemp(prefix=path.name, suffix=".part", dir=path.parent))
    try:
        yield aside
        os.chmod(aside, path.stat().st_mode & 0o777 if path.exists() else 0o777 & ~_umask())
        for each in aside.rglob("*"):
            if each.is_file():
                with open(each, "rb") as file:
                    os.fsync(file.fileno())
        _exchange(aside, path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _check_replaceable(path: Path, names: set[str], overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise ArgumentError(f"There is no folder {path.parent} to write {path.name} into: make it first.")
    if path.exists() and not path.is_dir():
        raise ArgumentError(f"{path} is a file; a folder is to be written there. Choose another name.")
    here = [each.name for each in path.iterdir()] if path.exists() else []
    others = sorted(name for name in here if not any(fnmatch(name, known) for known in names))
    if others:
        raise ArgumentError(f"{path} holds other files ({', '.join(others[:3])}): choose a folder of its own.")
    if here and not overwrite:
        raise ArgumentError(f"{path} exists already; pass overwrite=True to replace it.")


def _exchange(new: Path, path: Path) -> None:
    """Puts a folder in the place of another, which gets its name: in one step, where the system has such a step."""
    if not path.exists():
        os.rename(new, path)
        return
    exchange, here = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of Linux
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    if rename is not None and rename(here, os.fsencode(new), here, os.fsencode(path), exchange) == 0:
        return
    old = new.with_name(f"old.{new.name}")
    os.rename(path, old)
    os.rename(new, path)
    os.rename(old, new)


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
