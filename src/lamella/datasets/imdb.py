"""IMDB: 50,000 film reviews as word numbers, positive or negative."""

from __future__ import annotations

import json

import numpy as np

from lamella.datasets.files import STORE, find, read_npz
from lamella.datasets.word_numbers import filtered, numbered, shorter

Pair = tuple[np.ndarray, np.ndarray]
_SHA256 = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"
_INDEX_MD5 = "bfafd718b763782e994055a2d397834f"


def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Pair, Pair]:
    """The reviews: words are numbered by how often they occur.

    Args:
        path: The name of the file in the cache.
        num_words: Rarer words than so many become `oov_char`.
        skip_top: So many of the most frequent words become `oov_char`.
        maxlen: Longer reviews are left out.
        seed: Of the order.
        start_char: Marks the start of a review; None for no mark.
        oov_char: Stands for words left out; None drops them.
        index_from: Added to every word number.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: lists of numbers (an object array), and labels 0 or 1.

    Raises:
        DownloadError: It is neither here nor to be had; the message says where to put it.

    Source: Maas et al., 2011.
    """
    arrays = read_npz(find("imdb", path, STORE + "imdb.npz", _SHA256))
    order = np.random.RandomState(seed)
    parts = []
    for name in ("train", "test"):
        reviews, labels = arrays[f"x_{name}"], arrays[f"y_{name}"]
        indices = np.arange(len(reviews))
        order.shuffle(indices)
        rows = numbered(reviews[indices], start_char, index_from)
        parts.append(shorter(rows, labels[indices], maxlen, "review"))
    limit = num_words or max(max(row) for rows, _ in parts for row in rows)
    return tuple((filtered(rows, skip_top, limit, oov_char), labels) for rows, labels in parts)  # type: ignore[return-value]


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """The number of each word (without `index_from`)."""
    with find("imdb", path, STORE + "imdb_word_index.json", _INDEX_MD5).open(encoding="utf-8") as file:
        return json.load(file)
