"""Nests of lists, tuples, named tuples, dicts and deques, walked leaf by leaf.

The leaves of a dict come in the order of its sorted keys (of an `OrderedDict` in its own order). None is a leaf.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any

from lamella.errors import ArgumentError

__all__ = [
    "MAP_TO_NONE",
    "assert_same_paths",
    "assert_same_structure",
    "flatten",
    "flatten_with_path",
    "is_nested",
    "lists_to_tuples",
    "map_shape_structure",
    "map_structure",
    "map_structure_up_to",
    "pack_sequence_as",
    "traverse",
]


class MAP_TO_NONE:
    """What a function given to `traverse` returns to put None in a place."""


def is_nested(structure: Any) -> bool:
    """Whether `structure` is a nest and not a leaf.

    Example:
        >>> is_nested([1]), is_nested(1)
        (True, False)
    """
    return isinstance(structure, (list, tuple, dict, deque))


def _keys(structure: Any) -> list[Any]:
    if not isinstance(structure, dict):
        return list(range(len(structure)))
    if isinstance(structure, OrderedDict):
        return list(structure)
    try:
        return sorted(structure)
    except TypeError:  # keys of several types have no order
        return list(structure)


def _rebuilt(structure: Any, keys: list[Any], children: list[Any]) -> Any:
    """A nest like `structure` with other children."""
    if isinstance(structure, dict):
        new = dict(zip(keys, children, strict=True))
        ordered = {key: new[key] for key in structure}
        if type(structure) is dict:
            return ordered
        if isinstance(structure, OrderedDict):
            return type(structure)(ordered)
        copy = structure.copy()  # a defaultdict keeps its factory
        copy.update(ordered)
        return copy
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*children)
    if isinstance(structure, deque):
        return deque(children, structure.maxlen)
    return type(structure)(children)


def _same_kind(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return set(a) == set(b)
    return type(a) is type(b) and len(a) == len(b)


def _leaves(structure: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if not is_nested(structure):
        yield path, structure
        return
    for key in _keys(structure):
        yield from _leaves(structure[key], (*path, key))


def flatten(structure: Any) -> list[Any]:
    """The leaves, in order.

    Example:
        >>> flatten({"b": [1, 2], "a": 3})
        [3, 1, 2]
    """
    return [leaf for _, leaf in _leaves(structure)]


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """The leaves, each with the keys and indices that lead to it.

    Example:
        >>> flatten_with_path([{"foo": 42}])
        [((0, 'foo'), 42)]
    """
    return list(_leaves(structure))


def pack_sequence_as(structure: Any, flat_sequence: Any) -> Any:
    """A nest like `structure` with the leaves of `flat_sequence`.

    Raises:
        ArgumentError: Another number of leaves.

    Example:
        >>> pack_sequence_as((0, [0, 0]), [1, 2, 3])
        (1, [2, 3])
    """
    flat = list(flat_sequence)
    count = len(flatten(structure))
    if len(flat) != count:
        raise ArgumentError(f"The structure has {count} leaves; {len(flat)} were given.")
    source = iter(flat)
    return map_structure(lambda _: next(source), structure)


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """`func` of each leaf (of each group of leaves in the same place), in a nest of the same kind.

    Args:
        func: A function of as many arguments as there are structures.
        *structures: Nests of one kind.
        none_is_leaf: Whether `func` is called on None too; else None stays.

    Raises:
        ArgumentError: No structure, or structures that differ.

    Example:
        >>> map_structure(lambda a, b: a + b, [1, (2,)], [10, (20,)])
        [11, (22,)]
    """
    if not callable(func):
        raise TypeError(f"`func` must be callable; got {func!r}.")
    if not structures:
        raise ArgumentError("Give at least one structure.")
    return _mapped(func, structures, none_is_leaf)


def _mapped(func: Callable[..., Any], structures: tuple[Any, ...], none_is_leaf: bool) -> Any:
    first = structures[0]
    if not is_nested(first):
        if any(is_nested(other) for other in structures[1:]):
            raise _different(structures)
        return None if first is None and not none_is_leaf else func(*structures)
    if not all(is_nested(other) and _same_kind(first, other) for other in structures[1:]):
        raise _different(structures)
    keys = _keys(first)
    return _rebuilt(first, keys, [_mapped(func, tuple(each[key] for each in structures), none_is_leaf) for key in keys])


def _different(structures: tuple[Any, ...]) -> ArgumentError:
    return ArgumentError(f"The structures are not nested in the same way: {' and '.join(map(repr, structures))}.")


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """`func` of what stands in the places of the leaves of `shallow_structure`, however deep it goes on there.

    Raises:
        ArgumentError: No structure, or one that is less deep.

    Example:
        >>> map_structure_up_to([None, None], len, [[1, 2], (3,)])
        [2, 1]
    """
    if not structures:
        raise ArgumentError("Give at least one structure.")
    if not is_nested(shallow_structure):
        return func(*structures)
    if not all(is_nested(other) and _same_kind(shallow_structure, other) for other in structures):
        raise _different((shallow_structure, *structures))
    keys = _keys(shallow_structure)
    return _rebuilt(
        shallow_structure,
        keys,
        [map_structure_up_to(shallow_structure[key], func, *(each[key] for each in structures)) for key in keys],
    )


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """`func` of every nest and leaf; what it returns, unless None, takes its place.

    Args:
        func: Returns None to go on, `MAP_TO_NONE` to put None there, or anything else to put that there.
        structure: The nest.
        top_down: Whether a nest comes before what is in it; what was replaced is then not entered.

    Example:
        >>> traverse(lambda x: tuple(x) if isinstance(x, list) else None, [1, [2]], top_down=False)
        (1, (2,))
    """
    if not callable(func):
        raise TypeError(f"`func` must be callable; got {func!r}.")
    found = func(structure) if top_down else None
    if found is None:
        if is_nested(structure):
            keys = _keys(structure)
            structure = _rebuilt(structure, keys, [traverse(func, structure[key], top_down) for key in keys])
        found = None if top_down else func(structure)
        if found is None:
            return structure
    return None if found is MAP_TO_NONE else found


def assert_same_structure(a: Any, b: Any, check_types: bool | None = None) -> None:
    """Raises an error unless both are nested in the same way.

    Args:
        a: A nest.
        b: A nest.
        check_types: Deprecated in Keras, without effect.

    Raises:
        ArgumentError: They are not.

    Example:
        >>> assert_same_structure([1, (2,)], [3, (4,)])
    """
    if check_types is not None:
        warnings.warn("`check_types` has no effect; for a looser check use assert_same_paths.", DeprecationWarning)
    map_structure(lambda *_: None, a, b)


def assert_same_paths(a: Any, b: Any) -> None:
    """Raises an error unless the same keys and indices lead to leaves in both, whatever the kinds of the nests.

    Raises:
        ArgumentError: They do not; the message names the paths of one that the other lacks.

    Example:
        >>> assert_same_paths([1, (2,)], (3, [4]))
    """
    of_a, of_b = ({path for path, _ in _leaves(each)} for each in (a, b))
    if of_a != of_b:
        raise ArgumentError(
            f"`a` and `b` don't have the same paths. Only in `a`: {sorted(of_a - of_b, key=repr)}. "
            f"Only in `b`: {sorted(of_b - of_a, key=repr)}."
        )


def lists_to_tuples(structure: Any) -> Any:
    """The nest with its lists as tuples.

    Example:
        >>> lists_to_tuples([1, [2]])
        (1, (2,))
    """
    return traverse(lambda x: tuple(x) if isinstance(x, list) else None, structure, top_down=False)


def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """`map_structure` where tuples and lists of whole numbers and None, shapes, are leaves.

    Example:
        >>> map_shape_structure(len, {"a": (None, 3), "b": [(1, 2, 3)]})
        {'a': 2, 'b': [3]}
    """
    if isinstance(structure, (list, tuple)) and all(isinstance(each, (int, type(None))) for each in structure):
        return func(structure)
    if not is_nested(structure):
        return func(structure)
    keys = _keys(structure)
    return _rebuilt(structure, keys, [map_shape_structure(func, structure[key]) for key in keys])
