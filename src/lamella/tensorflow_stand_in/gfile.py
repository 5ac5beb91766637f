"""`tf.io.gfile`: files and folders of this machine."""

from __future__ import annotations

import glob as _glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lamella.errors import FileError

__all__ = [
    "GFile",
    "copy",
    "exists",
    "get_registered_schemes",
    "glob",
    "isdir",
    "join",
    "listdir",
    "makedirs",
    "mkdir",
    "remove",
    "rename",
    "rmtree",
    "walk",
]

Path_ = str | Path


def GFile(name: Path_, mode: str = "r") -> IO[Any]:
    """The file, open."""
    return open(name, mode, encoding=None if "b" in mode else "utf-8")


def exists(path: Path_) -> bool:
    """Whether there is such a file or folder."""
    return os.path.exists(path)


def isdir(path: Path_) -> bool:
    """Whether it is a folder."""
    return os.path.isdir(path)


def listdir(path: Path_) -> list[str]:
    """The names in a folder."""
    return os.listdir(path)


def glob(pattern: Path_ | list[Path_]) -> list[str]:
    """The paths that fit a pattern, or one of several."""
    several = pattern if isinstance(pattern, (list, tuple)) else [pattern]
    return [path for each in several for path in sorted(_glob.glob(str(each)))]


def makedirs(path: Path_) -> None:
    """Makes a folder and those it lies in, where they are missing."""
    os.makedirs(path, exist_ok=True)


def mkdir(path: Path_) -> None:
    """Makes a folder."""
    os.mkdir(path)


def remove(path: Path_) -> None:
    """Removes a file."""
    os.remove(path)


def rmtree(path: Path_) -> None:
    """Removes a folder with all that is in it."""
    shutil.rmtree(path)


def copy(src: Path_, dst: Path_, overwrite: bool = False) -> None:
    """Copies a file.

    Raises:
        FileError: The target exists, and `overwrite` is False.
    """
    _may_be_written(dst, overwrite)
    shutil.copyfile(src, dst)


def rename(src: Path_, dst: Path_, overwrite: bool = False) -> None:
    """Gives a file or folder another name.

    Raises:
        FileError: The target exists, and `overwrite` is False.
    """
    _may_be_written(dst, overwrite)
    os.replace(src, dst)


def join(path: Path_, *paths: Path_) -> str:
    """The parts of a path, together."""
    return os.path.join(path, *paths)  # type: ignore[return-value]


def walk(top: Path_, topdown: bool = True) -> Iterator[tuple[str, list[str], list[str]]]:
    """Each folder below `top` with the names of its folders and of its files."""
    return os.walk(str(top), topdown)


def get_registered_schemes() -> list[str]:
    """The kinds of addresses that can be read: those of this machine's own files alone."""
    return [""]


def _may_be_written(path: Path_, overwrite: bool) -> None:
    if os.path.exists(path) and not overwrite:
        raise FileError(f"{path} exists. Pass overwrite=True to replace it.")
