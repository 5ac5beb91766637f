"""Default names: the first `Dense` is `dense`, the second `dense_1`, as in Keras."""

from __future__ import annotations

from collections import Counter

from lamella.engine.registry import snake_case

_COUNTS: Counter[str] = Counter()


def auto_name(class_name: str) -> str:
    """A name of its own for the next object of a class."""
    base = snake_case(class_name)
    count = _COUNTS[base]
    _COUNTS[base] += 1
    return f"{base}_{count}" if count else base


def clear_session(free_memory: bool = True) -> None:
    """Starts default names afresh, so that the next `Dense` is `dense` again.

    Example:
        >>> clear_session()
        >>> auto_name("Dense"), auto_name("Dense")
        ('dense', 'dense_1')
    """
    _COUNTS.clear()
