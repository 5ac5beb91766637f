"""The graph of a functional model as plain data, in Keras's form, and back.

Every layer (and every operation) is written once, with one entry in `inbound_nodes` for each of its calls. A
tensor is named by its history: who made it, in which of its calls, and which of that call's outputs it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils import _pytree as pytree

from lamella.engine import config_values
from lamella.engine.device import default_device
from lamella.engine.dtypes import dtype_name, torch_dtype
from lamella.engine.graph import Graph
from lamella.engine.registry import deserialize, serialize
from lamella.engine.symbolic import Node, SymbolicTensor, record
from lamella.errors import FileError
from lamella.layers.base import Layer
from lamella.training import operations

_AS_WRITTEN = "as_written"
"""Says that a call's `training` was given by the user. Keras writes its default too, which tells nothing."""


def graph_config(graph: Graph) -> dict[str, Any]:
    """`layers`, `input_layers` and `output_layers` of a graph."""
    nodes = graph.nodes_by_depth()
    makers = list({_key(node): node for node in nodes}.values())
    calls = {_key(maker): _calls_of(maker, nodes) for maker in makers}
    place = {id(node): index for found in calls.values() for index, node in enumerate(found)}

    def history(tensor: SymbolicTensor) -> list[Any]:
        node = tensor.node
        assert node is not None
        outputs = [id(leaf) for leaf in pytree.tree_leaves(node.outputs)]
        return [node.name, place[id(node)], outputs.index(id(tensor))]

    def end(tensor: SymbolicTensor) -> list[Any]:
        name, call, index = history(tensor)
        return [name, call + _own_calls(tensor.node), index]

    return {
        "layers": [_maker_config(maker, calls[_key(maker)], history) for maker in makers],
        "input_layers": _map(end, graph.inputs),
        "output_layers": _map(end, graph.outputs),
    }


def _key(node: Node) -> int:
    return id(node.function) if node.is_layer else id(node)


def _calls_of(maker: Node, nodes: list[Node]) -> list[Node]:
    """The calls of a layer that belong to the graph, in the order in which they were made."""
    if not isinstance(maker.function, Layer):
        return [maker]
    inside = {id(node) for node in nodes}
    return [node for node in maker.function._nodes if id(node) in inside]


def _own_calls(node: Any) -> int:
    """At the ends of a graph, though not within it, Keras counts the making of a functional model as its first call."""
    return 1 if getattr(node.function, "is_functional", False) else 0


def _maker_config(maker: Node, calls: list[Node], history: Any) -> dict[str, Any]:
    if isinstance(maker.function, Layer):
        config = serialize(maker.function)
        config["inbound_nodes"] = [_call_config(node.args, node.kwargs, history) for node in calls if node.inputs]
    else:
        config, args, kwargs = operations.to_config(maker)
        exact = config["module"] == "torch"
        config["inbound_nodes"] = [_call_config(args, kwargs, history, exact)]
    config["name"] = maker.name
    return config


def _call_config(args: Any, kwargs: Any, history: Any, exact: bool = False) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, SymbolicTensor):
            config = {"shape": value.shape, "dtype": dtype_name(value.dtype), "keras_history": history(value)}
            return {"class_name": "__keras_tensor__", "config": config}
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(each) for each in value]
        if exact and (config := config_values.exactly(value)) is not None:
            return config
        return serialize(value) if not isinstance(value, torch.dtype) else dtype_name(value)

    return {"args": plain(args), "kwargs": plain(kwargs), _AS_WRITTEN: True}


def _map(function: Any, structure: Any) -> Any:
    """`structure` with each tensor replaced; a lone tensor as Keras writes it, without a list around it."""
    if isinstance(structure, SymbolicTensor):
        return function(structure)
    if isinstance(structure, dict):
        return {key: _map(function, value) for key, value in structure.items()}
    mapped = [_map(function, value) for value in structure]
    return tuple(mapped) if isinstance(structure, tuple) else mapped


