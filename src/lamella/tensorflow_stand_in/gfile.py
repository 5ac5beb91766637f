"""`tf.io.gfile`: files and folders of this machine."""

from __future__ import annotations

import builtins
import os
import shutil
from collections.abc import Iterator
from glob import glob as _glob
from typing import IO, Any

from lamella.utils.record_files import as_path

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
    "stat",
    "walk",
]


def GFile(name: Any, mode: str = "r") -> IO[Any]:
    """A file that is open, as Python's `open` gives it; texts are in UTF-8."""
    return builtins.open(as_path(name), mode, encoding=None if "b" in mode else "utf-8")


def exists(path: Any) -> bool:
    """Whether there is such a file or folder."""
    return as_path(path).exists()


def isdir(path: Any) -> bool:
    """Whether there is such a folder."""
    return as_path(path).is_dir()


def glob(pattern: Any) -> list[str]:
    """The paths that fit a pattern, or several, sorted; there may be none."""
    several = pattern if isinstance(pattern, (list, tuple)) else [pattern]
    return sorted({path for each in several for path in _glob(str(as_path(each)))})


def listdir(path: Any) -> list[str]:
    """The names of what is in a folder."""
    return os.listdir(as_path(path))


def walk(top: Any, topdown: bool = True, onerror: Any = None) -> Iterator[tuple[str, list[str], list[str]]]:
    """The folders within a folder, each with the names of its folders and files."""
    return os.walk(str(as_path(top)), topdown, onerror)


def mkdir(path: Any) -> None:
    """Makes a folder in one that is there."""
    as_path(path).mkdir()


def makedirs(path: Any) -> None:
    """Makes a folder and those that it is in, where they are not there."""
    as_path(path).mkdir(parents=True, exist_ok=True)


def remove(path: Any) -> None:
    """Deletes a file."""
    as_path(path).unlink()


def rmtree(path: Any) -> None:
    """Deletes a folder with what is in it."""
    shutil.rmtree(as_path(path))


def rename(src: Any, dst: Any, overwrite: bool = False) -> None:
    """Gives a file another path.

    Raises:
        FileExistsError: There is one, and it is not to be overwritten.
    """
    _free(dst, overwrite)
    os.replace(as_path(src), as_path(dst))


def copy(src: Any, dst: Any, overwrite: bool = False) -> None:
    """Copies a file.

    Raises:
        FileExistsError: There is one, and it is not to be overwritten.
    """
    _free(dst, overwrite)
    shutil.copyfile(as_path(src), as_path(dst))


def _free(path: Any, overwrite: bool) -> None:
    if not overwrite and exists(path):
        raise FileExistsError(f"There is a file {as_path(path)} already; overwrite=True replaces it.")


def stat(path: Any) -> os.stat_result:
    """What the operating system knows of a file; its size is `st_size`."""
    return as_path(path).stat()


def join(path: Any, *paths: Any) -> str:
    """Parts of a path as one."""
    return os.path.join(*(str(as_path(each)) for each in (path, *paths)))


def get_registered_schemes() -> list[str]:
    """The kinds of addresses that can be read: those of this machine's own files alone."""
    return [""]
