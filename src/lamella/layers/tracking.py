"""Lists and dicts of layers as attributes: `self.blocks = [Dense(8), Dense(8)]` registers both layers.

`torch.nn.Module` sees only modules set as attributes themselves. So a tracked list or dict is a module as well, which
keeps in step with what it holds: parameters, `state_dict`, `to(device)`, `get_submodule` and
`torch.func.functional_call` see its layers under the names that `torch.nn.ModuleList` would give them.

So are tuples and named tuples with layers in them.

Keras lists weights in the order in which a layer got its sublayers, whether as attributes or in lists: so both note
when that was.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from lamella.engine.device import bring_weights

_clock = itertools.count(time.time_ns())  # later than what an earlier process noted, in a pickle


class _Tracked(nn.Module):
    """The module that a tracked list or dict is."""

    def __init__(self) -> None:
        super().__init__()
        self.training = False  # as in layers: `fit` trains
        self._since: dict[str, int] = {}
        self._only_modules = False  # under the keys that they have here

    @property
    def _seen_by_compiler(self) -> bool:
        """Whether `torch.compile` asks, which sees a module and no list in it: then `_modules` stands for the items."""
        return torch.compiler.is_compiling() and self._only_modules

    def _hold(self, items: Iterable[tuple[Any, Any]]) -> None:
        items = list(items)
        before = {id(module): self._since[key] for key, module in self._modules.items()}
        holders = {id(each.holds): each for each in self._modules.values() if isinstance(each, TupleHolder)}
        self._modules.clear()
        self._since.clear()
        for key, item in items:
            if is_tuple(item) and holds_modules(item):
                item = holders.get(id(item)) or TupleHolder(item)
            if isinstance(item, nn.Module) and item is not self:
                key = str(key).replace(".", "_")
                if id(item) not in before and not hasattr(item, "save_own_variables"):  # no layer
                    bring_weights(item)
                    item.train(self.training)  # torch's modules begin in training
                self._modules[key] = item
                self._since[key] = before[id(item)] if id(item) in before else next(_clock)
        self._only_modules = list(self._modules) == [str(key) for key, _ in items]

    def _plain(self) -> Any:
        """The items in a list or dict of Python."""
        raise NotImplementedError

    def _fill(self, items: Any) -> None:
        """Takes the items of a list or dict of Python, while empty."""
        raise NotImplementedError

    def __copy__(self) -> Any:
        twin = type(self)()
        twin._fill(self._plain())
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        memo[id(self)] = twin = type(self)()
        twin._fill(copy.deepcopy(self._plain(), memo))
        _take_times(twin, self)
        twin.training = self.training
        return twin


def _take_times(twin: _Tracked, source: _Tracked) -> None:
    """The modules in `twin` came when those in `source` did."""
    twin._since.update(source._since)
    for key, module in source._modules.items():
        if isinstance(module, TupleHolder):
            _take_times(twin._modules[key], module)  # type: ignore[arg-type]


class TrackedList(list, _Tracked):  # type: ignore[misc]
    """A list whose modules belong to the layer that holds it."""

    def __hash__(self) -> int:  # type: ignore[override]  # torch keeps modules in sets
        return id(self)

    def __init__(self, items: Any = ()) -> None:
        _Tracked.__init__(self)
        list.__init__(self, (tracked(item) for item in items))
        self._sync()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values()) if self._seen_by_compiler else list.__iter__(self)

    def __len__(self) -> int:
        return len(self._modules) if self._seen_by_compiler else list.__len__(self)

    def __getitem__(self, place: Any) -> Any:
        return list(self._modules.values())[place] if self._seen_by_compiler else list.__getitem__(self, place)

    def _plain(self) -> list[Any]:
        return list(self)

    def _fill(self, items: list[Any]) -> None:
        self.extend(items)

    def _sync(self) -> None:
        for i, item in enumerate(self):
            if type(item) in (list, dict) or is_tuple(item):  # appended later: `self.stages.append([Dense(8)])`
                list.__setitem__(self, i, tracked(item))
        self._hold(enumerate(self))


class TrackedDict(dict, _Tracked):  # type: ignore[misc]
    """A dict whose modules belong to the layer that holds it."""

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def __init__(self, items: Any = ()) -> None:
        _Tracked.__init__(self)
        dict.__init__(self, {key: tracked(item) for key, item in dict(items).items()})
        self._sync()

    def __getitem__(self, key: Any) -> Any:
        return self._modules[str(key)] if self._seen_by_compiler else dict.__getitem__(self, key)

    def items(self) -> Any:
        """The pairs of keys and items."""
        return self._modules.items() if self._seen_by_compiler else dict.items(self)

    def values(self) -> Any:
        """The items."""
        return self._modules.values() if self._seen_by_compiler else dict.values(self)

    def _plain(self) -> dict[Any, Any]:
        return dict(self)

    def _fill(self, items: dict[Any, Any]) -> None:
        self.update(items)

    def _sync(self) -> None:
        for key, item in self.items():
            if type(item) in (list, dict) or is_tuple(item):
                dict.__setitem__(self, key, tracked(item))
        self._hold(self.items())


class TupleHolder(TrackedList):
    """The module that holds what is in a tuple. The tuple stays a plain one: none of Python's could be a module."""

    def __init__(self, items: Any = ()) -> None:
        super().__init__(items)
        self.holds = items


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
    """`value`, or its tracked twin if it is a plain list or dict; a tuple with modules has such twins in it."""
    if type(value) is list:
        return TrackedList(value)
    if type(value) is dict:
        return TrackedDict(value)
    if not (is_tuple(value) and holds_modules(value)):
        return value
    items = [tracked(item) for item in value]
    return tuple(items) if type(value) is tuple else type(value)(*items)


