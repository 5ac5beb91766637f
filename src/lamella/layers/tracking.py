"""Lists and dicts of layers as attributes: `self.blocks = [Dense(8), Dense(8)]` registers both layers.

`torch.nn.Module` sees only modules set as attributes themselves. So a tracked list or dict is a module as well, which
keeps in step with what it holds: parameters, `state_dict`, `to(device)`, `get_submodule` and
`torch.func.functional_call` see its layers under the names that `torch.nn.ModuleList` would give them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.utils import _pytree as pytree


class _Tracked(nn.Module):
    """The module that a tracked list or dict is."""

    def __init__(self) -> None:
        super().__init__()
        self.training = False  # as in layers: `fit` trains

    def _hold(self, items: Iterable[tuple[Any, Any]]) -> None:
        self._modules.clear()
        for key, item in items:
            if isinstance(item, nn.Module):
                self._modules[str(key).replace(".", "_")] = item


class TrackedList(list, _Tracked):  # type: ignore[misc]
    """A list whose modules belong to the layer that holds it."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # torch keeps modules in sets

    def __init__(self, items: Any = ()) -> None:
        _Tracked.__init__(self)
        list.__init__(self, (tracked(item) for item in items))
        self._sync()

    def _sync(self) -> None:
        self._hold(enumerate(self))


class TrackedDict(dict, _Tracked):  # type: ignore[misc]
    """A dict whose modules belong to the layer that holds it."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __init__(self, items: Any = ()) -> None:
        _Tracked.__init__(self)
        dict.__init__(self, {key: tracked(item) for key, item in dict(items).items()})
        self._sync()

    def _sync(self) -> None:
        self._hold(self.items())


def _then_sync(cls: type, name: str) -> None:
    method = getattr(cls.__mro__[1], name)

    def synced(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        if "_modules" in self.__dict__:  # not yet while being copied or unpickled
            self._sync()
        return result

    setattr(cls, name, synced)


for _name in (
    "append",
    "extend",
    "insert",
    "pop",
    "remove",
    "clear",
    "reverse",
    "__setitem__",
    "__delitem__",
    "__iadd__",
):
    _then_sync(TrackedList, _name)
for _name in ("__setitem__", "__delitem__", "pop", "popitem", "clear", "update", "setdefault", "__ior__"):
    _then_sync(TrackedDict, _name)


# Tensors kept in them are inputs of layers and results as those in plain ones are: `Add()(self.branches)`.
pytree.register_pytree_node(TrackedList, lambda held: (list(held), None), lambda items, _: list(items))
pytree.register_pytree_node(
    TrackedDict, lambda held: (list(held.values()), list(held)), lambda items, keys: dict(zip(keys, items, strict=True))
)


def tracked(value: Any) -> Any:
    """`value`, or its tracked twin if it is a plain list or dict."""
    if type(value) is list:
        return TrackedList(value)
    if type(value) is dict:
        return TrackedDict(value)
    return value
