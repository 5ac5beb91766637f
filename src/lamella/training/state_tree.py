"""The weights and states of a model as nested dicts by their paths, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from lamella.engine.variable import as_array, whole
from lamella.errors import ArgumentError, nearest

_FORMS: dict[str, Callable[[Any], Any]] = {
    "backend_tensor": lambda value: torch.as_tensor(value).detach(),
    "numpy_array": lambda value: as_array(whole(torch.as_tensor(value).detach())),
}
_Entry = tuple[str, Any, Callable[[Any], Any]]
"""A path, the value that is there, and what puts another in its place."""


def get_state_tree(model: Any, value_format: str) -> dict[str, Any]:
    """See `Model.get_state_tree`."""
    if value_format not in _FORMS:
        raise ArgumentError(f"`value_format` must be one of {list(_FORMS)}; got {value_format!r}.")
    form = _FORMS[value_format]
    return {kind: _nested(kind, [(path, form(value)) for path, value, _ in list_()]) for kind, list_ in _of(model)}


def set_state_tree(model: Any, state_tree: dict[str, Any]) -> None:
    """See `Model.set_state_tree`."""
    lists = dict(_of(model))
    for kind, values in state_tree.items():
        if kind not in lists:
            raise ArgumentError(f"A state tree has {list(lists)}; there is no {kind!r}.")
        entries = {path: put for path, _, put in lists[kind]()}
        for path, value in _flat(values):
            if path not in entries:
                raise ArgumentError(
                    f"Model {model.name!r} has nothing at {path!r} among its {kind}. "
                    f"Nearest: {nearest(path, list(entries)) or list(entries)}."
                )
            entries[path](value)


def _of(model: Any) -> list[tuple[str, Callable[[], list[_Entry]]]]:
    return [
        ("trainable_variables", lambda: _weights(model.trainable_weights)),
        ("non_trainable_variables", lambda: _weights(model.non_trainable_weights)),
        ("optimizer_variables", lambda: _optimizer(model.optimizer) if model.optimizer is not None else []),
        ("metrics_variables", lambda: [each for metric in model._plain_metrics() for each in _sums(model, metric)]),
    ]


def _weights(weights: list[torch.Tensor]) -> list[_Entry]:
    return [(getattr(weight, "path", "") or str(i), weight, _into(weight)) for i, weight in enumerate(weights)]


def _optimizer(optimizer: Any) -> list[_Entry]:
    def rate(value: Any) -> None:
        optimizer.learning_rate = float(value)

    def iteration(value: Any) -> None:
        optimizer.iterations = int(value)

    entries: list[_Entry] = [
        (f"{optimizer.name}/iteration", optimizer.iterations, iteration),
        (f"{optimizer.name}/learning_rate", float(optimizer.learning_rate), rate),
    ]
    slots = (tensor for tensors in optimizer._slots.values() for tensor in tensors)
    return [*entries, *((tensor.path, tensor, _into(tensor)) for tensor in slots)]


def _sums(model: Any, metric: Any) -> list[_Entry]:
    reported = model._name_of(metric)
    names = {id(value): name.strip("_") for name, value in vars(metric).items() if isinstance(value, torch.Tensor)}
    return [(f"{reported}/{names.get(id(each), i)}", each, _into(each)) for i, each in enumerate(metric.variables)]


def _into(tensor: torch.Tensor) -> Callable[[Any], Any]:
    def put(value: Any) -> None:
        with torch.no_grad():
            tensor.copy_(torch.as_tensor(value, dtype=tensor.dtype, device=tensor.device).reshape(tensor.shape))

    return put


def _nested(kind: str, entries: list[tuple[str, Any]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in entries:
        *rooms, last = path.split("/")
        room = tree
        for name in rooms:
            room = room.setdefault(name, {})
        if last in room:
            raise ArgumentError(f"Two of the {kind} have the path {path!r}: give the layers names of their own.")
        room[last] = value
    return tree


def _flat(tree: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}/")
        else:
            yield before + name, value
