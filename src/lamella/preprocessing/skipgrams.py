"""Pairs of words that stand near each other, and pairs that do not: what word2vec learns from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

_EULER = 0.577


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> np.ndarray:
    """The chance with which the word of each rank is kept, so that frequent words are drawn less.

    Args:
        size: How many words there are.
        sampling_factor: The smaller, the fewer of the frequent ones are kept.

    Returns:
        (size,), for words whose frequencies follow Zipf's law.

    Source: Mikolov et al., 2013.
    """
    rank = np.arange(size, dtype="float64")
    rank[0] = 1
    inverse_frequency = rank * (np.log(rank) + _EULER) + 0.5 - 1.0 / (12.0 * rank)
    return np.minimum(1.0, np.sqrt(sampling_factor * inverse_frequency))


def skipgrams(
    sequence: Sequence[int],
    vocabulary_size: int,
    window_size: int = 4,
    negative_samples: float = 1.0,
    shuffle: bool = True,
    categorical: bool = False,
    sampling_table: Any = None,
    seed: int | None = None,
) -> tuple[list[list[int]], list[Any]]:
    """Pairs of words of one text that stand near each other (label 1), and random pairs (label 0).

    Args:
        sequence: Word numbers; 0 is no word.
        vocabulary_size: One more than the largest number.
        window_size: How many words on each side are near.
        negative_samples: How many random pairs there are for each near one.
        shuffle: Whether the pairs come in a random order.
        categorical: Whether labels are [0, 1] and [1, 0].
        sampling_table: The chance with which each word is kept: see `make_sampling_table`.
        seed: Of the order.

    Returns:
        The pairs, and their labels. Random numbers are those of Python's `random`.

    Source: Mikolov et al., 2013.

    Example:
        >>> skipgrams([1, 2, 3], 4, window_size=1, negative_samples=0, shuffle=False)
        ([[1, 2], [2, 1], [2, 3], [3, 2]], [1, 1, 1, 1])
    """
    near, apart = ([0, 1], [1, 0]) if categorical else (1, 0)
    pairs = []
    for place, word in enumerate(sequence):
        if not word or (sampling_table is not None and sampling_table[word] < random.random()):
            continue
        for other in range(max(0, place - window_size), min(len(sequence), place + window_size + 1)):
            if other != place and sequence[other]:
                pairs.append([word, sequence[other]])
    labels: list[Any] = [near] * len(pairs)
    if negative_samples > 0:
        count = int(len(labels) * negative_samples)
        words = [pair[0] for pair in pairs]
        random.shuffle(words)
        pairs += [[words[i % len(words)], random.randint(1, vocabulary_size - 1)] for i in range(count)]
        labels += [apart] * count
    if shuffle:
        seed = random.randint(0, 10**7) if seed is None else seed
        for each in (pairs, labels):
            random.seed(seed)
            random.shuffle(each)  # type: ignore[arg-type]
    return pairs, labels
