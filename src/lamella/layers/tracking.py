"""Lists and dicts of layers as attributes: `self.blocks = [Dense(8), Dense(8)]` registers both layers.

`torch.nn.Module` sees only modules set as attributes themselves. Here a list or dict keeps a hidden
container module in step with what it holds, so parameters, `state_dict` and `to(device)` see its layers
(under the names `torch.nn.ModuleList` would give them).
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.utils import _pytree as pytree


class _Container(nn.Module):
    """Holds the modules of one tracked list or dict."""

    def sync(self, items: Any) -> None:
        self._modules.clear()
        for key, item in items:
            if isinstance(item, nn.Module):
                self._modules[str(key).replace(".", "_")] = item
            elif isinstance(item, (TrackedList, TrackedDict)):
                self._modules[str(key).replace(".", "_")] = item.container


class TrackedList(list):
    """A list whose modules belong to the layer that holds it."""

    def __init__(self, items: Any = ()) -> None:
        super().__init__(tracked(item) for item in items)
        self.container = _Container()
        self._sync()

    def _sync(self) -> None:
        self.container.sync(enumerate(self))


class TrackedDict(dict):
    """A dict whose modules belong to the layer that holds it."""

    def __init__(self, items: Any = ()) -> None:
        super().__init__({key: tracked(item) for key, item in dict(items).items()})
        self.container = _Container()
        self._sync()

    def _sync(self) -> None:
        self.container.sync(self.items())


def _then_sync(cls: type, name: str) -> None:
    method = getattr(cls.__mro__[1], name)

    def synced(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        if hasattr(self, "container"):  # not yet while being copied or unpickled
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
