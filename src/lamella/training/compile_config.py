"""What `compile` was given, as plain data and back: what a `.keras` file keeps of it."""

from __future__ import annotations

from typing import Any

from lamella import losses, metrics, optimizers
from lamella.engine.registry import custom_function, serialize

_ARGUMENTS = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly")


def compile_config(model: Any) -> dict[str, Any]:
    """The arguments of a compiled model, with Keras's keys."""
    arguments = {"optimizer": model.optimizer, **model._compile_arguments}
    return {
        **{name: serialize(value) for name, value in arguments.items()},
        "run_eagerly": model.run_eagerly,
        "steps_per_execution": model.steps_per_execution,
        "jit_compile": "auto",  # a matter of the machine that it is loaded on
    }


def arguments_of(config: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `compile` of a config that is this one's or Keras's."""
    given = {name: _argument(name, config[name]) for name in _ARGUMENTS if config.get(name) is not None}
    return {"optimizer": None, **given} if "optimizer" in config else given


def _argument(name: str, config: Any) -> Any:
    """An argument of `compile` as its config says: names of ours stay names, as in the script that was saved."""
    kinds: Any = {"optimizer": optimizers, "loss": losses, "metrics": metrics}
    kind = kinds.get(name.replace("weighted_", ""))
    if kind is None:
        return config
    if isinstance(config, str):
        return custom_function(config) or config
    if isinstance(config, dict) and "class_name" in config:
        if config["class_name"] == "function" and isinstance(config.get("config"), str):
            return custom_function(config["config"]) or config["config"]
        return kind.deserialize(config)
    if isinstance(config, dict):
        return {key: _argument(name, value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [_argument(name, value) for value in config]
    return config
