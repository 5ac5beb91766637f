"""Weights in several files of at most a given size, with a `.weights.json` file that says which has what.

The form is that of Keras 3, both ways.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lamella.engine import cluster
from lamella.errors import ArgumentError, FileError
from lamella.saving import h5
from lamella.saving.atomic import written_aside
from lamella.saving.reading import reading

_ENDING = ".weights.json"
_GIBI = 1024**3


def index_path(path: Path) -> Path:
    """The path of the index file: a `.weights.h5` path stands for the `.weights.json` beside it, as in Keras.

    Raises:
        ArgumentError: Another ending.
    """
    if not path.name.endswith((_ENDING, ".weights.h5")):
        raise ArgumentError(f"Weights in shards need a path that ends in {_ENDING}; got {path.name!r}.")
    return path.with_suffix(".json")


def write(
    entries: Iterator[tuple[str, str | None, dict[str, np.ndarray]]], index: Path, most: float, overwrite: bool
) -> None:
    """Writes groups of weights to shards and the index.

    Shards get names that are not in use, and then the index is replaced: a kill leaves the old weights or the new ones.

    Args:
        entries: The groups: their path in the file, the name of the layer, and the weights.
        index: The path of the index.
        most: The size that no shard passes, in GiB.
        overwrite: Whether an index that exists is replaced.

    Raises:
        ArgumentError: A weight larger than `most`, or the index exists and `overwrite` is False.
    """
    base = _unused(index)
    with ExitStack() as files:
        aside = files.enter_context(written_aside(index, overwrite))
        shards = _Shards(index, base, most * _GIBI, files)
        for group, name, weights in entries:
            for key, value in weights.items():
                shards.add(group, name, key, value)
        shards.close()
        aside.write_text(_content(shards.total, shards.places), encoding="utf-8")
        before = _own_shards(index)
    if base != _base(index) and cluster.is_first():
        _take_usual_names(index, base, shards, before)


def _content(total: int, places: dict[str, list[str]]) -> str:
    return json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=4)


def _take_usual_names(index: Path, base: str, shards: _Shards, before: set[str]) -> None:
    """Gives shards that were written beside those of before the names that Keras looks for.

    At every moment the index names shards that belong together: each gets its second name, then the index is replaced,
    and then the first names go.
    """
    last = {name: _base(index) + name.removeprefix(base) for names in shards.places.values() for name in names}
    for name, usual in last.items():
        _link(index.with_name(name), index.with_name(usual))
    with written_aside(index) as aside:
        places = {group: [last[name] for name in names] for group, names in shards.places.items()}
        aside.write_text(_content(shards.total, places), encoding="utf-8")
    for name in (before | set(last)) - set(last.values()):
        index.with_name(name).unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    """Makes `target` another name of the file, or a copy where the file system has no such names."""
    aside = target.with_name(f"{target.name}.part")
    aside.unlink(missing_ok=True)
    try:
        os.link(source, aside)
    except OSError:
        shutil.copy2(source, aside)
    os.replace(aside, target)


class _Shards:
    """The shards that are being written, one after the other."""

    def __init__(self, index: Path, base: str, most: float, files: ExitStack) -> None:
        self.index = index
        self.base = base
        self.most = most
        self.files = files
        self.total = 0
        self.places: dict[str, list[str]] = {}
        self._count = 0
        self._open: h5py.File | None = None
        self._name = ""
        self._size = 0

    def add(self, group: str, name: str | None, key: str, value: np.ndarray) -> None:
        if value.nbytes > self.most:
            raise ArgumentError(
                f"The weight {key!r} at {group!r} has {value.nbytes / _GIBI:.3g} GiB, more than "
                f"`max_shard_size` ({self.most / _GIBI:.3g}): no weight is cut. Allow larger shards."
            )
        if self._open is None or self._size + value.nbytes > self.most:
            self._begin()
        assert self._open is not None
        target = self._open.require_group(group)
        if name is not None:
            target.attrs["name"] = name
        target[key] = value
        self._size += value.nbytes
        self.total += value.nbytes
        found = self.places.setdefault(f"/{group}", [])
        if self._name not in found:
            found.append(self._name)

    def _begin(self) -> None:
        self.close()
        self._name = f"{self.base}_{self._count:05}.weights.h5"
        self._count += 1
        self._size = 0
        self._open = h5py.File(self.files.enter_context(written_aside(self.index.with_name(self._name))), "w")

    def close(self) -> None:
        if self._open is not None:
            self._open.close()


def _base(index: Path) -> str:
    return index.name.removesuffix(_ENDING)


def _unused(index: Path) -> str:
    """What the names of the shards begin with, so that none is there already."""
    names = (_base(index) if number == 0 else f"{_base(index)}_v{number}" for number in range(10**6))
    return next(name for name in names if not index.with_name(f"{name}_00000.weights.h5").exists())


def _own_shards(index: Path) -> set[str]:
    """The shards of an index that is about to be replaced; none, where it cannot be read."""
    try:
        return set().union(*_weight_map(index).values())
    except (FileError, FileNotFoundError):
        return set()


class Shards:
    """The weights of an index and its shards, to be read.

    Raises:
        FileError: A damaged index, one that names files in other folders, or a shard that is missing.
    """

    def __init__(self, index: Path) -> None:
        self.index = index
        self._files = ExitStack()
        self._open: dict[str, h5py.File] = {}
        self._map = _weight_map(index)

    def place(self, path: str) -> h5.Place:
        """The weights at a path, whichever shards they are in."""
        inside = f"{path}/vars" if path else "vars"
        names = self._map.get(f"/{inside}") or self._map.get(path) or []
        groups = [h5.checked_group(self._file(name), inside) for name in names]
        return h5.Place(groups, path or "the top")

    def _file(self, name: str) -> h5py.File:
        if name not in self._open:
            path = self.index.with_name(name)
            if not path.is_file():
                raise FileError(f"{self.index} names the shard {name}, which is not beside it.")
            with reading(path, "file of weights"):
                self._open[name] = self._files.enter_context(h5py.File(path, "r"))
        return self._open[name]

    def __enter__(self) -> Shards:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._files.close()


def _weight_map(index: Path) -> dict[str, list[str]]:
    with reading(index, "index of weights"):
        found = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        named = {str(key): [names] if isinstance(names, str) else list(names) for key, names in found.items()}
    for name in set().union(*named.values()):
        if not isinstance(name, str) or Path(name).name != name or "\\" in name or not name.endswith(".h5"):
            raise FileError(f"{index} names {name!r} as a shard: shards are .h5 files in the folder of the index.")
    return named


def check_size(max_shard_size: Any) -> float:
    """The size of a shard, in GiB.

    Raises:
        ArgumentError: No positive number.
    """
    right = isinstance(max_shard_size, (int, float)) and not isinstance(max_shard_size, bool) and max_shard_size > 0
    if not right or math.isnan(max_shard_size):
        raise ArgumentError(f"`max_shard_size` is a number of GiB above 0; got {max_shard_size!r}.")
    return float(max_shard_size)
