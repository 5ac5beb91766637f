"""The part of a layer that takes up what is set as its attributes: layers, lists and dicts of them, weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from lamella.engine.device import bring_parameter, bring_weights, brought_to, default_device
from lamella.engine.variable import State, Weight
from lamella.layers.tracking import (
    TrackedDict,
    TrackedList,
    TupleHolder,
    holds_modules,
    is_tuple,
    note_sublayer,
    tracked,
)

HELD = (list, dict, tuple, nn.Module, nn.Parameter)
"""What may hold weights."""

_TRACKED = frozenset({list, dict, TrackedList, TrackedDict})
_OWN_LISTS = frozenset({"_chain", "_plan", "_direct", "_graph_layers", "_init_arguments"})


class HoldsSublayers(nn.Module):
    """A module that keeps its sublayers in the order in which they came. `Layer` builds on it."""

    _rename_weight: Callable[[str], None]

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(self.__dict__.get(name), tuple) and "_modules" in self.__dict__:
            self._modules.pop(f"{name}_items", None)
        if type(value) in _TRACKED and "_modules" in self.__dict__:
            if not name.startswith("_") or (name not in _OWN_LISTS and holds_modules(value)):
                value = tracked(value)
                self._modules.pop(name, None)
                self._modules[name] = value
                object.__setattr__(self, name, value)
                return
        elif name in ("trainable", "training", "rematerialize"):
            object.__setattr__(self, name, value)
            return
        elif is_tuple(value) and "_modules" in self.__dict__ and name not in _OWN_LISTS and holds_modules(value):
            self._modules.pop(name, None)
            value = tracked(value)
            self._modules[f"{name}_items"] = TupleHolder(value)  # torch finds modules by the names of attributes
            object.__setattr__(self, name, value)
            return
        elif isinstance(self.__dict__.get("_modules", {}).get(name), (TrackedList, TrackedDict)):
            self._modules.pop(name, None)
        elif name in self.__dict__.get("_modules", ()) and not (value is None or isinstance(value, nn.Module)):
            self._make_way(name)
        elif "_modules" not in self.__dict__ and isinstance(value, HELD):  # super().__init__() takes it up
            object.__setattr__(self, name, value)
            return
        elif type(value) is nn.Parameter:
            bring_parameter(value)
        is_new = isinstance(value, nn.Module) and name not in self.__dict__.get("_modules", ())
        if is_new:
            self._rename_weight(name)
        super().__setattr__(name, value)
        if is_new:
            note_sublayer(self, name)
        if isinstance(value, nn.Module) and not isinstance(value, HoldsSublayers):
            bring_weights(value)
            value.train(self.training)  # torch's modules begin in training

    def register_buffer(self, name: str, tensor: torch.Tensor | None, persistent: bool = True) -> None:
        """Adds a buffer, as `torch.nn.Module` does, on the device where weights are made."""
        if not isinstance(tensor, State):
            tensor = brought_to(default_device(), tensor)
        super().register_buffer(name, tensor, persistent)

    def _make_way(self, name: str) -> None:
        """Frees the name of a sublayer for what is no module. A layer of a graph stays, under another name."""
        module = self._modules.pop(name)
        if any(module is layer for layer in self.__dict__.get("_graph_layers", ())):
            self._modules[f"{name}_layer"] = module

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Any:
        before = {**self._parameters, **self._buffers}
        super()._apply(fn, recurse)
        self._keep_kinds(before)
        return self

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any) -> None:
        before = {**self._parameters, **self._buffers}
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)
        self._keep_kinds(before)

    def _keep_kinds(self, before: Mapping[str, torch.Tensor | None]) -> None:
        """Weights are weights still where torch has put plain tensors in their places: `to_empty`, `assign=True`."""
        for held in (self._parameters, self._buffers):
            for name, now in held.items():
                was = before.get(name)
                if now is None or not isinstance(was, (Weight, State)) or isinstance(now, type(was)):
                    continue
                made: Any = State(now) if isinstance(was, State) else Weight(now, now.requires_grad)
                made.__dict__.update(vars(was))
                made.grad = now.grad
                held[name] = made
