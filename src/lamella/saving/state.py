"""The weights of a model as a tree of named places, the tree that Keras's files have.

A place is a path such as `layers/dense_1` or `optimizer`; at each place an object keeps its own weights under
"0", "1", ... A `Sequential` or functional model has its layers under `layers`, each by the kind that it is and a
running number, so that automatic names do not matter; any other layer has them by the names of its attributes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from torch import nn

from lamella.engine.naming import snake_case
from lamella.engine.registry import class_of
from lamella.layers.base import Layer
from lamella.layers.torch_module import TorchModule
from lamella.layers.torch_state import TorchState, layers_within
from lamella.layers.tracking import children_in_order

_KINDS = {"GroupQueryAttention": "grouped_query_attention", "TorchModule": "torch_module_wrapper"}
"""Where Keras's own name of a class is not its public one."""
_INTERNAL = frozenset(
    """
    _modules _parameters _buffers _nodes _graph_layers _chain _plan _direct _init_arguments _build_config
    _compile_arguments _own_metrics _since
    """.split()
)
_NEVER = frozenset(
    ["input", "output", "losses", "weights", "variables", "trainable_weights", "metrics", "history", "stop_training"]
)


def places(model: Any, skip: Iterable[Any] = ()) -> Iterator[tuple[str, Any]]:
    """Each path with the object that keeps weights there; every object once, at its first place.

    Objects to skip are left out with all that is in them alone. A module of plain torch keeps its tensors by their
    names in `state_dict`.
    """
    for path, keeper in _objects(model, skip):
        yield path, TorchState(keeper) if _is_torch(keeper) else keeper


def _objects(model: Any, skip: Iterable[Any] = ()) -> Iterator[tuple[str, Any]]:
    return _walk(model, "", {id(each): each for each in skip})


def other_places(model: Any) -> dict[str, list[str]]:
    """The further paths of objects that have several, by the first: of attributes that are layers and properties too.

    A file may have the weights at any of them: Keras takes the name that comes first in the alphabet.
    """
    first = {id(keeper): path for path, keeper in _objects(model)}
    found: dict[str, list[str]] = {}
    for path, keeper in _objects(model):
        for name, child in [*_children(keeper), *_properties(keeper)]:
            for place, item in _held(child, f"{path}/{name}" if path else name):
                if place != first.get(id(item), place):
                    found.setdefault(first[id(item)], []).append(place)
    return found


def _properties(keeper: Any) -> Iterator[tuple[str, Any]]:
    """What properties of classes that are not ours give, if it keeps weights."""
    users = [cls for cls in type(keeper).__mro__ if cls.__module__.partition(".")[0] not in ("lamella", "torch")]
    for name in {name for cls in users for name, value in vars(cls).items() if isinstance(value, property)} - _NEVER:
        with suppress(Exception):  # it may want what the model has not yet
            value = getattr(keeper, name)
            if _keeps(value):
                yield name, value


def _walk(keeper: Any, path: str, seen: dict[int, Any]) -> Iterator[tuple[str, Any]]:
    if id(keeper) in seen:
        return
    seen[id(keeper)] = keeper
    yield path, keeper
    for name, child in _children(keeper):
        yield from _walk_into(child, f"{path}/{name}" if path else name, seen)


def _walk_into(child: Any, path: str, seen: dict[int, Any]) -> Iterator[tuple[str, Any]]:
    for place, item in _held(child, path):
        yield from _walk(item, place, seen)


def _held(child: Any, path: str, around: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """What keeps weights: the child itself, or what is in it, a container; each with its path."""
    if _keeps(child):
        yield path, child
        return
    if any(child is each for each in around):
        return
    count: Counter[str] = Counter()
    for item in list(child.values()) if isinstance(child, dict) else list(child):
        if not (_keeps(item) or _is_container(item)):
            continue
        kind = "container" if not _keeps(item) else _kind(item)
        number, count[kind] = count[kind], count[kind] + 1
        yield from _held(item, f"{path}/{kind}_{number}" if number else f"{path}/{kind}", (*around, child))


def _in_model(module: nn.Module) -> Iterator[nn.Module]:
    """The layers directly in a subclassed model and, as Keras counts them among those, its modules of plain torch."""
    for child in children_in_order(module):
        if isinstance(child, Layer) or _is_torch(child):
            yield child
        if not isinstance(child, Layer):
            yield from (layer for _, layer in layers_within(child))


def _kind(item: Any) -> str:
    if _is_torch(item):
        return "torch_module_wrapper"
    name = class_of(item).__name__
    plain = name == "Model" and getattr(item, "is_functional", False)
    return "functional" if plain else _KINDS.get(name) or snake_case(name)


def _keeps(value: Any) -> bool:
    return (hasattr(value, "save_own_variables") and not isinstance(value, type)) or _is_torch(value)


def _is_torch(value: Any) -> bool:
    """Whether it is a module of plain torch that has something to keep."""
    if not isinstance(value, nn.Module) or isinstance(value, (list, dict)) or hasattr(value, "save_own_variables"):
        return False
    return any(True for _ in value.parameters()) or any(True for _ in value.buffers())


def _is_container(value: Any) -> bool:
    return isinstance(value, (list, tuple, dict)) and len(value) > 0


def _children(keeper: Any) -> Iterator[tuple[str, Any]]:
    """What a layer or model holds: its layers first where it is a chain or a graph, then attributes by name."""
    if _is_torch(keeper):
        yield from ((name.replace(".", "/"), layer) for name, layer in layers_within(keeper))
        return
    if isinstance(keeper, TorchModule) and not isinstance(keeper.module, Layer):
        return
    if getattr(keeper, "_graph", None) is not None or hasattr(keeper, "_chain"):
        yield "layers", [*keeper.layers]
    attributes = {name: value for name, value in vars(keeper).items() if _keeps(value) or _is_container(value)}
    if isinstance(keeper, nn.Module):
        attributes |= {name: module for name, module in keeper._modules.items() if _keeps(module)}
    if hasattr(keeper, "fit") and not hasattr(keeper, "_chain"):
        attributes["layers"] = [*keeper.layers] if keeper._graph is not None else list(_in_model(keeper))
    named = {_public(keeper, name, value): value for name, value in attributes.items() if name not in _NEVER}
    for name in sorted(named, key=lambda name: (name.startswith("_"), name)):
        if not name.startswith("__") and name not in _INTERNAL:
            yield name, named[name]


def _public(keeper: Any, name: str, value: Any) -> str:
    """The name without its underscore, if the class has that as a property for the same thing."""
    public = name.lstrip("_")
    if name != public and isinstance(getattr(type(keeper), public, None), property):
        return public if getattr(keeper, public) is value else name
    return name
