"""All that training depends on, as plain data: weights, optimizer, metrics, random generators, callbacks."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from lamella.engine.variable import copy_into, whole
from lamella.errors import DataError

_PLAIN = (bool, int, float, str, type(None))


def random_state() -> dict[str, Any]:
    """The states of Python's, NumPy's and torch's generators."""
    bits = np.random.get_state(legacy=False)
    assert isinstance(bits, dict)
    version, numbers, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": [torch.mps.get_rng_state()] if torch.backends.mps.is_available() else [],
        "numpy": [
            bits["bit_generator"],
            torch.as_tensor(bits["state"]["key"].astype("int64")),
            int(bits["state"]["pos"]),
            int(bits["has_gauss"]),
            float(bits["gauss"]),
        ],
        "python": [version, list(numbers), gauss],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Puts the generators back to what `random_state` gave."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    if state["mps"] and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"][0])
    name, key, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, key.numpy().astype("uint32"), position, has_gauss, gauss))
    version, numbers, own_gauss = state["python"]
    random.setstate((version, tuple(numbers), own_gauss))


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
    plain = [whole(t.detach()) for t in tensors]
    return [t.as_subclass(torch.Tensor).to("cpu", copy=True) for t in plain]


def model_state(model: Any) -> dict[str, Any]:
    """The weights, the optimizer and the metrics."""
    return {
        "weights": copies(_tensors_of(model)),
        "optimizer": model.optimizer.state_dict(),
        "metrics": [copies(metric.variables) for metric in model.metrics],
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
    model.optimizer.load_state_dict(state["optimizer"])


@torch.no_grad()
def set_metrics(model: Any, state: dict[str, Any], where: str) -> None:
    """Puts the sums of the metrics back, in the middle of an epoch.

    Raises:
        DataError: The sums of other metrics.
    """
    own = [metric.variables for metric in model.metrics]
    if [len(sums) for sums in own] != [len(sums) for sums in state["metrics"]]:
        raise DataError(f"The backup in {where} was made with other metrics: compile() with the same as before.")
    for sums, saved in zip(own, state["metrics"], strict=True):
        for tensor, value in zip(sums, saved, strict=True):
            tensor.copy_(value)


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
        for value in [_plain(kept)]
        if value is not NotImplemented
    }


def set_callback_state(callback: Any, state: dict[str, Any]) -> None:
    """Puts back what `callback_state` gave."""
    for name, value in state.items():
        setattr(callback, name, _unplain(value))


def _plain(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return {"array": torch.as_tensor(value.copy())}
    if type(value) in (list, dict):
        items = value.values() if isinstance(value, dict) else value
        plain = [_plain(item) for item in items]
        if any(item is NotImplemented for item in plain):
            return NotImplemented
        return {"dict": dict(zip(value, plain, strict=True))} if isinstance(value, dict) else plain
    return NotImplemented


def _unplain(value: Any) -> Any:
    if isinstance(value, list):
        return [_unplain(item) for item in value]
    if isinstance(value, dict):
        if "array" in value:
            return value["array"].numpy()
        return {key: _unplain(item) for key, item in value["dict"].items()}
    return value
