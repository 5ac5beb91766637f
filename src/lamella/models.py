"""Models, under Keras's module name."""

import json
from collections.abc import Mapping
from typing import Any

from lamella.engine.registry import deserialize
from lamella.training.clone import clone_model
from lamella.training.model import Model
from lamella.training.sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]  # noqa: F822


def __getattr__(name: str) -> Any:
    """Files are read and written by modules that are loaded at first use."""
    if name in ("load_model", "save_model"):
        from lamella import saving

        return getattr(saving, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The model that `to_json` described, with fresh weights.

    Example:
        >>> import lamella
        >>> model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(3)])
        >>> model_from_json(model.to_json()).count_params()
        9
    """
    return deserialize(json.loads(json_string), custom_objects)
