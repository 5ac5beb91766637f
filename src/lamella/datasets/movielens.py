"""MovieLens 100k: 100,000 ratings of 1,682 films by 943 users."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lamella.datasets.files import present, reading
from lamella.errors import ArgumentError, DataError
from lamella.utils.files import get_file

_ORIGIN = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
_MD5 = "0e33842e24a9c977be4e0107933c0723"
_FOLDS = (1, 2, 3, 4, 5, "a", "b")


class Ratings(NamedTuple):
    """Who rated what, and how: four columns of one length, and the films' titles."""

    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray
    timestamps: np.ndarray
    titles: dict[int, str]


def load_data(
    size: str = "100k", fold: int | str | None = None, path: str | Path | None = None
) -> Ratings | tuple[Ratings, Ratings]:
    """The ratings, from `path`, `LAMELLA_DATA`, the cache or the web.

    The set is GroupLens's. **Its licence allows research, and forbids redistribution and commercial use**: read the
    README in the archive, or https://files.grouplens.org/datasets/movielens/ml-100k-README.txt, and cite Harper and
    Konstan, 2015. This loader downloads it from GroupLens to your machine; do not put it into a repository.

    Args:
        size: `"100k"`.
        fold: None for all ratings in the set's order; 1 to 5 for the set's own five splits into 80,000 to train on and
            20,000 to test on; `"a"` or `"b"` for those with ten test ratings of each user.
        path: The zip file, or the folder that it unpacks to, where you have it.

    Returns:
        `Ratings`: `users` and `items` (identifiers from 1 on), `ratings` (1 to 5), `timestamps` (seconds since 1970),
        each (n,) int64, and `titles`, the title of each item. With `fold` a pair of them: (train, test).

    Raises:
        ArgumentError: Another size, a fold that does not exist, a path where there is nothing.
        DataError: A damaged file.
        DownloadError: It is neither here nor to be had; the message says where to put it.

    Source: Harper and Konstan, The MovieLens datasets: history and context, 2015.
    """
    if size != "100k":
        raise ArgumentError(f"movielens: `size` must be '100k'; got {size!r}.")
    if fold is not None and fold not in _FOLDS:
        raise ArgumentError(f"movielens: `fold` must be None or one of {_FOLDS}; got {fold!r}.")
    place = _place(path)
    with reading(place):
        root = place if place.is_dir() else zipfile.Path(place)
        folder = root if (root / "u.data").exists() else root / "ml-100k"
        titles = _titles((folder / "u.item").read_bytes())
        names = ["u.data"] if fold is None else [f"u{fold}.base", f"u{fold}.test"]
        parts = [_ratings(f"{place}: {name}", (folder / name).read_bytes(), titles) for name in names]
    return parts[0] if fold is None else (parts[0], parts[1])


def _place(path: str | Path | None) -> Path:
    if path is not None:
        given = Path(path).expanduser()
        if not given.exists():
            raise ArgumentError(f"movielens: there is no file or folder {given}.")
        return given
    names = ("movielens/ml-100k.zip", "ml-100k.zip", "movielens/ml-100k", "ml-100k")
    return present(*names) or Path(get_file("ml-100k.zip", _ORIGIN, file_hash=_MD5))


def _ratings(name: str, data: bytes, titles: dict[int, str]) -> Ratings:
    table = np.loadtxt(io.BytesIO(data), dtype=np.int64, delimiter="\t", ndmin=2)
    if table.ndim != 2 or table.shape[1] != 4:
        raise DataError(f"{name} must have four columns: user, item, rating, timestamp; it has {table.shape[1]}.")
    wrong = np.flatnonzero((table[:, 2] < 1) | (table[:, 2] > 5))
    if len(wrong):
        raise DataError(f"{name}, line {wrong[0] + 1}: the rating is {table[wrong[0], 2]}, not 1 to 5.")
    users, items, ratings, timestamps = np.ascontiguousarray(table.T)
    return Ratings(users, items, ratings, timestamps, titles)


def _titles(data: bytes) -> dict[int, str]:
    rows = (line.split("|", 2) for line in data.decode("latin-1").splitlines() if line)
    return {int(row[0]): row[1] for row in rows}
