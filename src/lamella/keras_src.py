"""`keras.src`, the inside of Keras, as packages import from it: `from keras.src.layers.layer import Layer`.

Keras keeps each class in a file of its own and offers it in a public room; the inside of Lamella is another. So every
module below `keras.src` is a view of the public room that its path leads to, whatever file it names in it.
"""

from __future__ import annotations

import importlib
import types
from typing import Any

from lamella.errors import nearest

ROOTS = ("keras", "tensorflow.keras", "tensorflow.python.keras", "tf_keras")
"""The names that Keras goes by."""


def room_of(asked: str) -> str | None:
    """The public room for a module of the inside; None for one that has no room here.

    Example:
        >>> room_of("keras.src.layers.core.dense"), room_of("keras.src.engine.base_layer")
        ('lamella.layers', None)
    """
    prefixes = (f"{root}.src" for root in ROOTS)
    within = next((asked[len(each) :] for each in prefixes if asked == each or asked.startswith(each + ".")), None)
    if within is None:
        return None
    room = "lamella"
    for name in within.split(".")[1:]:
        module, name = importlib.import_module(room), _ROOMS.get(name, name)
        if name not in module.__all__ or not isinstance(getattr(module, name), types.ModuleType):
            break
        room += "." + name
    is_file = within.rpartition(".")[2].islower()  # `from keras.src.layers import Absent` asks for a module Absent, too
    return None if within and (room == "lamella" or not is_file) else room


class View(types.ModuleType):
    """A module of the inside: the names of a public room, and of the top of Keras."""

    def __init__(self, asked: str, room: str) -> None:
        super().__init__(asked, f"{asked}, answered by {room}.")
        self.__all__ = [name for name in importlib.import_module(room).__all__ if not name.startswith("_")]
        self._room = room

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        for room in (importlib.import_module(self._room), importlib.import_module("lamella")):
            if name in room.__all__:
                found = getattr(room, name)
                is_room = isinstance(found, types.ModuleType)
                return importlib.import_module(f"{self.__name__}.{name}") if is_room else found
        if name in _FILES:
            return importlib.import_module(f"{self.__name__}.{name}")
        if name in _INSIDE:
            home, _, own = _INSIDE[name].rpartition(".")
            return getattr(importlib.import_module(home), own)
        raise AttributeError(self._has_no(name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What was imported as a function from a file of the inside, and is not there."""
        raise ImportError(self._has_no(self.__name__.rpartition(".")[2]))

    def _has_no(self, name: str) -> str:
        close = nearest(name, self.__all__)
        return (
            f"{self.__name__} is the inside of Keras: of it Lamella has what is public in "
            f"{self._room.replace('lamella', 'keras', 1)}, and {name} is not."
            + (f" Nearest: {', '.join(close)}." if close else "")
        )


def as_it_is(method: Any) -> Any:
    """Decorator: the method as it is. Keras looks for no layers in what it assigns; here looking does no harm."""
    return method


def in_grain_data_pipeline() -> bool:
    """False: the data of `fit` do not go through Grain."""
    return False


_FILES = frozenset({"saving_lib", "serialization_lib", "tracking"})
"""Files of the inside that packages reach as attributes, without an import."""

_ROOMS = {"trainers": "models", "export": "saving"}
"""The public room of a folder of the inside, where it has another name."""

_INSIDE = {
    "Functional": "lamella.models.Model",
    "LossFunctionWrapper": "lamella.losses.base.LossFunctionWrapper",
    "in_grain_data_pipeline": "lamella.keras_src.in_grain_data_pipeline",
    "in_safe_mode": "lamella.engine.registry.in_safe_mode",
    "BaseConv": "lamella.layers.convolution.Convolution",
    "Conv": "lamella.layers.convolution.Convolution",
    "no_automatic_dependency_tracking": "lamella.keras_src.as_it_is",
    "get_keras_mask": "lamella.engine.masking.get_mask",
    "set_keras_mask": "lamella.engine.masking.set_mask",
}
"""What packages take from the inside and is public nowhere."""
