"""Whether a function or layer that the user wrote only computes: what its bytecode could do, and what it reads.

A function that counts its calls, prints, or looks at a clock has to run for every batch. Most do nothing of the kind:
they take tensors, weights and numbers, and call torch. That is told without running them: an instruction that stores
outside of the function, or a name that stands for something else than tensors, layers, numbers and functions of torch's
or ours, and the function is not one that only computes. In doubt it is not.

The numbers that it reads besides its arguments (attributes of the layer, globals) may change between epochs: they are
given back, to be compared.
"""

from __future__ import annotations

import builtins
import dis
import inspect
from functools import cache
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import nn

_OURS = frozenset({"lamella", "torch"})
_MODULES = frozenset({*_OURS, "math"})
_NUMBERS_AND_NAMES = (type(None), bool, int, float, str, torch.dtype, torch.device, torch.Size)
_BUILTINS = frozenset(
    "abs all any bool dict divmod enumerate float int isinstance len list max min pow range reversed round slice "
    "sorted str sum super tuple zip".split()
)
_STORES = frozenset(
    "STORE_ATTR DELETE_ATTR STORE_GLOBAL DELETE_GLOBAL STORE_SUBSCR STORE_SLICE DELETE_SUBSCR STORE_DEREF "
    "IMPORT_NAME LOAD_BUILD_CLASS LOAD_NAME".split()
)
_CHANGES_OF_LISTS = frozenset(
    "append appendleft clear discard extend insert pop popitem popleft remove reverse setdefault sort update".split()
)
_NUMBERS_OF_A_TENSOR = frozenset("item tolist numpy data_ptr storage untyped_storage __array__ __dlpack__".split())
_READS_OF_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "LOAD_SUPER_METHOD"})
_NOT_IN_A_STEP = frozenset(
    "__init__ build get_config from_config get_build_config build_from_config compute_output_shape compute_output_spec "
    "__repr__ __init_subclass__ __new__ extra_repr".split()
)
_WITHIN = frozenset({"<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>", "<lambda>"})


class _DoesMore(Exception):
    """The code could do more than compute."""


def values_read(value: nn.Module | FunctionType) -> list[Any] | None:
    """What the user's layer or function reads besides its arguments, as it is now; None where it may do more than that.

    Args:
        value: A layer or model of a class that the user wrote, or a function.

    Returns:
        Numbers and names by value, all else by identity.
    """
    reader = _Reader()
    try:
        reader.module(value) if isinstance(value, nn.Module) else reader.function(value, None)
    except _DoesMore:
        return None
    return reader.read


