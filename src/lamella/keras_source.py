"""`keras.src`, the modules that Keras does not publish but that packages around it import from.

No module is copied: `keras.src.layers.core.dense` gives the names of `lamella.layers`, the room that its path begins
with, because every class of such a file stands in that room here. A short table has the names that stand in no public
room. Each is a module object of its own, so that nothing is written into the rooms.
"""

from __future__ import annotations

import importlib
import types
from typing import Any

_ROOMS = {"trainers": "models", "export": "saving", "wrappers": "wrappers", "distribution": "distribution"}
"""The room of ours, where it has another name than Keras's folder."""

_PRIVATE: dict[str, dict[str, str]] = {
    "backend": {
        "get_keras_mask": "lamella.engine.masking.get_mask",
        "set_keras_mask": "lamella.engine.masking.set_mask",
    },
    "backend.common": {},
    "backend.common.masking": {
        "get_keras_mask": "lamella.engine.masking.get_mask",
        "set_keras_mask": "lamella.engine.masking.set_mask",
    },
    "distribution.distribution_lib": {},
    "losses.losses": {"LossFunctionWrapper": "lamella.losses.base.LossFunctionWrapper"},
    "models.functional": {"Functional": "lamella.models.Model"},
    "saving.serialization_lib": {"in_safe_mode": "lamella.engine.registry.in_safe_mode"},
    "trainers.data_adapters": {},
    "trainers.data_adapters.data_adapter_utils": {
        "class_weight_to_sample_weights": "lamella.data.batch.class_weight_to_sample_weights"
    },
    "utils.backend_utils": {"in_grain_data_pipeline": "lamella.keras_source.in_grain_data_pipeline"},
}
"""Names that are in no room of Keras's public interface, by the module of `keras.src` that packages take them from."""


class SourceModule(types.ModuleType):
    """A module of `keras.src`: the names of a public room, and those private ones that packages ask of it.

    Args:
        path: What stands behind `keras.src.`; "" for `keras.src` itself.

    Example:
        >>> SourceModule("layers.core.dense").Dense.__name__
        'Dense'
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"keras.src.{path}".rstrip("."))
        self.__path__: list[str] = []
        self._below = path
        self._room = importlib.import_module(room_of(path))
        self.__all__ = list(getattr(self._room, "__all__", ()))

    def __getattr__(self, name: str) -> Any:
        private = _PRIVATE.get(self._below, {}).get(name)
        if private is not None:
            module, _, attribute = private.rpartition(".")
            return getattr(importlib.import_module(module), attribute)
        below = f"{self._below}.{name}".lstrip(".")
        if below in _PRIVATE or (not self._below and exists(name)):
            return importlib.import_module(f"keras.src.{below}")
        return getattr(self._room, name)


def room_of(path: str) -> str:
    """The name of the room whose names `keras.src.<path>` has.

    Example:
        >>> room_of("layers.core.dense"), room_of("")
        ('lamella.layers', 'lamella')
    """
    first = path.split(".")[0]
    return f"lamella.{_ROOMS.get(first, first)}" if first else "lamella"


def exists(path: str) -> bool:
    """Whether Lamella has a room for `keras.src.<path>`.

    Example:
        >>> exists("losses.losses"), exists("backend.jax"), exists("lossess")
        (True, False, False)
    """
    if path.startswith(("backend.jax", "backend.tensorflow", "backend.numpy", "backend.openvino")):
        return False
    first = path.split(".")[0]
    return first in _KERAS_ROOMS


_KERAS_ROOMS = frozenset(
    """
    activations applications backend callbacks constraints datasets distribution dtype_policies export initializers
    layers losses metrics models ops optimizers random regularizers saving trainers tree utils visualization wrappers
    """.split()
) | {""}


def in_grain_data_pipeline() -> bool:
    """False: the data of `fit` do not go through Grain."""
    return False


__all__ = ["SourceModule", "exists", "in_grain_data_pipeline", "room_of"]
