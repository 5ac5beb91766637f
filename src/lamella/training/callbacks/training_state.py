"""What training depends on, as plain data: weights, optimizer, metrics, generators of layers, callbacks."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from lamella.data.plain_values import plain, unplain
from lamella.engine.variable import copy_into, whole
from lamella.errors import DataError


def generator_states(model: nn.Module) -> list[list[Any]]:
    """The states of the generators that seeded layers hold, as [number of the layer, attribute, device, state]."""
    return [
        [i, name, str(value.device), value.get_state()]
        for i, module in enumerate(model.modules())
        for name, value in vars(module).items()
        if isinstance(value, torch.Generator)
    ]


def set_generator_states(model: nn.Module, states: list[list[Any]]) -> None:
    """Puts the generators of seeded layers back to what `generator_states` gave."""
    modules = list(model.modules())
    for i, name, device, state in states:
        source = torch.Generator(device)
        source.set_state(state)
        object.__setattr__(modules[i], name, source)


def _tensors_of(model: nn.Module) -> list[torch.Tensor]:
    seeds = [
        value.state
        for module in model.modules()
        for value in vars(module).values()
        if not isinstance(value, nn.Module) and isinstance(getattr(value, "state", None), torch.Tensor)
    ]
    return [*model.parameters(), *model.buffers(), *seeds]


def copies(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """Plain copies on the CPU, each in the memory order of its original."""
    together = [whole(t.detach()) for t in tensors]
    return [_copy(t) for t in together]


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.as_subclass(torch.Tensor).to("cpu", copy=True)


def model_state(model: Any) -> dict[str, Any]:
    """The weights, the optimizer and the metrics."""
    return {
        "weights": copies(_tensors_of(model)),
        "optimizer": {} if model.optimizer is None else model.optimizer.state_dict(),
        "metrics": [tree_map(_copy, metric.state_dict()) for metric in model._metrics_and_inner()],
    }


@torch.no_grad()
def set_model_state(model: Any, state: dict[str, Any], where: str) -> None:
    """Puts weights and optimizer back (metrics start anew with each epoch: see `set_metrics`).

    Raises:
        DataError: The state of another model.
    """
    own = _tensors_of(model)
    shapes = [tuple(t.shape) for t in own]
    if shapes != [tuple(t.shape) for t in state["weights"]]:
        raise DataError(
            f"The backup in {where} is of another model: its weights have other shapes. Remove that folder, or give "
            f"BackupAndRestore another one."
        )
    for tensor, saved in zip(own, state["weights"], strict=True):
        copy_into(tensor, saved)
    if model.optimizer is not None:
        model.optimizer.load_state_dict(state["optimizer"])


@torch.no_grad()
def set_metrics(model: Any, state: dict[str, Any], where: str) -> None:
    """Puts the sums of the metrics back, in the middle of an epoch.

    Raises:
        DataError: The sums of other metrics.
    """
    own = model._metrics_and_inner()
    if [list(metric.state_dict()) for metric in own] != [list(saved) for saved in state["metrics"]]:
        raise DataError(f"The backup in {where} was made with other metrics: compile() with the same as before.")
    for metric, saved in zip(own, state["metrics"], strict=True):
        metric.load_state_dict(saved)


def callback_state(callback: Any) -> dict[str, Any]:
    """What a callback counts and remembers: numbers, texts, arrays, and lists and dicts of them.

    What it was made with is left out, and so is what it names in `forgets`.
    """
    made_with = inspect.signature(type(callback).__init__).parameters
    left_out = {*made_with, *getattr(callback, "forgets", ()), "params", "validation_data", "_model"}
    return {
        name: value
        for name, kept in vars(callback).items()
        if name not in left_out
        for value in [plain(kept)]
        if value is not NotImplemented
    }


def set_callback_state(callback: Any, state: dict[str, Any]) -> None:
    """Puts back what `callback_state` gave."""
    for name, value in state.items():
        setattr(callback, name, unplain(value))