class _Reader:
    """Goes through functions, and those that they call, and notes what they read."""

    def __init__(self) -> None:
        self.read: list[Any] = []
        self.seen: set[FunctionType] = set()

    def module(self, module: nn.Module) -> None:
        """What runs when the module is called; its own parts are looked at by others, one by one."""
        if not {"call", "forward", "__call__"}.isdisjoint(vars(module)):
            raise _DoesMore
        users = [kind for kind in type(module).__mro__ if not _is_ours(kind) and kind is not object]
        bases = [kind for kind in type(module).__mro__ if _is_ours(kind)]
        for kind in users:
            for name, value in vars(kind).items():
                if name in ("call", "forward"):
                    self.function(value, module)
                elif callable(value) or isinstance(value, (property, staticmethod, classmethod)):
                    replaces = any(name in vars(base) for base in bases) and name not in _NOT_IN_A_STEP
                    if replaces or (name.startswith("__") and name not in _NOT_IN_A_STEP):
                        raise _DoesMore  # it may be called by ours

    def function(self, function: Any, owner: Any) -> None:
        """A function, or a method of the owner."""
        if type(function) is not FunctionType or hasattr(function, "__wrapped__"):
            raise _DoesMore
        if function in self.seen:
            return
        self.seen.add(function)
        code = function.__code__
        names = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        own = code.co_varnames[0] if owner is not None and code.co_argcount else None
        self._code(code, function.__globals__, names, own, owner)
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            if self._value(default, owner):
                raise _DoesMore

    def _code(self, code: CodeType, names: dict[str, Any], cells: dict[str, Any], own: str | None, owner: Any) -> None:
        instructions, holds, changes = _instructions(code), False, False
        local = set(code.co_cellvars)
        for place, (operation, argument) in enumerate(instructions):
            following: tuple[str, Any] = instructions[place + 1] if place + 1 < len(instructions) else ("", None)
            if operation in _STORES and not (operation == "STORE_DEREF" and argument in local):
                raise _DoesMore
            if own is not None and _loads(own, operation, argument):
                if following[0] not in _READS_OF_ATTRIBUTES:
                    raise _DoesMore  # the layer itself is handed on
                if following[0] in ("LOAD_ATTR", "LOAD_METHOD"):
                    holds = self._attribute(owner, following[1]) or holds
            elif operation == "LOAD_GLOBAL" and argument == "super":
                soon = [name for kind, name in instructions[place + 1 : place + 6] if kind in _READS_OF_ATTRIBUTES]
                if soon[:1] not in (["call"], ["forward"]):  # those of all its classes are looked at
                    raise _DoesMore
            elif operation == "LOAD_GLOBAL":
                holds = self._global(names, argument) or holds
            elif operation in ("LOAD_DEREF", "LOAD_CLASSDEREF") and argument in cells and argument != "__class__":
                holds = self._cell(cells[argument], owner) or holds
            if operation in _READS_OF_ATTRIBUTES and argument in _NUMBERS_OF_A_TENSOR:
                raise _DoesMore  # what it does then may depend on the batch, and nobody sees it
            changes = changes or (operation in _READS_OF_ATTRIBUTES and argument in _CHANGES_OF_LISTS)
            if isinstance(argument, CodeType):
                if argument.co_name not in _WITHIN:
                    raise _DoesMore
                outer = {name: cell for name, cell in cells.items() if name not in local}
                self._code(argument, names, outer, own, owner)
        if holds and changes:
            raise _DoesMore  # a list that lives on may be what is changed

    def _attribute(self, owner: Any, name: str) -> bool:
        if isinstance(inspect.getattr_static(type(owner), name, None), property):
            defined = next(kind for kind in type(owner).__mro__ if name in vars(kind))
            if not _is_ours(defined):
                raise _DoesMore
        try:
            value = getattr(owner, name)
        except Exception:  # not there yet, or never
            raise _DoesMore from None
        return self._value(value, owner)

    def _global(self, names: dict[str, Any], name: str) -> bool:
        if name in names:
            return self._value(names[name], None)
        known = getattr(builtins, name, None)
        if name in _BUILTINS or (isinstance(known, type) and issubclass(known, Exception)):
            return False
        raise _DoesMore

    def _cell(self, cell: Any, owner: Any) -> bool:
        try:
            return self._value(cell.cell_contents, owner)
        except ValueError:  # nothing in it yet
            raise _DoesMore from None

    def _value(self, value: Any, owner: Any) -> bool:
        """Notes a value that the code reads. True for a list or dict: it could be changed by its methods."""
        if isinstance(value, _NUMBERS_AND_NAMES):
            self.read.append(value)
            return False
        if isinstance(value, (tuple, list, dict, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)):
            parts = value.values() if isinstance(value, (dict, nn.ModuleDict, nn.ParameterDict)) else value
            self.read.append(len(value))
            for part in parts:
                self._value(part, owner)
            return True
        if isinstance(value, MethodType):
            if owner is None or value.__self__ is not owner or _is_ours(value.__func__):
                raise _DoesMore
            self.function(value.__func__, owner)
            return False
        self.read.append(id(value))
        if isinstance(value, ModuleType):
            name = value.__spec__.name if value.__spec__ else value.__name__  # under `lamella run` ours is called keras
            if name.split(".")[0] not in _MODULES:
                raise _DoesMore
        elif isinstance(value, nn.Module):
            if owner is None or all(value is not part for part in owner.modules()):
                raise _DoesMore  # nobody else looks at it
        elif isinstance(value, (FunctionType, BuiltinFunctionType, type)):
            if not _is_ours(value):
                self.function(value, None)
        elif not isinstance(value, torch.Tensor):
            raise _DoesMore
        return False


@cache
def _instructions(code: CodeType) -> list[tuple[str, Any]]:
    return [(each.opname, each.argval) for each in dis.get_instructions(code)]


def _loads(name: str, operation: str, argument: Any) -> bool:
    if operation.startswith("LOAD_FAST") or operation in ("LOAD_DEREF", "STORE_FAST_LOAD_FAST"):
        return argument == name or (isinstance(argument, tuple) and name in argument)
    return False


def _is_ours(value: Any) -> bool:
    return (getattr(value, "__module__", None) or "").split(".")[0] in _OURS
