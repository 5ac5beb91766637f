"""Optimizers: how weights change, given their gradients. Keras's names, defaults and numbers."""

from collections.abc import Mapping
from typing import Any

import torch

from lamella.engine import registry as _names
from lamella.errors import ArgumentError
from lamella.optimizers import legacy, schedules
from lamella.optimizers.adam import Adam, Adamax, AdamW, Lamb, Lion, Nadam
from lamella.optimizers.adaptive import Adadelta, Adafactor, Adagrad, Ftrl, RMSprop
from lamella.optimizers.base import Optimizer, registry
from lamella.optimizers.loss_scale import LossScaleOptimizer
from lamella.optimizers.multi import MultiOptimizer, OptimizerMap
from lamella.optimizers.muon import Muon
from lamella.optimizers.schedule_free import ScheduleFreeAdamW
from lamella.optimizers.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "OptimizerMap",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "legacy",
    "schedules",
    "serialize",
]


def get(identifier: Any) -> Any:
    """The optimizer for a name (in any case), a config, a class or an object; None for None.

    Raises:
        UnknownNameError: A name that is not known; the message lists the nearest.
        ArgumentError: Something that is no optimizer.

    Example:
        >>> get("adam").learning_rate
        0.001
    """
    if identifier is None:
        return None
    if isinstance(identifier, str) and identifier.lower() in registry:
        identifier = identifier.lower()
    if isinstance(identifier, torch.optim.Optimizer):
        name = type(identifier).__name__
        raise ArgumentError(
            f"torch.optim.{name} holds its own parameters, and compile() gives them: write optimizer=lamella."
            f"optimizers.{name}(...) if there is one, or use torch's in a train_step or loop of your own."
        )
    optimizer = deserialize(identifier) if isinstance(identifier, dict) else registry.get(identifier)
    if not hasattr(optimizer, "apply"):
        raise ArgumentError(
            f"An optimizer is a name such as 'adam' or an object from lamella.optimizers; got {identifier!r}."
        )
    return optimizer


def serialize(optimizer: Any) -> Any:
    """The config of an optimizer, in Keras's form."""
    return _names.serialize(optimizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The optimizer that `serialize` described; a built-in class name may be in any case."""
    name = str(config.get("class_name")) if isinstance(config, dict) else ""
    if name not in registry and name not in (custom_objects or {}) and name.lower() in registry:
        config = {**config, "class_name": name.lower()}
    return registry.get(config, custom_objects)
