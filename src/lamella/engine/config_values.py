"""Values in configs that JSON has no form for: arrays, tensors, bytes, slices and `...`, in the form of Keras.

Functions of torch are written in a form of the same kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lamella.engine import torch_functions
from lamella.engine.device import default_device
from lamella.engine.dtypes import dtype_name, torch_dtype


def to_config(value: Any) -> Any:
    """The config of such a value (that of a number in an array or a tensor is the number); None for any other.

    Example:
        >>> to_config(np.arange(2))
        {'class_name': '__numpy__', 'config': {'value': [0, 1], 'dtype': 'int64'}}
        >>> from_config(to_config(slice(None, 3)))
        slice(None, 3, None)
    """
    if isinstance(value, bytes):
        return _written("bytes", value=value.decode())
    if isinstance(value, slice):
        return _written("slice", start=_part(value.start), stop=_part(value.stop), step=_part(value.step))
    if value is Ellipsis:
        return _written("ellipsis")
    if isinstance(value, torch.Tensor):
        return _written("tensor", value=value.tolist(), dtype=dtype_name(value.dtype)) if value.ndim else value.item()
    if isinstance(value, (np.ndarray, np.generic)):
        return _written("numpy", value=value.tolist(), dtype=str(value.dtype)) if value.ndim else value.item()
    if callable(value) and (name := torch_functions.name_of(value)):
        return _written("torch_function", name=name)
    return None


def exactly(value: Any) -> Any:
    """The config of a data type, or of a tensor without axes, for functions that take no name and no number instead."""
    if isinstance(value, torch.dtype):
        return _written("dtype", value=dtype_name(value))
    if isinstance(value, torch.Tensor) and not value.ndim:
        return _written("tensor", value=value.item(), dtype=dtype_name(value.dtype))
    return to_config(value)


def _written(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": f"__{kind}__", "config": config}


def _part(value: Any) -> Any:
    config = to_config(value)
    return value if config is None else config


def is_value(config: dict[str, Any]) -> bool:
    """Whether the config is of such a value."""
    return config.get("class_name") in _READ


def from_config(config: dict[str, Any]) -> Any:
    """The value that `to_config`, here or in Keras, described."""
    return _READ[config["class_name"]](config.get("config") or {})


def _read_part(value: Any) -> Any:
    return from_config(value) if isinstance(value, dict) else value


_READ: dict[str, Callable[[dict[str, Any]], Any]] = {
    "__bytes__": lambda config: config["value"].encode(),
    "__slice__": lambda config: slice(*(_read_part(config[name]) for name in ("start", "stop", "step"))),
    "__ellipsis__": lambda config: Ellipsis,
    "__tensor__": lambda config: torch.tensor(
        config["value"], dtype=torch_dtype(config["dtype"]), device=default_device()
    ),
    "__dtype__": lambda config: torch_dtype(config["value"]),
    "__numpy__": lambda config: np.array(config["value"], dtype=config["dtype"]),
    "__torch_function__": lambda config: torch_functions.function_named(config["name"]),
}
