"""Reuters: 11,228 newswires of 1987 as word numbers, in 46 topics."""

from __future__ import annotations

import json

from lamella.datasets.files import STORE, find, read_npz
from lamella.datasets.parts import Pair, check_share, divided, shuffled
from lamella.datasets.word_numbers import filtered, numbered, shorter

_SHA256 = "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
_INDEX_MD5 = "4d44cc38712099c9e383dc6e5f11a921"
_TOPICS = """cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton
carcass crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi
iron-steel rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead"""


def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Pair, Pair]:
    """The newswires: words are numbered by how often they occur.

    Args:
        path: The name of the file in the cache.
        num_words: Rarer words than so many become `oov_char`.
        skip_top: So many of the most frequent words become `oov_char`.
        maxlen: Longer newswires are left out.
        test_split: The share of the test part.
        seed: Of the order.
        start_char: Marks the start of a newswire; None for no mark.
        oov_char: Stands for words left out; None drops them.
        index_from: Added to every word number.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: lists of numbers (an object array), and topics 0 to 45.

    Raises:
        ArgumentError: A share that is not in [0, 1), or a length that leaves nothing.
        DownloadError: It is neither here nor to be had; the message says where to put it.

    Source: Lewis, 1997 (Reuters-21578).
    """
    check_share(test_split)
    arrays = read_npz(find("reuters", path, STORE + "reuters.npz", _SHA256))
    texts, labels = shuffled(arrays["x"], arrays["y"], seed)
    rows, labels = shorter(numbered(texts, start_char, index_from), labels, maxlen, "newswire")
    x = filtered(rows, skip_top, num_words or max(map(max, rows)), oov_char)
    return divided(x, labels, test_split)


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """The number of each word (without `index_from`)."""
    with find("reuters", path, STORE + "reuters_word_index.json", _INDEX_MD5).open(encoding="utf-8") as file:
        return json.load(file)


def get_label_names() -> tuple[str, ...]:
    """The topics, in the order of their numbers.

    Example:
        >>> get_label_names()[3]
        'earn'
    """
    return tuple(_TOPICS.split())
