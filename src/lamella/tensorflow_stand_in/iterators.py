"""Iterators over data sets as scripts for TensorFlow have them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class ItemsInTurn:
    """What `iter(dataset)` gives: the items one after the other, by `next(it)`, `it.get_next()` or `it.next()`.

    Example:
        >>> import lamella.tensorflow_stand_in as tf
        >>> items = iter(tf.data.Dataset.range(3))
        >>> int(next(items)), int(items.get_next())
        (0, 1)
    """

    __slots__ = ("_items",)

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items

    def __iter__(self) -> ItemsInTurn:
        return self

    def __next__(self) -> Any:
        return next(self._items)

    def get_next(self) -> Any:
        """The next item.

        Raises:
            StopIteration: There is none.
        """
        return next(self._items)

    next = get_next


def iterate(stream: Any) -> ItemsInTurn:
    """The items of a data set, from the first one on."""
    return ItemsInTurn(stream._make())
