"""`tf.autograph`: functions run as they are written, so none is rewritten."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

__all__ = ["experimental", "set_verbosity", "to_code", "to_graph"]


def to_code(entity: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """The code that runs: the function's own."""
    return inspect.getsource(getattr(entity, "python_function", entity))


def to_graph(entity: Any, *args: Any, **kwargs: Any) -> Any:
    """The function itself."""
    return entity


def set_verbosity(level: int, alsologtostdout: bool = False) -> None:
    """There is nothing to tell."""


def _as_it_is(func: Any = None) -> Any:
    return func if func is not None else _as_it_is


experimental = SimpleNamespace(do_not_convert=_as_it_is, set_loop_options=lambda **options: None)
