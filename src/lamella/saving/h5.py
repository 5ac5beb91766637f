"""Weights in HDF5 files, read as if they came from a stranger.

Nothing outside the file is followed: no links, no external or virtual data sets. A data set is read only into a
weight of the same shape, so a shape of a petabyte costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import h5py

from lamella.errors import FileError


class Place(Mapping[str, Any]):
    """The data sets of one group of an open file, by name; each is read when numbers are asked of it."""

    def __init__(self, group: h5py.Group | None, path: str) -> None:
        self.group = group
        self.path = path

    def __len__(self) -> int:
        return 0 if self.group is None else len(self.group)

    def __iter__(self) -> Iterator[str]:
        return iter(()) if self.group is None else iter(self.group)

    def __getitem__(self, name: str) -> Any:
        if self.group is None or name not in self.group:
            raise FileError(f"The file has no weight {name!r} at {self.path!r}.")
        return checked_dataset(self.group, name)


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
