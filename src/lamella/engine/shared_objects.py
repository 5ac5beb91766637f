"""Objects that a saved model has in several places: written with a number, and read as one object.

Two layers may hold one layer, or one activation object. As in Keras, each place has the whole config, and those of one
object have the same `"shared_object_id"`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

ID = "shared_object_id"

_numbers: ContextVar[dict[int, tuple[int, Any]] | None] = ContextVar("numbers of objects", default=None)
_made: ContextVar[dict[int, Any] | None] = ContextVar("objects by number", default=None)


@contextmanager
def numbered() -> Iterator[None]:
    """Within it every object that is written gets its number; `only_shared` removes those that are not needed."""
    token = _numbers.set({})
    try:
        yield
    finally:
        _numbers.reset(token)


def number_of(obj: Any) -> int | None:
    """The number of an object; None where objects are not numbered."""
    numbers = _numbers.get()
    if numbers is None:
        return None
    return numbers.setdefault(id(obj), (len(numbers) + 1, obj))[0]  # held, so that no other gets its id


def only_shared(config: Any) -> Any:
    """The config without the numbers that occur once.

    Example:
        >>> only_shared([{"shared_object_id": 1}, {"shared_object_id": 2}, {"shared_object_id": 1}])
        [{'shared_object_id': 1}, {}, {'shared_object_id': 1}]
    """
    count = Counter(_numbers_in(config))
    return _without(config, {number for number, times in count.items() if times == 1})


def _numbers_in(config: Any) -> Iterator[int]:
    if isinstance(config, dict):
        if ID in config:
            yield config[ID]
        for value in config.values():
            yield from _numbers_in(value)
    elif isinstance(config, (list, tuple)):
        for value in config:
            yield from _numbers_in(value)


def _without(config: Any, numbers: set[int]) -> Any:
    if isinstance(config, dict):
        kept = {key: value for key, value in config.items() if key != ID or value not in numbers}
        return {key: _without(value, numbers) for key, value in kept.items()}
    return type(config)(_without(value, numbers) for value in config) if type(config) in (list, tuple) else config


@contextmanager
def read_as_one() -> Iterator[None]:
    """Within it, configs of the same number are read as one object."""
    token = _made.set({})
    try:
        yield
    finally:
        _made.reset(token)


def known(config: dict[str, Any]) -> Any:
    """The object of the config's number, if it was read before; else None."""
    return (_made.get() or {}).get(config.get(ID, 0))


def remember(config: dict[str, Any], obj: Any) -> None:
    """Keeps an object that was read, by the number of its config."""
    made = _made.get()
    if made is not None and ID in config:
        made[config[ID]] = obj
