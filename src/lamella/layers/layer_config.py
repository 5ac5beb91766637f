"""What makes a layer again: the arguments that its class takes, those that it was given, and plain data of them."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from lamella import dtype_policies
from lamella.engine.registry import deserialize, serialize
from lamella.layers.tracking import TrackedList

_BASE_ARGUMENTS = ("name", "trainable", "dtype", "weights")
"""What every layer takes."""


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


def passed_arguments(layer: Any) -> dict[str, Any]:
    """What `layer` was made with, by the names of the arguments of its `__init__`."""
    args, kwargs = layer._init_arguments
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


def config_of(layer: Any, above: type) -> dict[str, Any]:
    """The arguments that make a layer again, read from the attributes of their names; a user's as `__init__` got them.

    An argument of `above` and of its bases that was never given is left out.
    """
    config: dict[str, Any] = {
        "name": layer.name,
        "trainable": layer._trainable,
        "dtype": serialize(layer._given_policy),
    }
    passed = passed_arguments(layer)
    own, of_user = arguments_of(type(layer), above), _arguments_of_user(type(layer))
    for name in _arguments_in_config(type(layer)):
        if name in _BASE_ARGUMENTS or not (hasattr(layer, name) or name in passed):
            continue
        if name in of_user:  # an attribute of that name may be something else
            if name in passed:
                config[name] = _in_full(passed[name])
            continue
        value = getattr(layer, name, passed.get(name))
        if value is not None or name in own:
            config[name] = plain(value)
    return config


def _arguments_of_user(cls: type) -> set[str]:
    """The names of the arguments that classes of users declare, unless they write, and read, configs themselves."""
    if not _writer(cls).__module__.startswith("lamella."):
        return set()
    classes = [base for base in cls.__mro__ if "__init__" in vars(base) and not base.__module__.startswith("lamella.")]
    return {
        name for base in classes if base is not object for name in inspect.signature(vars(base)["__init__"]).parameters
    }


def _arguments_in_config(cls: type) -> list[str]:
    """Whose names a config gets: all that `__init__` takes, unless the class has a `get_config` of its own.

    A user's `get_config` adds to what it wants to that of the class it is made from, and may leave out arguments.
    """
    writer = _writer(cls)
    if writer.__module__.startswith("lamella."):
        return arguments_of(cls)
    return arguments_of(next(base for base in writer.__mro__ if base.__module__.startswith("lamella.")))


def _writer(cls: type) -> type:
    """The class whose `get_config` it is."""
    return next(base for base in cls.__mro__ if "get_config" in vars(base))


def from_config(cls: type, config: dict[str, Any]) -> Any:
    """A layer of `cls` as the config says. What `__init__` does not take of name, trainable and dtype is set then."""
    known = arguments_of(cls)
    if isinstance(config.get("dtype"), dict):  # an __init__ of a user's asks a policy what it is
        policy = dtype_policies.deserialize(config["dtype"])
        told = isinstance(policy, dtype_policies.DTypePolicyMap) or policy.quantization_mode is not None
        config = {**config, "dtype": policy if told else policy.name}
    later = {key: config[key] for key in _BASE_ARGUMENTS if key in config and key not in known}
    given = {key: value for key, value in config.items() if key not in later}
    given |= {key: deserialize(given[key]) for key in _arguments_of_user(cls) & given.keys()}
    layer: Any = cls(**{key: value for key, value in given.items() if value is not None or key in known})
    if "name" in later:
        layer.name = later["name"]
    if later.get("dtype") is not None:
        layer._use_policy(later["dtype"])
    if later.get("trainable") is False:
        layer.trainable = False
    return layer


def _in_full(value: Any) -> Any:
    """`plain`, with functions of ours told from texts: what a user's class takes is not looked up by a name."""
    config = plain(value)
    if isinstance(config, str) and inspect.isfunction(value):
        return {"module": "builtins", "class_name": "function", "config": config, "registered_name": "function"}
    return config


def plain(value: Any) -> Any:
    """A value as a config has it: sequences item by item, objects by their own configs."""
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    return [plain(item) for item in value] if isinstance(value, TrackedList) else serialize(value)
