"""`MultiOptimizer`: another optimizer for each part of a model."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import torch

from lamella.engine.registry import deserialize, serialize
from lamella.engine.variable import State
from lamella.errors import ArgumentError, NotBuiltError
from lamella.optimizers.base import Optimizer, Tensors, registry
from lamella.optimizers.loss_scale import LossScaleOptimizer
from lamella.optimizers.muon import weight_path


@registry.register()
class OptimizerMap(MutableMapping[str, Optimizer]):
    """Optimizers by the names of weights.

    A key is a name (`dense/kernel`) or a regular expression that fits all of it (`encoder/.*`).

    Args:
        default_optimizer: The optimizer of all other weights.
        optimizer_map: Optimizers by key.

    Raises:
        ArgumentError: A key given twice, or a value that is no optimizer of its own.

    Example:
        >>> from lamella.optimizers import SGD, Adam
        >>> optimizers = OptimizerMap(SGD(name="sgd"), {"encoder/.*": Adam(name="adam")})
        >>> optimizers["encoder/dense/kernel"].name, optimizers["head/kernel"].name
        ('adam', 'sgd')
    """

    def __init__(self, default_optimizer: Optimizer, optimizer_map: dict[str, Optimizer] | None = None) -> None:
        if not isinstance(default_optimizer, Optimizer):
            raise TypeError(f"OptimizerMap: `default_optimizer` must be an optimizer; got {default_optimizer!r}.")
        if optimizer_map is not None and not isinstance(optimizer_map, dict):
            raise TypeError(f"OptimizerMap: `optimizer_map` must be a dict; got {optimizer_map!r}.")
        self._default = default_optimizer
        self._map: dict[str, Optimizer] = {}
        for key, optimizer in (optimizer_map or {}).items():
            self[key] = optimizer

    @property
    def default_optimizer(self) -> Optimizer:
        """The optimizer of what no key fits."""
        return self._default

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._map:
            return self._map[key]
        fitting = [pattern for pattern in self._map if re.fullmatch(pattern, key)]
        if len(fitting) > 1:
            raise ArgumentError(f"OptimizerMap: more than one key fits the weight {key!r}: {fitting}.")
        return self._map[fitting[0]] if fitting else self._default

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if not isinstance(key, str):
            raise ArgumentError(f"OptimizerMap: a key must be a string; got {key!r}.")
        if key in self._map:
            raise ArgumentError(f"OptimizerMap: {key!r} has the optimizer {self._map[key].name!r} already.")
        _check_inner(optimizer)
        self._map[key] = optimizer

    def __delitem__(self, key: str) -> None:
        del self._map[key]

    def __len__(self) -> int:
        return len(self._map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._map)

    def __call__(self, variable: torch.Tensor) -> Optimizer:
        """The optimizer of a weight, by its `path`."""
        path = weight_path(variable)
        if self._map and not path:
            raise ArgumentError(
                "OptimizerMap goes by the names of the weights, and these have none: set `weight.path` before the "
                "optimizer is built, or give MultiOptimizer a function (weight) -> optimizer."
            )
        return self[path]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this map again."""
        return {"default_optimizer": serialize(self._default), "optimizer_map": serialize(self._map)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> OptimizerMap:
        """The map that `get_config` described."""
        return cls(
            deserialize(config["default_optimizer"], custom_objects),
            deserialize(config["optimizer_map"], custom_objects),
        )


def _check_inner(optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer) or isinstance(optimizer, (LossScaleOptimizer, MultiOptimizer)):
        raise ArgumentError(
            f"A part of a MultiOptimizer must be an optimizer (no LossScaleOptimizer, no MultiOptimizer); "
            f"got {optimizer!r}."
        )


def _stored(optimizer: Optimizer) -> list[Any]:
    """What an optimizer puts into Keras's files, in order."""
    store: dict[str, Any] = {}
    optimizer.save_own_variables(store)
    return [store[str(i)] for i in range(len(store))]


@registry.register("multioptimizer")
class MultiOptimizer(Optimizer):
    """Gives each weight to one of several optimizers.

    Args:
        optimizer_map: An `OptimizerMap`, or a function (weight) -> optimizer.
        loss_scale_factor: In place of that of the inner optimizers.
        name: A name.

    Its learning rate cannot be read or set: set those of `optimizers`.

    Example:
        >>> import torch
        >>> from lamella.optimizers import SGD
        >>> slow, fast = SGD(0.1), SGD(1.0)
        >>> a, b = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1, 1))
        >>> both = MultiOptimizer(lambda weight: fast if weight.ndim == 2 else slow)
        >>> both.apply([torch.ones(1), torch.ones(1, 1)], [a, b])
        >>> a.item(), b.item()
        (-0.10000000149011612, -1.0)
    """

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[torch.Tensor], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ) -> None:
        if not callable(optimizer_map):
            raise ArgumentError(f"MultiOptimizer needs an OptimizerMap or a function; got {optimizer_map!r}.")
        self._inner: list[Optimizer] = []
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        self.optimizer_map = optimizer_map
        self._parts: list[list[int]] = []
        if isinstance(optimizer_map, OptimizerMap):
            for optimizer in (*optimizer_map._map.values(), optimizer_map.default_optimizer):
                self._number(optimizer)

    def _number(self, optimizer: Any) -> int:
        """The place of an optimizer among the inner ones; it is added if it is new."""
        for i, known in enumerate(self._inner):
            if known is optimizer:
                return i
        _check_inner(optimizer)
        optimizer.loss_scale_factor = self.loss_scale_factor
        self._inner.append(optimizer)
        return len(self._inner) - 1

    @property
    def optimizers(self) -> list[Optimizer]:
        """The inner optimizers."""
        return self._inner

    @property
    def loss_scale_factor(self) -> float | None:
        """That of all inner optimizers."""
        return self._loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: float | None) -> None:
        self._loss_scale_factor = value
        for optimizer in self._inner:
            optimizer.loss_scale_factor = value

    @property
    def learning_rate(self) -> float:
        """Not to be read: each inner optimizer has its own."""
        raise AttributeError("A MultiOptimizer has no learning rate of its own: see those of its `optimizers`.")

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        raise AttributeError("The learning rate of a MultiOptimizer cannot be set: set those of its `optimizers`.")

    def build(self, variables: Iterable[torch.Tensor]) -> None:
        super().build(variables)
        numbers = [self._number(self.optimizer_map(weight)) for weight in self._weights]
        self._parts = [[i for i, n in enumerate(numbers) if n == number] for number in range(len(self._inner))]
        for optimizer, part in zip(self._inner, self._parts, strict=True):
            if part:
                optimizer.build([self._weights[i] for i in part])

    def _apply(self, grads: Sequence[torch.Tensor | None], trainable_variables: Sequence[torch.Tensor] | None) -> None:
        if not self.built:
            if trainable_variables is None:
                raise NotBuiltError(
                    "The optimizer has no weights yet: pass them to apply(grads, weights), or build() it."
                )
            self.build(trainable_variables)
        if len(grads) != len(self._weights):
            raise ArgumentError(f"There are {len(grads)} gradients for {len(self._weights)} weights.")
        if trainable_variables is not None and trainable_variables is not self._weights:
            by_weight = {id(w): g for w, g in zip(trainable_variables, grads, strict=True)}
            if by_weight.keys() != self._index.keys():
                raise ArgumentError(
                    "The optimizer was built for other weights. Make a new optimizer (compile() the model again)."
                )
            grads = [by_weight[id(weight)] for weight in self._weights]
        for optimizer, part in zip(self._inner, self._parts, strict=True):
            own = [grads[i] for i in part]
            if any(gradient is not None for gradient in own):
                optimizer._apply(own, None)
        self._steps += 1

    @property
    def variables(self) -> Tensors:
        """The step, and the variables of the inner optimizers."""
        return [
            State(torch.tensor(self._steps)),
            State(torch.tensor(0.0)),
            *(v for one in self._inner for v in one.variables),
        ]

    def _inner_optimizers(self) -> list[Any]:
        return self._inner

    def _take_own_numbers(self, values: list[Any]) -> None:
        self._steps = int(values[0])

    def finalize_variable_values(self, var_list: Sequence[torch.Tensor]) -> None:
        for optimizer in self._inner:
            optimizer.finalize_variable_values([weight for weight in var_list if id(weight) in optimizer._index])

    def state_dict(self) -> dict[str, Any]:
        return {
            "steps": self._steps,
            "learning_rate": None,
            "slots": {},
            "extra": [],
            "scalars": {},
            "inner": [optimizer.state_dict() for optimizer in self._inner],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if len(state.get("inner", ())) != len(self._inner):
            raise ArgumentError("The state is of another optimizer, or of other weights.")
        self._steps = state["steps"]
        for optimizer, own in zip(self._inner, state["inner"], strict=True):
            optimizer.load_state_dict(own)

    def save_own_variables(self, store: Any) -> None:
        values = [np.array(self._steps), np.array(0.0, dtype="float32")]
        values += [value for optimizer in self._inner for value in _stored(optimizer)]
        for i, value in enumerate(values):
            store[str(i)] = value

    def load_own_variables(self, store: Any) -> None:
        counts = [len(_stored(optimizer)) for optimizer in self._inner]
        if len(store) != 2 + sum(counts):
            warnings.warn(
                f"The file's state of the optimizer {self.name!r} does not fit: it keeps {2 + sum(counts)} values, the "
                f"file {len(store)}. Training starts with a fresh state.",
                stacklevel=2,
            )
            return
        self._steps = int(np.asarray(store["0"]))
        first = 2
        for optimizer, count in zip(self._inner, counts, strict=True):
            optimizer.load_own_variables({str(i): store[str(first + i)] for i in range(count)})
            first += count

    def remember(self) -> Callable[[], None]:
        steps, undo = self._steps, [optimizer.remember() for optimizer in self._inner]

        def restore() -> None:
            self._steps = steps
            for each in undo:
                each()

        return restore

    def get_config(self) -> dict[str, Any]:
        return {
            "optimizer_map": serialize(self.optimizer_map),
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> MultiOptimizer:
        return cls(**{**config, "optimizer_map": deserialize(config["optimizer_map"], custom_objects)})
