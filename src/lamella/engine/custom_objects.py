"""`CustomObjectScope`: for a while, further names that configs may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lamella.engine.registry import get_custom_objects


class CustomObjectScope:
    """Within it, configs may name the objects given.

    Args:
        custom_objects: Classes and functions by name.

    Example:
        >>> import lamella
        >>> class Twice(lamella.layers.Layer):
        ...     def call(self, x):
        ...         return 2 * x
        >>> with CustomObjectScope({"Twice": Twice}):
        ...     layer = lamella.saving.deserialize_keras_object({"class_name": "Twice", "config": {}})
        >>> type(layer).__name__
        'Twice'
    """

    def __init__(self, custom_objects: Mapping[str, Any] | None) -> None:
        self.custom_objects = dict(custom_objects or {})
        self._before: list[dict[str, Any]] = []

    def __enter__(self) -> CustomObjectScope:
        known = get_custom_objects()
        self._before.append(dict(known))
        known.update(self.custom_objects)
        return self

    def __exit__(self, *exception: Any) -> None:
        known = get_custom_objects()
        known.clear()
        known.update(self._before.pop())


custom_object_scope = CustomObjectScope
