"""Default names: the first `Dense` is `dense`, the second `dense_1`, as in Keras."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lamella.engine.registry import snake_case

_COUNTS: Counter[str] = Counter()
_SCOPES: list[tuple[Any, str]] = []


def auto_name(class_name: str) -> str:
    """A name of its own for the next object of a class."""
    base = snake_case(class_name)
    count = _COUNTS[base]
    _COUNTS[base] += 1
    return f"{base}_{count}" if count else base


def get_uid(prefix: str = "") -> int:
    """How often it was asked for this prefix, this time included; default names count with it.

    Example:
        >>> get_uid("a number"), get_uid("a number")
        (1, 2)
    """
    _COUNTS[prefix] += 1
    return _COUNTS[prefix]


def begin_anew() -> None:
    """Counts from the beginning again, so that the next `Dense` is `dense`."""
    _COUNTS.clear()


@contextmanager
def within(owner: Any, name: str | None = None) -> Iterator[None]:
    """Within it weights are made for `owner` (a layer, say): their paths have its name. Once is enough for one owner.

    Example:
        >>> with within("a block", "block"), within("a layer", "dense"):
        ...     path_of("kernel")
        'block/dense/kernel'
    """
    entered = not _SCOPES or _SCOPES[-1][0] is not owner
    if entered:
        _SCOPES.append((owner, owner.name if name is None else name))
    try:
        yield
    finally:
        if entered:
            _SCOPES.pop()


def path_of(name: str) -> str:
    """The path of a weight that is made now: the names of the layers that it is made within, then its own."""
    return "/".join([*(scope for _, scope in _SCOPES), name])
