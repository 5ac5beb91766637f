"""Operations of a functional graph that are no layers (`h + x`, `ops.mean(h)`, `torch.cat([a, b])`) in files.

What is a function of `lamella.ops`, or an operator, is written as the operation class of Keras that computes it, so
that Keras reads it. Any other function of torch is written under its own name, and only Lamella reads it.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from functools import cache
from itertools import takewhile
from typing import Any

import torch

from lamella.engine.registry import deserialize, serialize
from lamella.engine.symbolic import Node, symbolic_leaves
from lamella.errors import FileError, UnknownNameError
from lamella.training.keras_operations import CALLED_WITH_ALL, FUNCTIONS, MODULES, class_of, is_call_argument

_OPERATORS: dict[Any, str] = {
    operator.add: "Add",
    operator.sub: "Subtract",
    operator.mul: "Multiply",
    operator.truediv: "TrueDivide",
    operator.floordiv: "FloorDivide",
    operator.mod: "Mod",
    operator.pow: "Power",
    operator.matmul: "Matmul",
    operator.neg: "Negative",
    operator.abs: "Absolute",
    operator.ne: "NotEqual",
    operator.lt: "Less",
    operator.le: "LessEqual",
    operator.gt: "Greater",
    operator.ge: "GreaterEqual",
    operator.and_: "LogicalAnd",
    operator.or_: "LogicalOr",
    operator.xor: "LogicalXor",
    operator.invert: "LogicalNot",
    operator.getitem: "GetItem",
}
_AS_FUNCTIONS = {"Absolute", "LogicalAnd", "LogicalOr", "LogicalXor", "LogicalNot", "Matmul"}
_FROM_OPERATORS = {name: function for function, name in _OPERATORS.items() if name not in _AS_FUNCTIONS}
"""The functions of `ops` with the other names compute more than the operators: of numbers as truths, of two types."""
_BITWISE = {
    operator.and_: "BitwiseAnd",
    operator.or_: "BitwiseOr",
    operator.xor: "BitwiseXor",
    operator.invert: "BitwiseInvert",
}


def to_config(node: Node) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    """The config of what a node calls, and the arguments of the call that are not part of it."""
    function = node.function
    if callable(getattr(function, "get_config", None)):  # an `Operation` that a user wrote
        return serialize(function), list(node.args), dict(node.kwargs)
    if function in _OPERATORS:
        of_truths = any(symbol.dtype is torch.bool for symbol in symbolic_leaves(node.args))
        name = _OPERATORS[function] if of_truths else _BITWISE.get(function, _OPERATORS[function])
        return _config(MODULES[name], name, {"name": node.name}), list(node.args), dict(node.kwargs)
    if _is_op(function) and (known := class_of(function.__name__)) is not None:
        return _as_keras_class(node, known)
    path = _torch_names().get(function)
    if path is None:
        raise FileError(
            f"{node.name!r} calls {function!r}, which no file can name. Put it into the call() of a layer that is "
            f"registered with @lamella.saving.register_keras_serializable()."
        )
    return _config("torch", path, {"name": node.name}), list(node.args), dict(node.kwargs)


def _as_keras_class(node: Node, name: str) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    bound = inspect.signature(node.function).bind(*node.args, **node.kwargs)
    if name in CALLED_WITH_ALL:
        bound.arguments = {**dict.fromkeys(_called_with(name, node.function)), **bound.arguments}
    leading = takewhile(lambda argument: argument in bound.arguments, _called_with(name, node.function))
    args: list[Any] = [bound.arguments.pop(argument) for argument in leading]
    kwargs: dict[str, Any] = {}
    config: dict[str, Any] = {"name": node.name}
    for argument, value in bound.arguments.items():
        kind = bound.signature.parameters[argument].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            args.extend(value)
        elif kind is inspect.Parameter.VAR_KEYWORD:
            kwargs.update(value)
        elif is_call_argument(name, argument) or symbolic_leaves(value):
            kwargs[argument] = value
        else:
            config[argument] = serialize([value] if argument == "newshape" and isinstance(value, int) else value)
    return _config(MODULES[name], name, config), args, kwargs


def _called_with(name: str, function: Callable[..., Any]) -> list[str]:
    """The arguments that a class is called with, in their order, but for those of any number."""
    parameters = inspect.signature(function).parameters.values()
    return [
        each.name
        for each in parameters
        if each.kind is each.POSITIONAL_OR_KEYWORD and is_call_argument(name, each.name)
    ]


def _config(module: str, name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": name}


def from_config(config: dict[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]] | None:
    """The function that a config names and the arguments that are fixed with it; None for what is a layer.

    Raises:
        UnknownNameError: An operation that there is none of.
    """
    module, name = config.get("module") or "", config.get("class_name") or ""
    if module == "torch":
        found = next((function for function, path in _torch_names().items() if path == name), None)
    elif module.startswith("keras.src.ops") or (name in MODULES and _is_old_operation(config)):
        found = _FROM_OPERATORS.get(name) or _op(FUNCTIONS.get(name) or name)
    else:
        return None
    if found is None:
        raise UnknownNameError(f"The file has the operation {name!r} (module {module!r}), which there is none of here.")
    fixed = {key: deserialize(value) for key, value in config.get("config", {}).items() if key != "name"}
    return found, fixed


def _is_old_operation(config: dict[str, Any]) -> bool:
    """Files of the older form name no modules; a layer has a setting `trainable`, an operation has not."""
    return not config.get("module") and "trainable" not in config.get("config", {})


def arguments(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The arguments of a call by the names of `function`, where those that it was made with come between."""
    if function is operator.getitem and isinstance(args[1], list):  # JSON has no tuples
        return (args[0], tuple(args[1])), kwargs
    if not _is_op(function) or not kwargs or not args:
        return args, kwargs
    name = class_of(function.__name__) or ""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        before = takewhile(lambda parameter: parameter.kind is not parameter.VAR_POSITIONAL, parameters)
        leading = [kwargs.pop(parameter.name) for parameter in before if parameter.name in kwargs]
        return (*leading, *args), kwargs
    return (), {**dict(zip(_called_with(name, function), args, strict=False)), **kwargs}


@cache
def _by_letters() -> dict[str, Callable[..., Any]]:
    from lamella import ops  # loaded where it is needed: most models have none

    found = {name: getattr(ops, name) for name in ops.__all__}
    found |= {name: getattr(ops.image, name) for name in ops.image.__all__}
    return {name.replace("_", ""): function for name, function in found.items()}


def _op(name: str) -> Callable[..., Any] | None:
    return _by_letters().get(name.replace("_", "").lower())


def _is_op(function: Any) -> bool:
    name = getattr(function, "__name__", "")
    return (getattr(function, "__module__", None) or "").startswith("lamella.ops") and _op(name) is function


@cache
def _torch_names() -> dict[Any, str]:
    """Torch's functions of tensors (those that can be recorded), by the path under which a file names them."""
    found: dict[Any, str] = {}
    for module, functions in torch.overrides.get_overridable_functions().items():
        place = getattr(module, "__name__", "torch")
        prefix = "torch.Tensor" if module is torch.Tensor else place
        own = set(map(id, functions))
        for name in dir(module):  # `torch.linalg.norm` calls itself `linalg_norm`
            function = getattr(module, name)
            if id(function) in own:
                found.setdefault(function, f"{prefix}.{name}")
    found[torch.Tensor.unflatten] = "torch.Tensor.unflatten"
    found[getattr] = "getattr"
    return found
