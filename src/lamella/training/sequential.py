"""`Sequential`: one layer after the other."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from lamella.engine.dtypes import STRING
from lamella.engine.graph import Graph, calls_can_be_direct
from lamella.engine.on_meta import off_meta
from lamella.engine.registry import deserialize, serialize
from lamella.engine.strings import as_strings
from lamella.engine.symbolic import SymbolicTensor
from lamella.errors import ArgumentError, LamellaError
from lamella.layers.base import Layer, registry
from lamella.layers.building import marks_itself
from lamella.layers.fusion import fused
from lamella.layers.input_layer import Input, InputLayer
from lamella.layers.modes import in_mode, is_other_mode
from lamella.layers.torch_module import TorchModule
from lamella.layers.unseen import unseen
from lamella.training.model import Model


@registry.register(written_as=("keras", "Sequential"))
class Sequential(Model):
    """A model whose layers are called one after the other.

    Args:
        layers: Layers, models or `torch.nn.Module`s; an `Input(shape)` may come first.
        trainable: Whether the weights are trained.
        name: A name.

    With an `Input` (or a first layer with `input_shape=...`) the weights are made at once; otherwise at the
    first data.

    Example:
        >>> import lamella
        >>> from lamella.layers import Dense
        >>> model = lamella.Sequential([lamella.Input((2,)), Dense(3, "relu"), Dense(1)])
        >>> model.count_params()
        13
    """

    def __init__(self, layers: Iterable[Any] | None = None, trainable: bool = True, name: str | None = None) -> None:
        super().__init__(trainable=trainable, name=name)
        self._chain: list[Layer] = []
        self._start: SymbolicTensor | None = None
        self._built_by_data = False  # no Input said the sizes
        self._plan: list[Any] = []
        self._direct: list[Any] = []
        for layer in layers or ():
            self._append(layer)
        self._rebuild()

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Adds a layer at the end."""
        self._append(layer)
        if rebuild:
            self._rebuild()

    def pop(self, rebuild: bool = True) -> Layer:
        """Removes the last layer and returns it."""
        if not self._chain:
            raise ArgumentError(f"Sequential {self.name!r} has no layer to remove.")
        layer = self._chain.pop()
        if layer not in self._chain:  # a layer may come more than once
            del self._modules[layer.name.replace(".", "_")]
        self._graph = None
        self.built = False
        if rebuild:
            self._rebuild()
        return layer

    def _append(self, layer: Any) -> None:
        if isinstance(layer, SymbolicTensor):
            if self._chain or self._start is not None:
                raise ArgumentError(f"Sequential {self.name!r}: an Input can only come first.")
            self._start = layer
            return
        if isinstance(layer, InputLayer):
            self._append(layer.input)
            return
        if not isinstance(layer, Layer):
            if not isinstance(layer, nn.Module):
                raise ArgumentError(
                    f"Sequential {self.name!r} takes layers and torch modules; got {layer!r} ({type(layer).__name__})."
                )
            layer = TorchModule(layer)
        key = layer.name.replace(".", "_")
        if self._modules.get(key, layer) is not layer:
            raise ArgumentError(
                f"Sequential {self.name!r} already has a layer named {layer.name!r}; names must be unique."
            )
        if not self._chain and self._start is None and layer.declared_input_shape is not None:
            self._start = Input(layer.declared_input_shape, dtype=_input_dtype(layer))
        elif not self._chain and self._start is None and isinstance(layer, Model) and layer._graph is not None:
            self._start = Input(batch_shape=layer.input_shape, dtype=_input_dtype(layer))
        self._chain.append(layer)
        self._modules[key] = layer

    def _rebuild(self) -> None:
        self._plan = _planned(self._chain)
        self._direct = [each.direct for each in self._plan]
        if self._start is not None and self._chain:
            self._trace(self._start)

    def _trace(self, start: SymbolicTensor) -> None:
        """Runs the layers that did not run on it yet on a symbolic input: makes their weights and finds the shapes."""
        x: Any = start
        done = 0
        if self._graph is not None and self._graph.inputs is start:
            x, done = self._graph.outputs, len(self._graph_layers)
        for layer in self._chain[done:]:
            x = layer(x)
        self._set_graph(Graph(start, x))

    def _register_layers(self, graph: Graph) -> list[Layer]:
        return list(self._chain)

    def get_config(self) -> dict[str, Any]:
        """The layers, one after the other, with the input if it is known."""
        layers: list[Any] = list(self._chain)
        if self._start is not None and self._start.node is not None and not self._built_by_data:
            layers.insert(0, self._start.node.function)
        config = {"name": self.name, "trainable": self._trainable, "layers": [serialize(layer) for layer in layers]}
        if self._start is not None:
            config["build_input_shape"] = self._start.shape
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Sequential:
        """The model that `get_config` (here or in Keras) described."""
        if "layers" not in config:
            return super().from_config(config)  # type: ignore[return-value]
        model = cls(name=config.get("name"))
        for i, each in enumerate(config["layers"]):
            twin = config["layers"].index(each)  # a layer that comes twice is one
            layer = model._chain[twin - i] if twin < i else deserialize(each, custom_objects, registry)
            model.add(layer, rebuild=False)
        model._rebuild()
        if config.get("build_input_shape") and not model.built:
            model.build(tuple(config["build_input_shape"]))
        if config.get("trainable") is False:
            model.trainable = False
        return model

    def get_build_config(self) -> dict[str, Any] | None:
        """The shape that makes the weights."""
        return None if self._start is None else {"input_shape": self._start.shape}

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return list(self._chain)

    @marks_itself
    def build(self, input_shape: Any = None) -> None:
        """Makes the weights for inputs of `input_shape` (batch first; the batch size is ignored)."""
        if self._graph is None and input_shape is not None:
            with off_meta():
                start = (None, *input_shape[1:])
                self._start = Input(batch_shape=start, dtype=_input_dtype(*self._chain[:1]))
                self._trace(self._start)
            self._built_by_data = True

    def _build(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x = args[0] if args else next(iter(kwargs.values()))
        if not self._chain:
            raise ArgumentError(f"Sequential {self.name!r} has no layers: add() some.")
        shape: Any = None
        if isinstance(x, (torch.Tensor, SymbolicTensor)):
            shape, dtype = x.shape, self._dtype if x.dtype.is_floating_point else x.dtype
        elif (strings := as_strings(x, "x")) is not None and strings.ndim:
            shape, dtype = strings.shape, STRING
        if shape is not None:
            start = Input(batch_shape=(None, *shape[1:]), dtype=dtype)
            if self._traced_by_data(start):
                self._start = start
                self._built_by_data = True
                return
        self._mark_built()

    def _traced_by_data(self, start: SymbolicTensor) -> bool:
        """Traces; False where a layer looks at the values of its inputs, so that it runs on data only."""
        try:
            with off_meta():
                self._trace(start)
        except RuntimeError as error:
            if "meta tensor" not in str(error):
                raise
            return False
        return True

    def _fitted(self, x: Any, wanted: SymbolicTensor, dtype: torch.dtype) -> Any:
        """As any model's; but where no `Input` said them, sizes that turn out to be others are unknown from then on."""
        if self._built_by_data and x.ndim == wanted.ndim:
            sizes = [own if own == size else None for own, size in zip(wanted.shape, x.shape, strict=True)]
            if tuple(sizes[1:]) != wanted.shape[1:]:
                with off_meta(), suppress(LamellaError, RuntimeError, ValueError):  # a layer needs the size
                    start = Input(batch_shape=(None, *sizes[1:]), dtype=wanted.dtype)
                    self._trace(start)
                    self._start = wanted = start
        return super()._fitted(x, wanted, dtype)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if self._in_segments and self.training and self._graph is not None:
            return super().call(inputs)
        if is_other_mode(self, training):
            with in_mode(self, bool(training)):
                return self.call(inputs)
        x = self._as_input_list(inputs)[0] if self._graph is not None else inputs
        for run in self._direct if calls_can_be_direct() else self._plan:
            x = run(x)
        return x


def _input_dtype(first: Layer | None = None) -> str | None:
    """The data type of an `Input` before this layer; None for the default."""
    return "string" if first is not None and first.wants_strings else None


def _planned(layers: list[Layer]) -> list[Any]:
    """What is called one after the other: layers, those that can be one as one, and what only layers see as unseen."""
    plan: list[Any] = []
    for layer in layers:
        pair = fused(plan[-1], layer) if plan and isinstance(plan[-1], Layer) else None
        if pair is not None:
            plan[-1] = pair
        else:
            plan.append(layer)
    return [*(unseen(each, [after]) for each, after in pairwise(plan)), *plan[-1:]]
