"""Names for the parts of a training step, seen by torch's profiler while somebody looks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch.profiler import record_function

PARTS = ("input", "forward", "backward", "update")
on = False
"""Whether steps that are made now get their names."""


def part(name: str) -> AbstractContextManager[Any]:
    """Within it what runs counts for a part of the step."""
    return record_function(f"lamella::{name}") if on else nullcontext()


def marked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, as a part of the step."""
    if not on:
        return function

    def named(*args: Any) -> Any:
        with part(name):
            return function(*args)

    return named
