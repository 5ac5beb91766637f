"""Random generators, numbers, texts, arrays and lists of them as data that `torch.load(weights_only=True)` reads."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from lamella.engine.device import accelerator

_SIMPLE = (bool, int, float, str, type(None))


def random_state() -> dict[str, Any]:
    """The states of Python's, NumPy's and torch's generators, those of the accelerator under its kind."""
    version, numbers, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "numpy": plain(np.random.get_state(legacy=False)),
        "python": [version, list(numbers), gauss],
        **_of_accelerator(),
    }


def _of_accelerator() -> dict[str, list[torch.Tensor]]:
    if (kind := accelerator()) is None:
        return {}
    device = torch.get_device_module(kind)
    of_all = getattr(device, "get_rng_state_all", None)
    return {kind: [device.get_rng_state()] if of_all is None else of_all()}


def set_random_state(state: dict[str, Any]) -> None:
    """Puts the generators back to what `random_state` gave."""
    torch.set_rng_state(state["torch"])
    kind = accelerator()
    if kind is not None and state.get(kind):
        device = torch.get_device_module(kind)
        for i, each in enumerate(state[kind][: torch.accelerator.device_count()]):
            device.set_rng_state(each, *([i] if kind != "mps" else []))
    np.random.set_state(unplain(state["numpy"]))
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))


def plain(value: Any, most_axes: int = 64) -> Any:
    """A copy of `value` as plain data; NotImplemented for what is none of it, or has an array of more axes.

    Example:
        >>> unplain(plain({"order": np.arange(3), "files": [("a.png", 0)]}))
        {'order': array([0, 1, 2]), 'files': [('a.png', 0)]}
        >>> plain(object())
        NotImplemented
    """
    if type(value) in _SIMPLE:
        return value
    if isinstance(value, np.integer):
        return int(value)
    if type(value) is np.ndarray and value.ndim <= most_axes:
        if value.dtype.kind == "U":
            return {"texts": value.tolist()}
        return {"array": torch.as_tensor(value.copy())} if value.dtype.kind in "fiub" else NotImplemented
    if type(value) is torch.Tensor and value.ndim <= most_axes:
        return {"tensor": value.detach().to("cpu", copy=True)}
    if type(value) in (list, tuple, dict):
        items = value.values() if isinstance(value, dict) else value
        copies = [plain(item, most_axes) for item in items]
        if any(item is NotImplemented for item in copies):
            return NotImplemented
        if isinstance(value, dict):
            return {"dict": dict(zip(value, copies, strict=True))}
        return copies if isinstance(value, list) else {"tuple": copies}
    return NotImplemented


def unplain(value: Any) -> Any:
    """A copy of what `plain` was given."""
    if isinstance(value, list):
        return [unplain(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, kept),) = value.items()
    if kind == "array":
        return kept.numpy().copy()
    if kind == "texts":
        return np.array(kept)
    if kind == "tuple":
        return tuple(unplain(item) for item in kept)
    return {key: unplain(item) for key, item in kept.items()} if kind == "dict" else kept.clone()


def same(one: Any, other: Any) -> bool:
    """Whether two plain values are equal."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def generator_state(value: Any) -> Any:
    """The state of a generator of Python, NumPy or torch, as plain data; NotImplemented for anything else."""
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, np.random.Generator):
        return plain(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return plain(value.get_state(legacy=False))
    return plain(value.getstate()) if isinstance(value, random.Random) else NotImplemented


def set_generator_state(generator: Any, state: Any) -> None:
    """Puts a generator back to what `generator_state` gave."""
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = unplain(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(unplain(state))
    else:
        generator.setstate(unplain(state))
