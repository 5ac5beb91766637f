"""Whether a model's step is all Lamella's and torch's own: then its Python has no say in the numbers.

A user's function may count its calls, print or look at a clock. A step that has one that could (see
`lamella.training.users_code`) is computed afresh for every batch. All others may be recorded (see
`lamella.engine.replay`).
"""

from __future__ import annotations

from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import torch
from torch import nn

from lamella.training.users_code import values_read

_OURS = frozenset({"lamella", "torch", "numpy", "builtins", "collections"})
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_AROUND_THE_STEP = frozenset({"optimizer", "history", "stop_training", "stop_evaluating", "stop_predicting"})
_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType, type)
_NUMBERS_AND_NAMES = frozenset({type(None), bool, int, float, str, torch.dtype, torch.device})
"""What most attributes are: there is nothing to look for in them, and `fit` looks at each one of every layer."""


def is_plain(model: nn.Module, loss: Any) -> bool:
    """Whether neither the layers nor the loss have a part that the user wrote, but for one that only computes."""
    if torch.is_anomaly_enabled() or not _is_ours(loss) or any(getattr(m, "stateful", False) for m in model.modules()):
        return False
    return all(_is_ours(module) and not any(getattr(module, hooks) for hooks in _HOOKS) for module in model.modules())


def _is_ours(value: Any) -> bool:
    if type(value) in _NUMBERS_AND_NAMES:
        return True
    if _is_users_code(value):
        return values_read(value) is not None
    if isinstance(value, _FUNCTIONS):
        return _root(value) in _OURS
    if isinstance(value, partial):
        return _is_ours(value.func)
    if isinstance(value, dict):
        return all(map(_is_ours, value.values()))
    if isinstance(value, (list, tuple, set)):
        return all(map(_is_ours, value))
    if _root(type(value)) not in _OURS:
        return False
    look_inside = isinstance(value, nn.Module) or _root(type(value)) == "lamella"
    return not look_inside or all(map(_is_ours, _attributes(value)))


def _is_users_code(value: Any) -> bool:
    return isinstance(value, (FunctionType, nn.Module)) and _root(value) not in _OURS


def _root(value: Any) -> str:
    return (getattr(value, "__module__", None) or "builtins").split(".")[0]


def _attributes(value: Any) -> list[Any]:
    """What a layer or another object of ours computes with: what it holds under public names."""
    held = getattr(value, "__dict__", {}).items()
    found = [each for name, each in held if not name.startswith("_") and name not in _AROUND_THE_STEP]
    return [each for each in found if not isinstance(each, (nn.Module, torch.Tensor))]


def settings(model: nn.Module, loss: Any) -> list[Any]:
    """The numbers, names and flags that layers, their penalties and the loss compute with, to be compared."""
    return [_settings(each, 3) for each in (*model.modules(), loss)]


def _settings(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if _is_users_code(value):
        return id(value), values_read(value)
    if isinstance(value, _FUNCTIONS):
        return id(value)
    if isinstance(value, dict):
        return {key: _settings(each, depth) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_settings(each, depth) for each in value]
    if depth and not isinstance(value, torch.Tensor) and _root(type(value)) in ("lamella", "torch"):
        return [_settings(each, depth - 1) for each in _attributes(value)]
    return None
