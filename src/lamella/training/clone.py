"""`clone_model`: the same architecture with fresh weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch.utils import _pytree as pytree

from lamella.engine.registry import class_of, deserialize, functions_as_they_are, serialize
from lamella.engine.symbolic import SymbolicTensor
from lamella.errors import ArgumentError
from lamella.layers.base import Layer
from lamella.metrics import Metric
from lamella.training.model import Model
from lamella.training.sequential import Sequential


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Any:
    """A model of new layers with the configs of `model`'s, and fresh weights, compiled as it is.

    Args:
        model: A `Sequential` or functional model (a subclassed one, if its config is complete).
        input_tensors: Symbolic tensors to build a functional or `Sequential` clone on.
        clone_function: Gives the new layer for each layer (not for inputs); by default one of the same config.
        call_function: Calls each new layer of a functional clone: `fn(layer, *args, **kwargs)`.
        recursive: Whether models inside are cloned by this function too.

    Raises:
        ArgumentError: A clone function for a model that is neither `Sequential` nor functional, or a call function
            for one that is not functional.

    Example:
        >>> import lamella
        >>> model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(3)])
        >>> clone_model(model).count_params()
        9
    """
    with functions_as_they_are():
        clone = _cloned(model, input_tensors, clone_function, call_function, recursive)
    if getattr(model, "compiled", False) and not clone.compiled:
        _compile_like(clone, model)
    return clone


def _compile_like(clone: Model, model: Model) -> None:
    if not type(model).compile.__module__.startswith("lamella."):
        clone.compile_from_config(model.get_compile_config() or {})
        return
    arguments = copy.deepcopy(model._compile_arguments)
    for metric in pytree.tree_leaves(arguments):
        if isinstance(metric, Metric):
            metric.reset_state()
    optimizer: Any = model.optimizer
    clone.compile(
        optimizer if optimizer is None else type(optimizer).from_config(optimizer.get_config()),
        **arguments,
        run_eagerly=model.run_eagerly,
        steps_per_execution=model.steps_per_execution,
        jit_compile=model.jit_compile,
        precision=model.precision,
    )


def _cloned(model: Any, input_tensors: Any, clone_function: Any, call_function: Any, recursive: bool) -> Any:
    new_layer = clone_function or _alike
    if recursive:
        new_layer = _into_models(new_layer, clone_function, call_function)
    if call_function is not None and not getattr(model, "is_functional", False):
        raise ArgumentError("`call_function` is for functional models.")
    if isinstance(model, Sequential):
        inputs = input_tensors if input_tensors is not None else model._start
        if isinstance(inputs, (list, tuple)):
            (inputs,) = inputs
        if inputs is model._start and inputs is not None:
            start = deserialize(_bare(serialize(inputs.node.function)))  # type: ignore[union-attr]
            return Sequential([start, *map(new_layer, model.layers)], name=model.name)
        return Sequential([*([inputs] if inputs is not None else []), *map(new_layer, model.layers)], name=model.name)
    if getattr(model, "is_functional", False):
        return _functional(
            model, input_tensors, new_layer, call_function or (lambda layer, *args, **kwargs: layer(*args, **kwargs))
        )
    if clone_function is not None or input_tensors is not None:
        raise ArgumentError("`clone_function` and `input_tensors` are for Sequential and functional models.")
    return type(model).from_config(model.get_config())


def _alike(layer: Layer) -> Layer:
    """A layer of the same config; the user's own classes need no name in `custom_objects` for that."""
    classes = {type(each).__name__: type(each) for each in layer.modules() if isinstance(each, Layer)}
    return deserialize(_bare(serialize(layer)), classes)


def _bare(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in ("build_config", "compile_config")}


def _into_models(new_layer: Any, clone_function: Any, call_function: Any) -> Any:
    def one(layer: Any) -> Any:
        if getattr(layer, "is_functional", False):
            return clone_model(layer, None, clone_function, call_function, True)
        return (
            clone_model(layer, None, clone_function, None, True) if isinstance(layer, Sequential) else new_layer(layer)
        )

    return one


def _functional(
    model: Model, input_tensors: Any, new_layer: Callable[[Layer], Layer], call: Callable[..., Any]
) -> Model:
    graph = model._require_graph()
    if input_tensors is not None and isinstance(graph.inputs, dict) is not isinstance(input_tensors, dict):
        raise ArgumentError(f"`input_tensors` must be nested as the model's inputs: {graph.inputs!r}.")
    given = model._in_their_places(input_tensors) if input_tensors is not None else []
    made: dict[int, Any] = {}
    layers: dict[int, Any] = {}
    for index, tensor in enumerate(graph.input_list):
        assert tensor.node is not None
        new = given[index] if given else deserialize(_bare(serialize(tensor.node.function))).output
        made[id(tensor)] = new
    for node in graph.nodes:
        function: Any = node.function
        if isinstance(function, Layer):
            function = layers.setdefault(id(function), None) or new_layer(function)
            layers[id(node.function)] = function
        args, kwargs = pytree.tree_map_only(SymbolicTensor, lambda t: made[id(t)], (node.args, node.kwargs))
        outputs = call(function, *args, **kwargs) if node.is_layer else function(*args, **kwargs)
        for old, new in zip(pytree.tree_leaves(node.outputs), pytree.tree_leaves(outputs), strict=True):
            if isinstance(old, SymbolicTensor):
                made[id(old)] = new

    def mapped(structure: Any) -> Any:
        return pytree.tree_map_only(SymbolicTensor, lambda tensor: made[id(tensor)], structure)

    return class_of(model)(mapped(graph.inputs), mapped(graph.outputs), name=model.name)