def graph_from_config(config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
    """The symbolic inputs and outputs that `graph_config` (here or in Keras) described.

    Raises:
        FileError: A call that refers to a layer or call that does not exist.
    """
    makers = {each["name"]: _Maker(each, custom_objects) for each in config["layers"]}
    waiting = [maker for maker in makers.values() if maker.calls]
    while waiting:
        ready = [maker.advance(makers) for maker in waiting]  # all are tried: one may feed the next
        if not any(ready):
            names = [maker.name for maker in waiting]
            raise FileError(f"The model's graph cannot be rebuilt: the inputs of {names} are never made.")
        waiting = [maker for maker in waiting if maker.calls]
    return _tensors(config["input_layers"], makers), _tensors(config["output_layers"], makers)


class _Maker:
    """A layer or an operation that is being called as its config says, as far as its inputs exist."""

    def __init__(self, config: dict[str, Any], custom_objects: Mapping[str, Any] | None) -> None:
        self.name = config["name"]
        self.calls = list(config.get("inbound_nodes") or [])
        self.function = operations.from_config(config) or deserialize(config, custom_objects)
        self.outputs: list[Any] = []
        if isinstance(self.function, Layer):
            self.outputs = [node.outputs for node in self.function._nodes if not node.inputs]  # an InputLayer's

    def advance(self, makers: dict[str, _Maker]) -> bool:
        """Makes the calls whose inputs exist; whether there was one."""
        before = len(self.calls)
        while self.calls:
            try:
                args, kwargs = _arguments(self.calls[0], makers)
            except _NotYet:
                break
            call = self.calls.pop(0)
            if not (isinstance(call, dict) and call.get(_AS_WRITTEN)) and not hasattr(self.function, "fit"):
                kwargs.pop("training", None)
            self.outputs.append(self._called(args, kwargs))
        return len(self.calls) < before

    def _called(self, args: Any, kwargs: Any) -> Any:
        if not isinstance(self.function, tuple):  # a layer, or an `Operation` that a user wrote
            if kwargs.get("mask", False) is None:
                kwargs.pop("mask")
            return self.function(*args, **kwargs)
        function, fixed = self.function
        args, kwargs = operations.arguments(function, args, {**fixed, **kwargs})
        return record(function, args, kwargs, self.name)


class _NotYet(Exception):
    """A tensor that is yet to be made."""


def _arguments(call: Any, makers: dict[str, _Maker]) -> tuple[Any, dict[str, Any]]:
    if isinstance(call, list):  # the form before Keras 3: [[name, node, tensor, kwargs], ...]
        tensors = [_made(entry[:3], makers) for entry in call]
        return (tensors[0] if len(tensors) == 1 else tensors,), dict(call[0][3]) if len(call[0]) > 3 else {}

    def filled(value: Any) -> Any:
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            return _made(value["config"]["keras_history"], makers)
        if isinstance(value, dict) and value.get("class_name") in ("__tensor__", "__numpy__"):
            constant = value["config"]
            return torch.tensor(constant["value"], dtype=torch_dtype(constant["dtype"]), device=default_device())
        if isinstance(value, dict) and "class_name" in value:
            return deserialize(value)
        if isinstance(value, dict):
            return {key: filled(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [filled(each) for each in value]
        return value

    return tuple(filled(call["args"])), filled(call["kwargs"])


def _made(history: Any, makers: dict[str, _Maker]) -> Any:
    name, call, tensor = history
    if name not in makers:
        raise FileError(f"The model's graph refers to {name!r}, but no layer has that name.")
    outputs = makers[name].outputs
    if call >= len(outputs):
        raise _NotYet
    leaves = pytree.tree_leaves(outputs[call])
    if tensor >= len(leaves):
        raise FileError(f"The model's graph refers to output {tensor} of {name!r}, which has {len(leaves)}.")
    return leaves[tensor]


def _tensors(structure: Any, makers: dict[str, _Maker]) -> Any:
    if isinstance(structure, dict):
        return {key: _tensors(value, makers) for key, value in structure.items()}
    if len(structure) == 3 and isinstance(structure[0], str) and isinstance(structure[1], int):
        name, call, tensor = structure
        try:
            return _made([name, call - _own_calls(makers[name]) if name in makers else call, tensor], makers)
        except _NotYet:
            raise FileError(f"The model's graph refers to a call of {structure[0]!r} that does not exist.") from None
    tensors = [_tensors(each, makers) for each in structure]
    return tuple(tensors) if isinstance(structure, tuple) else tensors
