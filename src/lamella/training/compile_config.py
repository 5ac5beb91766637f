"""What `compile` was given, as plain data and back: what a `.keras` file keeps of it."""

from __future__ import annotations

import warnings
from typing import Any

from lamella import losses, metrics, optimizers
from lamella.engine.registry import copies_within_a_program, custom_function, serialize

_ARGUMENTS = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly")


def compile_config(model: Any) -> dict[str, Any]:
    """The arguments of a compiled model, with Keras's keys."""
    arguments = {"optimizer": model.optimizer, **model._compile_arguments}
    if not copies_within_a_program():
        for name in ("metrics", "weighted_metrics"):
            arguments[name] = _without_metrics_of_torch(arguments.get(name))
    return {
        **{name: serialize(value) for name, value in arguments.items()},
        "run_eagerly": model.run_eagerly,
        "steps_per_execution": model.steps_per_execution,
        "jit_compile": "auto",  # a matter of the machine that it is loaded on
    }


def _without_metrics_of_torch(given: Any) -> Any:
    """Metrics without those of torchmetrics, which do not tell how they are made: a model is saved all the same."""
    if isinstance(given, dict):
        return {name: _without_metrics_of_torch(each) for name, each in given.items()}
    if isinstance(given, (list, tuple)):
        return [_without_metrics_of_torch(each) for each in given]  # None is passed over by compile()
    if not metrics.is_metric_of_torch(given):
        return given
    warnings.warn(
        f"The metric {type(given).__name__} is left out of the saved model: metrics of torchmetrics do not tell "
        f"how they are made. Call compile() again, with it, after loading.",
        stacklevel=2,
    )
    return None


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
