"""Computing with other values in the place of weights and states, which stay as they are.

Weights lie in dicts and lists of what holds them (layers, metrics): there, other tensors take their places for a while.
So gradients flow to those, by `torch.autograd` and by `torch.func`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import MethodType
from typing import Any

import torch
from torch import nn

from lamella.engine.variable import State, Weight
from lamella.errors import ArgumentError, ShapeError

trained: set[int] = set()
"""The ids of tensors that stand in the place of trainable weights: they may be plain tensors, which ask no gradient."""


class Exchange:
    """Within it, tensors are in the place of weights and states.

    Args:
        holders: What holds the weights: modules, and other objects that have them as attributes or in lists there.

    Example:
        >>> import lamella, torch
        >>> layer = lamella.layers.Dense(1, use_bias=False)
        >>> layer.build((None, 2))
        >>> exchange = Exchange([layer])
        >>> exchange.put(layer.weights, [torch.ones(2, 1)], "weights")
        >>> with exchange:
        ...     layer(torch.ones(1, 2))
        tensor([[2.]])
    """

    def __init__(self, holders: Iterable[Any]) -> None:
        self._holders = list(holders)
        self._now: dict[int, torch.Tensor] = {}
        self._trained: list[int] = []
        self._undo: list[tuple[Any, Any, torch.Tensor]] = []

    def put(self, own: Sequence[torch.Tensor], values: Sequence[Any], name: str) -> None:
        """Says what takes the place of weights: copies of the values, which layers may change.

        Args:
            own: The weights.
            values: A tensor or an array for each.
            name: What they are called in an error.

        Raises:
            ArgumentError: Another number of values than of weights.
            ShapeError: A value of another shape than its weight.
        """
        if len(values) != len(own):
            raise ArgumentError(f"`{name}` needs a tensor for each of the {len(own)} variables; got {len(values)}.")
        for i, (weight, value) in enumerate(zip(own, values, strict=True)):
            found = torch.as_tensor(value, device=weight.device).to(weight.dtype)
            if found.shape != weight.shape:
                raise ShapeError(
                    f"`{name}`[{i}] has shape {tuple(found.shape)}; its variable has {tuple(weight.shape)}."
                )
            self._now[id(weight)] = changeable(found)
            if weight.requires_grad:
                self._trained.append(id(self._now[id(weight)]))

    def now(self, own: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        """The tensors in the place of weights, as they are now."""
        return [plain(self._now.get(id(weight), weight)) for weight in own]

    def __enter__(self) -> Exchange:
        for place in _places(self._holders):
            for key, value in _entries(place):
                if id(value) in self._now:
                    self._undo.append((place, key, value))
        for place, key, value in self._undo:
            place[key] = self._now[id(value)]
        trained.update(self._trained)
        return self

    def __exit__(self, *exception: Any) -> None:
        for place, key, value in self._undo:
            place[key] = value
        self._undo.clear()
        trained.difference_update(self._trained)


def _places(holders: Iterable[Any]) -> Iterator[Any]:
    """The dicts and lists in which holders have their weights."""
    for holder in holders:
        attributes = vars(holder)
        yield attributes
        if isinstance(holder, nn.Module):
            yield holder._parameters
            yield holder._buffers
        yield from (value for value in attributes.values() if type(value) in (list, dict))


def _entries(place: Any) -> list[tuple[Any, Any]]:
    found = place.items() if isinstance(place, dict) else enumerate(place)
    return [(key, value) for key, value in found if isinstance(value, torch.Tensor)]


def changeable(value: torch.Tensor) -> torch.Tensor:
    """A copy that has Keras's methods of variables (`assign`, ...), and that gradients flow through."""
    if value.requires_grad or torch._C._are_functorch_transforms_active():
        with torch.enable_grad():  # a layer may first change it where it asks for no gradients
            return _with_methods(value.clone(memory_format=torch.preserve_format))
    state = State(value.detach().clone(memory_format=torch.preserve_format))
    state.stands_in = True  # type: ignore[attr-defined]
    return state


def _with_methods(copy: torch.Tensor) -> torch.Tensor:
    for method in ("assign", "assign_add", "assign_sub", "_like"):
        setattr(copy, method, MethodType(getattr(State, method), copy))
    return copy


def plain(value: torch.Tensor) -> torch.Tensor:
    """A variable's value as a tensor of its own, which later changes leave alone; other tensors as they are."""
    if isinstance(value, (Weight, State)):
        return value.detach().as_subclass(torch.Tensor).clone()
    return value
