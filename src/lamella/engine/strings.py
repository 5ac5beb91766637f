"""Strings: torch has no tensors of them, so they go through a model as NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lamella.engine.tensor_shape import TensorShape
from lamella.errors import DataError


class Text(str):
    """One string that scripts for TensorFlow can read as they read its tensors of strings.

    Example:
        >>> Text("a film").numpy(), Text("a film").upper(), Text("a film").shape
        (b'a film', 'A FILM', TensorShape([]))
    """

    __slots__ = ()
    dtype, ndim, shape = "string", 0, TensorShape([])

    def numpy(self) -> bytes:
        """The string in UTF-8, as TensorFlow has it."""
        return self.encode("utf-8")


class Bytes(bytes):
    """Bytes that scripts for TensorFlow can read as they read its tensors of strings."""

    __slots__ = ()
    dtype, ndim, shape = "string", 0, TensorShape([])

    def numpy(self) -> bytes:
        """The bytes."""
        return bytes(self)


def one_string(value: Any) -> Any:
    """A string or bytes that can be read as TensorFlow's; anything else as it is."""
    if isinstance(value, (Text, Bytes)):
        return value
    if isinstance(value, str):
        return Text(value)
    return Bytes(value) if isinstance(value, bytes) else value


class Strings(np.ndarray):
    """An array of strings that scripts for TensorFlow can read as they read its tensors of strings.

    Example:
        >>> texts = Strings.of(["a film", "a book"])
        >>> texts[0], texts.numpy()[0], texts[1:].shape
        ('a film', b'a film', (1,))
    """

    @classmethod
    def of(cls, texts: Any) -> Strings:
        """The strings of a (nested) list or an array."""
        return np.array(texts, dtype=object).view(cls)

    def numpy(self) -> Any:
        """An array of bytes (or one text): in UTF-8, as TensorFlow has them."""
        found = np.empty(self.shape, dtype=object)
        found.reshape(-1)[:] = [each.encode("utf-8") if isinstance(each, str) else each for each in self.ravel()]
        return found[()]

    def __getitem__(self, place: Any) -> Any:
        return one_string(super().__getitem__(place))

    def __iter__(self) -> Iterator[Any]:
        return map(one_string, super().__iter__())


def holds_strings(x: Any) -> bool:
    """Whether `x` is a string, or an array, a data frame or a (nested) list that begins with one."""
    if isinstance(x, np.ndarray):
        return x.dtype.kind in "UST" or (x.dtype == object and x.size > 0 and is_string(x.flat[0]))
    if hasattr(x, "to_numpy"):
        return holds_strings(x.to_numpy())
    while isinstance(x, (list, tuple)) and len(x):
        x = x[0]
        if isinstance(x, np.ndarray):
            return holds_strings(x)
    return is_string(x)


def is_string(x: Any) -> bool:
    """Whether `x` is one string, or bytes that encode one."""
    return isinstance(x, (str, bytes))


def is_string_list(x: Any) -> bool:
    """Whether `x` is a (nested) list of strings rather than a list of arrays."""
    while type(x) in (list, tuple) and x:
        x = x[0]
        if is_string(x):
            return True
    return False


def as_strings(x: Any, name: str) -> np.ndarray | None:
    """Strings in an array, a column of a data frame or a (nested) list as an array; None if they are not strings.

    Args:
        x: Data of any kind.
        name: What they are, for messages.

    Raises:
        DataError: Strings among which some are missing.

    Example:
        >>> as_strings([["red"], ["green"]], "x").shape, as_strings([1, 2], "x")
        ((2, 1), None)
    """
    if not holds_strings(x):
        return None
    array = x.to_numpy() if hasattr(x, "to_numpy") else x
    if not isinstance(array, np.ndarray):
        array = np.array(x, dtype=object)  # one of fixed width would be as wide as the longest text
    if array.dtype.kind in "UST":
        return array
    others = [each for each in array.ravel() if not is_string(each)]
    if not others:
        return array
    missing = sum(each is None or each != each for each in others)
    if missing < len(others):
        return None
    raise DataError(
        f"{name} holds strings, but {missing} of {array.size} are missing (None or NaN). Put a string in their place, "
        f"for instance with .fillna(''), or drop those samples."
    )
