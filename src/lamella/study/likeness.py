"""Which models can be trained together: those that differ in their weights, and in numbers that a stack can hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lamella import regularizers
from lamella.layers import Dropout
from lamella.models import Model

Place = tuple[int, str]
"""The number of a module in the model, and the attribute that holds the number (`"kernel_regularizer.l2"`)."""

_FACTORS = {regularizers.L1: "l1", regularizers.L2: "l2"}
_NOT_COMPARED = ("initializer", "build_config", "compile_config", "optimizer")
_STACKED = {"Dropout": "rate", "L1": "l1", "L2": "l2"}


def numbers(model: Model) -> dict[Place, float]:
    """The numbers of a model that may differ from copy to copy: rates of dropout, factors of L1 and L2.

    Example:
        >>> from lamella import Input, Sequential, layers
        >>> numbers(Sequential([Input((2,)), layers.Dense(3, kernel_regularizer="l2"), layers.Dropout(0.5)]))
        {(1, 'kernel_regularizer.l2'): 0.01, (2, 'rate'): 0.5}
    """
    found: dict[Place, float] = {}
    for i, module in enumerate(model.modules()):
        if type(module) is Dropout:
            found[i, "rate"] = module.rate
        for name, value in vars(module).items():
            if type(value) in _FACTORS and not name.startswith("_"):
                factor = _FACTORS[type(value)]
                found[i, f"{name}.{factor}"] = getattr(value, factor)
    return found


def likeness(model: Model) -> str:
    """A text that is equal for models whose copies can be one stack.

    Names, initializers and the `numbers` of a model are left out; that a dropout is none, or nearly none or all, is
    not: it then draws in another way.
    """
    shapes = [(tuple(w.shape), str(w.dtype), w.requires_grad) for w in (*model.parameters(), *model.buffers())]
    try:
        config: Any = [model.get_config(), model.get_compile_config()]
        names = {name: f"#{i}" for i, name in enumerate(dict.fromkeys(_names(config)))}
        config = _without(config, names)
    except (NotImplementedError, TypeError, ValueError):  # a model of the user's that cannot say what it is made of
        config = id(model)
    return json.dumps([type(model).__qualname__, shapes, config], sort_keys=True, default=repr)


def _names(config: Any) -> Iterator[str]:
    """The names of all layers in a config, in its order."""
    if isinstance(config, (list, tuple)):
        yield from (name for each in config for name in _names(each))
    if isinstance(config, Mapping):
        if isinstance(config.get("name"), str):
            yield config["name"]
        yield from (name for key, each in config.items() if key != "dtype" for name in _names(each))


def _without(config: Any, names: Mapping[str, str]) -> Any:
    if isinstance(config, str):
        return names.get(config, config)
    if isinstance(config, (list, tuple)):
        return [_without(each, names) for each in config]
    if not isinstance(config, Mapping):
        return config
    kept = {key: value for key, value in config.items() if not str(key).endswith(_NOT_COMPARED)}
    number = _STACKED.get(str(config.get("class_name")))
    if number is not None and isinstance(config.get("config"), Mapping):
        value = config["config"].get(number)
        edge = number == "rate" and (value if value in (0, 1) else not 0.01 <= value <= 0.99)
        kept["config"] = {**config["config"], number: edge}
    return {key: _without(value, names) for key, value in kept.items()}
