"""Weights in HDF5 files, read as if they came from a stranger.

Nothing outside the file is followed: no links, no external or virtual data sets. A data set is read only into a
weight of the same shape, so a shape of a petabyte costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from lamella.errors import FileError


class Place(Mapping[str, Any]):
    """The data sets of a group of an open file (or of several files), by name; read when numbers are asked of them."""

    def __init__(self, groups: Sequence[h5py.Group | None], path: str) -> None:
        self.groups = [group for group in groups if group is not None]
        self.path = path

    def __len__(self) -> int:
        return sum(len(group) for group in self.groups)

    def __iter__(self) -> Iterator[str]:
        return (name for group in self.groups for name in group)

    def __getitem__(self, name: str) -> Any:
        for group in self.groups:
            if name in group:
                found = checked_dataset(group, name)
                return Bfloat16(found) if found.attrs.get("dtype") == "bfloat16" else found
        raise FileError(f"The file has no weight {name!r} at {self.path!r}.")


class Bfloat16:
    """A data set of bfloat16, which NumPy has not: as an array it is float32, of the same numbers."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self.shape = dataset.shape
        self.dtype = np.dtype("float32")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        halves = self._dataset[()]
        values = (halves.view("uint16").astype("uint32") << 16).view("float32")
        return values if dtype is None else values.astype(dtype)


def checked_group(parent: h5py.Group, path: str) -> h5py.Group | None:
    """The group at a path within the file, or None.

    Raises:
        FileError: A link, or something that is no group.
    """
    for name in path.split("/"):
        if not name:
            continue
        if name not in parent:
            return None
        _refuse_links(parent, name)
        parent = parent[name]
        if not isinstance(parent, h5py.Group):
            raise FileError(f"The file has numbers at {path!r}, where a group of weights should be.")
    return parent


def checked_dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """A data set whose numbers lie in the file itself.

    Raises:
        FileError: A link, or a data set whose numbers lie elsewhere.
    """
    _refuse_links(group, name)
    found = group[name]
    if not isinstance(found, h5py.Dataset):
        raise FileError(f"The file has a group at {name!r}, where the numbers of a weight should be.")
    if found.external or found.is_virtual:
        raise FileError(f"The numbers of {name!r} lie outside the file: that is refused.")
    return found


def _refuse_links(group: h5py.Group, name: str) -> None:
    if group.get(name, getclass=True, getlink=True) in (h5py.ExternalLink, h5py.SoftLink):
        raise FileError(f"{name!r} is a link to another place: a file of weights has none, so it is refused.")
