"""Functions of torch by their names: `torch.erf`, `torch.nn.functional.cross_entropy`, `torch.special.expit`."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch.overrides import get_overridable_functions

from lamella.errors import ConfigError

_ROOMS: dict[str, ModuleType] = {
    room.__name__: room for room in (torch.nn.functional, torch, torch.special, torch.linalg, torch.fft)
}


def name_of(function: Any) -> str | None:
    """The name by which `function_named` finds a function of torch; None for any other function.

    Example:
        >>> name_of(torch.erf), name_of(torch.nn.functional.leaky_relu), name_of(print)
        ('torch.erf', 'torch.nn.functional.leaky_relu', None)
    """
    name = getattr(function, "__name__", "")
    for room, module in _ROOMS.items():
        own = name.removeprefix(room.rpartition(".")[2] + "_")  # torch.special.expit is called special_expit
        if getattr(module, own, None) is function and _takes_tensors(module, function):
            return f"{room}.{own}"
    return None


def function_named(name: str) -> Any:
    """The function of torch with that name. Only of those that compute with tensors: none of them reads a file.

    Raises:
        ConfigError: No such function.
    """
    room, _, own = name.rpartition(".") if isinstance(name, str) else ("", "", "")
    function = getattr(_ROOMS.get(room), own, None)
    if function is None or not _takes_tensors(_ROOMS[room], function):
        raise ConfigError(f"There is no function {name!r} of tensors in torch {torch.__version__}.")
    return function


def _takes_tensors(module: ModuleType, function: Any) -> bool:
    return any(each is function for each in get_overridable_functions()[module])
