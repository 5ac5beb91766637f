"""Weights as Keras has them: made by `add_weight`, in lists, as arrays, trained or not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from lamella import constraints, regularizers
from lamella.engine.dtypes import torch_dtype
from lamella.engine.naming import auto_name, path_of, within
from lamella.engine.variable import State, Weight, as_array, copy_into
from lamella.errors import ArgumentError, NotBuiltError, ShapeError
from lamella.layers.tracking import children_in_order
from lamella.layers.weight_value import first_value
from lamella.metrics.base import Metric


class HoldsWeights(nn.Module):
    """A module with Keras's lists of weights: parameters are trained, buffers are not.

    `Layer` builds on it, and sets what is declared here.
    """

    name: str
    built: bool
    _dtype: Any
    _quick: bool
    _trainable: bool
    _as_it_is: set[str]
    _regularizers: dict[str, Any]
    _constraints: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        """Weights, states and sublayers, as in torch; and of a property that has no value yet, why it has none.

        torch would say that there is no such attribute, and nothing of the reason.
        """
        own = self.__dict__
        for held in ("_parameters", "_buffers", "_modules"):
            if held in own and name in own[held]:
                return own[held][name]
        asked = getattr(type(self), name, None)
        if isinstance(asked, property) and asked.fget is not None:
            return asked.fget(self)
        message = f"{type(self).__name__!r} object has no attribute {name!r}"
        if torch.compiler.is_compiling():  # which knows no names of arguments here
            raise AttributeError(message)
        raise AttributeError(message, name=name, obj=self)

    def add_weight(
        self,
        shape: Sequence[int] | int | None = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        name: str | None = None,
        memory_order: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """Makes a weight and registers it: a parameter if `trainable`, else a buffer.

        Args:
            shape: Its shape; a single number by default.
            initializer: How it is filled; glorot_uniform by default for floats, zeros for others.
            dtype: The layer's by default.
            trainable: False for what no gradient changes, such as moving averages.
            autocast: Whether a mixed policy casts it to the type that the layer computes in.
            regularizer: A penalty added to the loss.
            constraint: A projection applied after each update.
            aggregation: Kept for Keras's signature.
            name: The attribute name it is registered under; `weight`, `weight_1`, ... by default.
            memory_order: The axes from the slowest to the quickest varying in memory; the kernel of a
                convolution uses it to lie as its fastest implementation wants it.

        Returns:
            The weight: a `torch.Tensor` with Keras's `assign` and `numpy` besides.
        """
        if isinstance(shape, str):
            raise ArgumentError(
                f"Layer {self.name!r}: the first argument of add_weight is the shape; got {shape!r}. Give the name by "
                f"its keyword: add_weight(shape=..., name={shape!r})."
            )
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        kind = torch_dtype(dtype or self._dtype)
        value = first_value(self.name, shape, initializer, kind, memory_order)
        with within(self):
            path = path_of(name or auto_name("variable"))
        name = (name or "weight").replace(".", "_").replace("/", "_")
        if hasattr(type(self), name):  # "weights", say, which every layer has
            name = f"{name}_weight"
        name = self._free_name(name)
        if trainable and kind.is_floating_point:
            weight: torch.Tensor = Weight(value, requires_grad=self._trainable)
            self.__dict__.pop(name, None)
            self.register_parameter(name, weight)  # type: ignore[arg-type]
        else:
            weight = State(value)
            self.__dict__.pop(name, None)
            self.register_buffer(name, weight)
        weight.path = path  # type: ignore[attr-defined]
        if not autocast:
            self._as_it_is.add(name)
        if regularizer is not None:
            self._regularizers[name] = weight.regularizer = regularizers.get(regularizer)  # type: ignore[attr-defined]
        if constraint is not None:
            self._constraints[name] = weight.constraint = constraints.get(constraint)  # type: ignore[attr-defined]
        return weight

    def _free_name(self, name: str) -> str:
        """`name`, or `name_1`, `name_2`, ... where a weight or a layer has it already."""
        taken = self._parameters.keys() | self._buffers.keys() | self._modules.keys()
        return name if name not in taken else next(f"{name}_{i}" for i in count(1) if f"{name}_{i}" not in taken)

    def _rename_weight(self, name: str) -> None:
        """Frees `name`, if a weight was added under it, for a layer that is assigned under the same name."""
        for held in (self._parameters, self._buffers):
            if name in held:
                new = self._free_name(name)
                renamed: Any = {new if key == name else key: weight for key, weight in held.items()}
                held.clear()
                held.update(renamed)
                for attributes in (self._regularizers, self._constraints):
                    if name in attributes:
                        attributes[new] = attributes.pop(name)
                if name in self._as_it_is:
                    self._as_it_is.add(new)

    def add_variable(self, shape: Any, initializer: Any, **kwargs: Any) -> torch.Tensor:
        """`add_weight` under its other Keras name."""
        return self.add_weight(shape, initializer, **kwargs)

    @property
    def trainable(self) -> bool:
        """Whether the weights are trained. Setting it sets it for every sublayer: False freezes them all."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = bool(value)
        for module in self.modules():
            if isinstance(module, HoldsWeights):
                module._trainable = value
            for parameter in module._parameters.values():
                if parameter is not None and parameter.is_floating_point():
                    parameter.requires_grad_(value)

    @property
    def weights(self) -> list[torch.Tensor]:
        """All weights, a layer's own first: parameters, then buffers."""
        found: dict[int, torch.Tensor] = {}
        _collect_weights(self, found)
        return list(found.values())

    @property
    def variables(self) -> list[torch.Tensor]:
        """The same as `weights`."""
        return self.weights

    @property
    def trainable_weights(self) -> list[torch.Tensor]:
        """The weights that training changes."""
        return [weight for weight in self.weights if weight.requires_grad]

    @property
    def non_trainable_weights(self) -> list[torch.Tensor]:
        """The weights that training leaves alone: buffers, and everything frozen."""
        return [weight for weight in self.weights if not weight.requires_grad]

    @property
    def _trainable_variables(self) -> list[torch.Tensor]:
        """The layer's own weights that a gradient may change, under the name that Keras's layers save them by."""
        return [weight for weight in self._own_weights() if isinstance(weight, nn.Parameter)]

    @property
    def _non_trainable_variables(self) -> list[torch.Tensor]:
        """The layer's own weights that no gradient changes."""
        return [weight for weight in self._own_weights() if not isinstance(weight, nn.Parameter)]

    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights as NumPy arrays."""
        return [as_array(weight).copy() for weight in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Copies arrays into the weights, in the order of `get_weights`. Nothing changes on an error.

        Raises:
            ShapeError: Another number of arrays, or an array of another shape.
        """
        own = self.weights
        if len(weights) != len(own):
            raise ShapeError(
                f"Layer {self.name!r} has {len(own)} weights, but {len(weights)} arrays were given. "
                + ("It is not built yet: call it on data first." if not self.built else "")
            )
        for i, (weight, value) in enumerate(zip(own, weights, strict=True)):
            if tuple(weight.shape) != tuple(np.shape(value)):
                raise ShapeError(
                    f"Weight {i} of layer {self.name!r} has shape {tuple(weight.shape)}; the array given for it "
                    f"has shape {tuple(np.shape(value))}."
                )
        with torch.no_grad():
            for weight, value in zip(own, weights, strict=True):
                copy_into(weight, torch.as_tensor(value))

    def count_params(self) -> int:
        """The number of numbers in the weights.

        Raises:
            NotBuiltError: The weights do not exist yet.
        """
        if not self.built and not self.weights:
            raise NotBuiltError(
                f"Layer {self.name!r} has no weights yet, so they cannot be counted. Call it on data, or build() it."
            )
        return sum(weight.numel() for weight in self.weights)

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that are attributes of the layer and of the layers in it: `fit` shows them."""
        found = (each for layer in self.modules() for each in vars(layer).values() if isinstance(each, Metric))
        return list({id(metric): metric for metric in found}.values())

    @property
    def metrics_variables(self) -> list[torch.Tensor]:
        """The sums of those metrics."""
        return [state for metric in self.metrics for state in metric.variables]

    def save_own_variables(self, store: Any) -> None:
        """Puts the layer's own weights (not those of layers inside it) into `store`, a mapping, as "0", "1", ..."""
        for i, weight in enumerate(self._own_weights()):
            store[str(i)] = as_array(weight)

    def load_own_variables(self, store: Any) -> None:
        """Takes the layer's own weights from `store`.

        Raises:
            ShapeError: Another number of weights, or other shapes.
        """
        own = self._own_weights()
        if len(own) != len(store):
            raise ShapeError(
                f"Layer {self.name!r} ({type(self).__name__}) has {len(own)} weights, the file has {len(store)} for it."
            )
        for i, weight in enumerate(own):
            value = store[str(i)]
            if tuple(value.shape) != tuple(weight.shape):
                raise ShapeError(
                    f"Layer {self.name!r} ({type(self).__name__}): its weight {i} has shape {tuple(weight.shape)}, the "
                    f"file has {tuple(value.shape)}."
                )
            with torch.no_grad():
                copy_into(weight, torch.as_tensor(np.asarray(value)))

    def _own_weights(self) -> list[torch.Tensor]:
        """The module's own weights (not those of modules inside it), as files have them."""
        return [cast(torch.Tensor, nn.Module.__getattr__(self, name)) for name in self._names_in_files()]

    def _names_in_files(self) -> list[str]:
        """The names of the own weights, in the order of files: each once, though it may be known by two."""
        found: dict[int, str] = {}
        for name, weight in (*self._parameters.items(), *self._buffers.items()):
            if weight is not None and name not in self._non_persistent_buffers_set:
                found.setdefault(id(weight), name)
        return list(found.values())


def _collect_weights(module: nn.Module, found: dict[int, torch.Tensor]) -> None:
    for parameter in module._parameters.values():
        if parameter is not None:
            found.setdefault(id(parameter), parameter)
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._non_persistent_buffers_set:
            found.setdefault(id(buffer), buffer)
    for child in children_in_order(module):
        if isinstance(child, HoldsWeights) and type(child).weights is not HoldsWeights.weights:
            for weight in child.weights:  # in an order of its own
                found.setdefault(id(weight), weight)
        else:
            _collect_weights(child, found)
