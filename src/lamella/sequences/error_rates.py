"""How far texts are from what was said: edit distances, and the error rates of characters and of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lamella.errors import DataError
from lamella.metrics import Metric
from lamella.saving import register_keras_serializable


def edit_distances(references: Sequence[Sequence[Any]], found: Sequence[Sequence[Any]]) -> np.ndarray:
    """How many insertions, deletions and substitutions turn each reference into what was found: (pairs,), int64.

    All pairs at once, a row of the table at a time.

    Args:
        references: Strings, or lists of anything hashable (as words).
        found: As many of them.

    Raises:
        DataError: Not as many references as found.

    Source: Levenshtein, 1966; the table, Wagner and Fischer, 1974.

    Example:
        >>> edit_distances(["kitten", ""], ["sitting", "ab"]).tolist()
        [3, 2]
    """
    if len(references) != len(found):
        raise DataError(f"edit_distances: {len(references)} references, but {len(found)} texts to compare with them.")
    if not len(references):
        return np.zeros(0, "int64")
    numbers: dict[Any, int] = {}
    x, x_lengths = _numbered(references, numbers)
    y, y_lengths = _numbered(found, numbers)
    columns = np.arange(y.shape[1] + 1)
    row = np.tile(columns, (len(x), 1))  # from nothing to each beginning of y
    distances = row[np.arange(len(x)), y_lengths]
    for i in range(x.shape[1]):
        new = np.empty_like(row)
        new[:, 0] = i + 1
        new[:, 1:] = np.minimum(row[:, 1:] + 1, row[:, :-1] + (x[:, i : i + 1] != y))
        row = np.minimum.accumulate(new - columns, axis=1) + columns  # insertions: each costs 1 a column
        ends = x_lengths == i + 1
        distances[ends] = row[ends, y_lengths[ends]]
    return distances


def _numbered(sequences: Sequence[Sequence[Any]], numbers: dict[Any, int]) -> tuple[np.ndarray, np.ndarray]:
    """The sequences as numbers, padded, and their lengths."""
    lengths = np.array([len(sequence) for sequence in sequences])
    table = np.full((len(sequences), lengths.max()), -1)
    for row, sequence in zip(table, sequences, strict=True):
        row[: len(sequence)] = [numbers.setdefault(each, len(numbers)) for each in sequence]
    return table, lengths


class ErrorRate(Metric):
    """Edits per unit of the references, over all of them; a subclass says what the units of a text are."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.errors = self.add_variable((), name="errors")
        self.count = self.add_variable((), name="count")

    def units(self, text: str) -> Sequence[Any]:
        """What is compared."""
        raise NotImplementedError

    def update_state(self, y_true: Sequence[str], y_pred: Sequence[str], sample_weight: Any = None) -> None:
        """Adds texts: what was said, and what was found."""
        references = [self.units(text) for text in y_true]
        self.errors.add_(int(edit_distances(references, [self.units(text) for text in y_pred]).sum()))
        self.count.add_(sum(map(len, references)))

    def result(self) -> torch.Tensor:
        """The rate so far; what was found where nothing was said counts as one error a unit."""
        return self.errors / self.count.clamp(min=1.0)


@register_keras_serializable(package="lamella")
class CharacterErrorRate(ErrorRate):
    """Characters inserted, left out and confused, per character of the references (over all texts).

    Example:
        >>> metric = CharacterErrorRate()
        >>> metric.update_state(["seven", "one"], ["sven", "one"])
        >>> round(float(metric.result()), 3)
        0.125
    """

    def __init__(self, name: str = "character_error_rate", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def units(self, text: str) -> Sequence[Any]:
        return text


@register_keras_serializable(package="lamella")
class WordErrorRate(ErrorRate):
    """Words inserted, left out and confused, per word of the references (over all texts).

    Example:
        >>> metric = WordErrorRate()
        >>> metric.update_state(["one two three"], ["one too three four"])
        >>> round(float(metric.result()), 3)
        0.667
    """

    def __init__(self, name: str = "word_error_rate", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def units(self, text: str) -> Sequence[Any]:
        return text.split()