def is_tuple(value: Any) -> bool:
    """Whether `value` is a plain or a named tuple; `torch.Size` and other subclasses are neither."""
    return type(value) is tuple or (isinstance(value, tuple) and hasattr(value, "_fields"))


def holds_modules(value: Any, around: tuple[Any, ...] = ()) -> bool:
    """Whether a module is in a tuple, list or dict, or in those within; `around` are those that it stands in."""
    if not isinstance(value, (tuple, list, dict)):
        return isinstance(value, nn.Module)
    if any(value is each for each in around):
        return False
    around = (*around, value)
    return any(holds_modules(item, around) for item in (value.values() if isinstance(value, dict) else value))


def note_sublayer(layer: nn.Module, name: str) -> None:
    """Notes that `layer` got its sublayer `name` now, so that `children_in_order` knows."""
    layer.__dict__.setdefault("_since", {})[name] = next(_clock)


def children_in_order(module: nn.Module) -> list[nn.Module]:
    """The modules directly inside a module, lists and dicts opened, in the order in which it got them.

    A module that was not told of a child (one of a graph's layers, say) has them where they stand.

    Example:
        >>> import lamella
        >>> layer = lamella.layers.Layer()
        >>> layer.blocks = []
        >>> layer.head = lamella.layers.Dense(2)
        >>> layer.blocks.append(lamella.layers.Flatten())
        >>> [type(child).__name__ for child in children_in_order(layer)]
        ['Dense', 'Flatten']
    """
    children = [(name, child) for name, child in module._modules.items() if child is not None]
    if not any(isinstance(child, _Tracked) for _, child in children):
        return [child for _, child in children]
    since = module.__dict__.get("_since", {})
    if all(isinstance(child, _Tracked) or name in since for name, child in children):
        return [child for _, child in sorted(_with_time(module), key=lambda pair: pair[0])]
    return [
        inner
        for _, child in children
        for inner in (children_in_order(child) if isinstance(child, _Tracked) else [child])
    ]


def _with_time(module: nn.Module, outer: int = 0) -> Iterator[tuple[int, nn.Module]]:
    """The modules inside a module and its lists, each with when it came there; at `outer` or later."""
    since = module.__dict__.get("_since", {})
    for name, child in module._modules.items():
        came = max(outer, since.get(name, 0))  # a list may be older than its place
        if isinstance(child, _Tracked):
            yield from _with_time(child, came)
        elif child is not None:
            yield came, child
