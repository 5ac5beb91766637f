"""What makes a layer again: the arguments that its class takes, those that it was given, and plain data of them."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from lamella.engine.registry import serialize
from lamella.layers.tracking import TrackedList


def arguments_of(cls: type, above: type | None = None) -> list[str]:
    """The names of the arguments of a layer class, its bases' included where it passes **kwargs on.

    `above` leaves out the arguments of that base and of its bases.
    """
    names: list[str] = []
    for base in cls.__mro__:
        if base in (above, nn.Module):
            break
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        for parameter in parameters:
            keyword = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if keyword and parameter.name not in ("autocast", *names):
                names.append(parameter.name)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names


def passed_arguments(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What `layer` was made with, by the names of the arguments of its `__init__`."""
    signature = inspect.signature(type(layer).__init__)
    try:
        bound = signature.bind(layer, *args, **kwargs)
    except TypeError:
        return dict(kwargs)
    passed = dict(list(bound.arguments.items())[1:])
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            passed |= passed.pop(parameter.name, {})
    return passed


def plain(value: Any) -> Any:
    """A value as a config has it: sequences item by item, objects by their own configs."""
    if isinstance(value, tuple):
        return type(value)(plain(item) for item in value)
    return [plain(item) for item in value] if isinstance(value, TrackedList) else serialize(value)
