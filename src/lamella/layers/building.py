"""What surrounds a layer's `build`, however it is called: the paths of its weights, and that the layer is built."""

from __future__ import annotations

import functools
from typing import Any

from lamella.engine.naming import path_of, within


def prepared(build: Any) -> Any:
    """A layer's `build` as the class of the layer has it: see `marks_itself` for who says that it is built."""
    return _named(build) if hasattr(build, "marks_itself") else _then_built(build)


def _named(build: Any) -> Any:
    """A layer's `build`, within which weights have the layer's name in their paths."""

    @functools.wraps(build)
    def named(self: Any, *args: Any, **kwargs: Any) -> None:
        with within(self):
            self._path = path_of("")[:-1]
            build(self, *args, **kwargs)

    return named


def _then_built(build: Any) -> Any:
    """A layer's `build`, after which it counts as built, however it was called."""

    build = _named(build)

    @functools.wraps(build)
    def built(self: Any, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        if len(args) < 2 and not kwargs:  # build(None) and build() count as well: Embedding needs no shape
            self._build_config = {"input_shape": args[0] if args else None}
        elif kwargs and not args:
            one = len(kwargs) == 1 and "input_shape" in kwargs
            self._build_config = dict(kwargs) if one else {"shapes_dict": dict(kwargs)}
        self._mark_built()

    return built


def marks_itself(build: Any) -> Any:
    """Decorator: this `build` says itself whether the layer is built after it."""
    build.marks_itself = True
    return build
