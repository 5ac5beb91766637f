"""`tf.Module`: an object that knows the variables and the modules in its attributes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch

from lamella.engine.variable import State, Weight
from lamella.errors import ArgumentError
from lamella.layers import Layer


class Module:
    """Collects the variables and modules that its attributes hold, also within lists, tuples and dicts.

    Attributes are looked through in the order of their names, each object is counted once, and what a module holds
    itself comes before what is in the modules that it holds. The weights of Keras's layers are counted, too.

    Args:
        name: A name that is an identifier of Python's; that of the class in small letters by default.

    Raises:
        ArgumentError: A name that is none.

    Example:
        >>> from lamella.tensorflow_stand_in import Variable
        >>> class Line(Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.slope, self.offset = Variable(2.0), Variable(1.0, trainable=False)
        >>> line = Line()
        >>> line.name, [v.item() for v in line.variables], [v.item() for v in line.trainable_variables]
        ('line', [1.0, 2.0], [2.0])
    """

    def __init__(self, name: str | None = None) -> None:
        if name is not None and not name.isidentifier():
            raise ArgumentError(f"A tf.Module's name must be an identifier, such as `my_module`; got {name!r}.")
        self._name = name or _in_small_letters(type(self).__name__)

    @property
    def name(self) -> str:
        """The name."""
        return self._name

    @property
    def name_scope(self) -> Any:
        """A context that changes nothing: names are not put together here."""
        return nullcontext(self._name)

    @classmethod
    def with_name_scope(cls, method: Callable[..., Any]) -> Callable[..., Any]:
        """A decorator that changes nothing."""
        return method

    @property
    def variables(self) -> tuple[torch.Tensor, ...]:
        """All variables."""
        return tuple(each for each in _within(self, set()) if isinstance(each, (Weight, State)))

    @property
    def trainable_variables(self) -> tuple[torch.Tensor, ...]:
        """The variables that gradients flow to."""
        return tuple(each for each in self.variables if each.trainable)  # type: ignore[attr-defined]

    @property
    def non_trainable_variables(self) -> tuple[torch.Tensor, ...]:
        """The variables that gradients do not flow to."""
        return tuple(each for each in self.variables if not each.trainable)  # type: ignore[attr-defined]

    @property
    def submodules(self) -> tuple[Any, ...]:
        """All modules within this one."""
        return tuple(each for each in _within(self, set()) if isinstance(each, Module))


def _within(module: Module | Layer, seen: set[int]) -> Iterator[Any]:
    """What a module holds, itself first, then what is in the modules that it holds; each object once."""
    inner = []
    held = module.weights if isinstance(module, Layer) else [part for _, part in sorted(vars(module).items())]
    for each in _leaves(held):
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, (Module, Layer)):
            inner.append(each)
    for each in inner:
        yield from _within(each, seen)


def _leaves(held: Any) -> Iterator[Any]:
    if isinstance(held, dict):
        held = [held[key] for key in sorted(held, key=str)]
    if isinstance(held, (list, tuple)):
        for each in held:
            yield from _leaves(each)
    else:
        yield held


def _in_small_letters(name: str) -> str:
    """MyModule as my_module."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
