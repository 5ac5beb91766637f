"""Ratings as a table: identifiers become places, ratings become numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lamella.errors import DataError

SEEN = 255
"""The code of an item that a user has seen, but whose rating is not known."""


def coded(
    known_users: np.ndarray,
    known_items: np.ndarray,
    scores: np.ndarray,
    users: np.ndarray,
    items: np.ndarray,
    ratings: np.ndarray,
) -> torch.Tensor:
    """A table (known users, known items) of the numbers of ratings among `scores`, from 1 on; 0 where there is none.

    Args:
        known_users: Sorted identifiers, the rows of the table.
        known_items: Sorted identifiers, its columns.
        scores: The possible ratings, sorted.
        users: (n,): who rated.
        items: (n,): what.
        ratings: (n,): how.

    Raises:
        DataError: Something that is not known, or an item rated twice by a user; with the rows.

    Example:
        >>> known = np.array([1, 2])
        >>> coded(known, known, np.array([1.0, 5.0]), np.array([1, 2]), np.array([2, 2]), np.array([5, 1])).tolist()
        [[0, 2], [0, 1]]
    """
    rows, across = places(known_users, users, "user"), places(known_items, items, "item")
    numbers = places(scores, ratings.astype(np.float64), "rating")
    pairs = rows * len(known_items) + across
    order = np.argsort(pairs, kind="stable")
    twice = np.flatnonzero(np.diff(pairs[order]) == 0)
    if len(twice):
        first, second = order[twice[0] : twice[0] + 2].tolist()
        raise DataError(
            f"RBMRecommender: user {users[first].item()!r} rated item {items[first].item()!r} twice, in rows {first} "
            f"and {second}. Keep one of them."
        )
    table = torch.zeros(len(known_users), len(known_items), dtype=torch.uint8)
    table[rows, across] = torch.from_numpy(numbers + 1).to(torch.uint8)
    return table


def columns(**given: Any) -> list[np.ndarray]:
    """Columns of a table, by name, as arrays of one length.

    Raises:
        DataError: Columns of different lengths; ratings that are no finite numbers, with the row.
    """
    arrays = {name: np.asarray(column) for name, column in given.items()}
    lengths = {name: array.shape for name, array in arrays.items()}
    if (
        any(len(shape) != 1 for shape in lengths.values())
        or len(set(lengths.values())) > 1
        or 0 in arrays["users"].shape
    ):
        raise DataError(f"RBMRecommender: columns must be of one length, 1 or more; got shapes {lengths}.")
    ratings = arrays.get("ratings")
    if ratings is not None:
        if ratings.dtype.kind not in "iuf":
            raise DataError(f"RBMRecommender: ratings must be numbers; got {ratings.dtype}.")
        wrong = np.flatnonzero(~np.isfinite(ratings))
        if len(wrong):
            raise DataError(
                f"RBMRecommender: the rating in row {wrong[0]} is {ratings[wrong[0]]}. Leave such rows out."
            )
    return list(arrays.values())


def places(known: np.ndarray, asked: np.ndarray, what: str) -> np.ndarray:
    """The places of identifiers among sorted known ones.

    Raises:
        DataError: One that is not known, with its row.
    """
    same_kind = (known.dtype.kind in "US") == (asked.dtype.kind in "US")
    found = np.searchsorted(known, asked).clip(max=len(known) - 1) if same_kind else np.zeros(len(asked), np.int64)
    wrong = np.flatnonzero(known[found] != asked) if same_kind else np.arange(len(asked))
    if len(wrong):
        raise DataError(
            f"RBMRecommender: no {what} {asked[wrong[0]].item()!r} (row {wrong[0]}) was trained on; the {len(known)} "
            f"known ones are {', '.join(map(repr, known[:3].tolist()))}, ... Leave it out, or fit with it."
        )
    return found
