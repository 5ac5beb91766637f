"""Texts as lists of word numbers: the words that are kept, and what stands for the others."""

from __future__ import annotations

import numpy as np

from lamella.errors import ArgumentError


def numbered(texts: np.ndarray, start_char: int | None, index_from: int) -> list[list[int]]:
    """Each text with every number raised by `index_from`, after `start_char` unless that is None."""
    start = [] if start_char is None else [start_char]
    return [start + [word + index_from for word in text] for text in texts]


def shorter(
    texts: list[list[int]], labels: np.ndarray, maxlen: int | None, what: str
) -> tuple[list[list[int]], np.ndarray]:
    """The texts of fewer than `maxlen` numbers, with their labels; all of them without it.

    Raises:
        ArgumentError: None is so short; `what` names a text.
    """
    kept = [i for i, text in enumerate(texts) if not maxlen or len(text) < maxlen]
    if not kept:
        raise ArgumentError(f"No {what} is shorter than maxlen={maxlen}.")
    return [texts[i] for i in kept], labels[kept]


def filtered(texts: list[list[int]], low: int, high: int, oov_char: int | None) -> np.ndarray:
    """An array of the texts in which numbers outside [low, high) are `oov_char`, or left out if that is None."""
    result = np.empty(len(texts), dtype=object)
    for i, text in enumerate(texts):
        if oov_char is None:
            result[i] = [word for word in text if low <= word < high]
        else:
            result[i] = [word if low <= word < high else oov_char for word in text]
    return result
