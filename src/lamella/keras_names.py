"""The classes and functions that stand at the top of Keras and are thin over torch here."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella import initializers
from lamella.engine.device import default_device
from lamella.engine.dtypes import torch_dtype
from lamella.engine.graph import Graph
from lamella.engine.naming import auto_name, path_of, within
from lamella.engine.registry import serialize
from lamella.engine.symbolic import SymbolicTensor, record, symbolic_input, symbolic_leaves
from lamella.engine.variable import State, Weight
from lamella.errors import ArgumentError


class _IsVariable(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, (Weight, State))


class Variable(metaclass=_IsVariable):
    """A tensor with `assign`, `assign_add`, `assign_sub` and `numpy`: a `torch.nn.Parameter` where it is trained.

    Args:
        initializer: A value, or an initializer (then with `shape`).
        shape: The shape, with an initializer.
        dtype: The data type; that of the value, or `floatx()`.
        trainable: Whether gradients flow to it.
        autocast: Kept for Keras's signature.
        aggregation: Kept for Keras's signature.
        synchronization: Kept for Keras's signature.
        name: A name.

    Raises:
        ArgumentError: An initializer without a shape.

    Example:
        >>> v = Variable([1.0, 2.0])
        >>> _ = v.assign_add([1.0, 1.0])
        >>> v.numpy().tolist(), isinstance(v, Variable), isinstance(v, torch.nn.Parameter)
        ([2.0, 3.0], True, True)
    """

    def __new__(  # type: ignore[misc]
        cls,
        initializer: Any,
        shape: Sequence[int] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str = "none",
        synchronization: str = "auto",
        name: str | None = None,
    ) -> torch.Tensor:
        if callable(initializer) or isinstance(initializer, str):
            if shape is None:
                raise ArgumentError("Variable: an initializer needs a `shape`.")
            value = torch.as_tensor(initializers.get(initializer)(tuple(shape), dtype=torch_dtype(dtype)))
        else:
            value = torch.as_tensor(initializer if isinstance(initializer, torch.Tensor) else np.asarray(initializer))
            if dtype is None and not hasattr(initializer, "dtype") and value.is_floating_point():
                dtype = torch_dtype(None)
        value = value.detach().clone().to(default_device(), None if dtype is None else torch_dtype(dtype))
        variable: torch.Tensor = Weight(value) if trainable and value.is_floating_point() else State(value)
        variable.path = path_of(name or auto_name("variable"))  # type: ignore[attr-defined]
        return variable


class _IsSymbolic(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, SymbolicTensor)


class KerasTensor(metaclass=_IsSymbolic):
    """A symbolic tensor: a shape and a data type, no values. `Input` gives those that a model starts from.

    Args:
        shape: The whole shape, batch first; None for an unknown dimension.
        dtype: The data type.
        sparse: Must be False.
        ragged: Must be False.
        record_history: Kept for Keras's signature.
        name: A name.

    Example:
        >>> x = KerasTensor((None, 3))
        >>> x.shape, isinstance(x, KerasTensor)
        ((None, 3), True)
    """

    def __new__(  # type: ignore[misc]
        cls,
        shape: Sequence[int | None],
        dtype: Any = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
    ) -> SymbolicTensor:
        if sparse or ragged:
            raise ArgumentError("KerasTensor: sparse and ragged tensors are not supported; give dense ones.")
        return symbolic_input(tuple(shape), dtype, name)


class Operation:
    """A function with a name and a config: subclasses write `call`. On symbolic tensors it is recorded.

    Args:
        name: A name.

    Example:
        >>> class Double(Operation):
        ...     def call(self, x):
        ...         return 2 * x
        >>> Double()(torch.ones(2)).tolist(), Double()(KerasTensor((None, 3))).shape
        ([2.0, 2.0], (None, 3))
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Operation:
        operation = super().__new__(cls)
        operation._init_arguments = args, kwargs  # for get_config
        return operation

    _init_arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __init__(self, name: str | None = None) -> None:
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ArgumentError(f"The name of an operation is a string without '/'; got {name!r}.")
        self.name = name or auto_name(type(self).__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if symbolic_leaves((args, kwargs)):
            return record(self, args, kwargs)
        return self.call(*args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Computes the outputs."""
        raise NotImplementedError(f"{type(self).__name__} has no call(): write it, in torch.")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this operation again: what it was made with, unless its class has one of its own.

        Raises:
            NotImplementedError: It was made with *args, which have no names.
        """
        config = {"name": self.name}
        if type(self).get_config is not Operation.get_config:
            return config
        args, kwargs = self._init_arguments
        bound = inspect.signature(type(self).__init__).bind(self, *args, **kwargs)
        bound.apply_defaults()
        kinds = {each.name: each.kind for each in bound.signature.parameters.values()}
        given: dict[str, Any] = {}
        for name, value in list(bound.arguments.items())[1:]:
            if kinds[name] in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY):
                raise NotImplementedError(
                    f"{type(self).__name__} is made with `{name}`, which has no name: write its get_config()."
                )
            given |= value if kinds[name] is inspect.Parameter.VAR_KEYWORD else {name: value}
        return {name: serialize(value) for name, value in given.items()} | config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Operation:
        """The operation that `get_config` described."""
        return cls(**config)


class Function(Operation):
    """What is between some symbolic inputs and outputs, as a function.

    Args:
        inputs: Symbolic tensors, in any nesting.
        outputs: What was computed from them.
        name: A name.

    Example:
        >>> x = KerasTensor((None, 2))
        >>> Function(x, x * 3 + 1)(torch.ones(1, 2))
        tensor([[4., 4.]])
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        super().__init__(name)
        self._graph = Graph(inputs, outputs)

    def get_config(self) -> dict[str, Any]:
        """Its name: what it computes stands in no config."""
        return super().get_config()

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic inputs, as a flat list."""
        return self._graph.input_list

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic outputs, as a flat list."""
        return self._graph.output_list

    @property
    def operations(self) -> list[Any]:
        """The layers and functions, in the order in which they are computed."""
        return [node.function for node in self._graph.nodes]

    def call(self, inputs: Any) -> Any:
        tensors = pytree.tree_leaves(inputs)
        if len(tensors) != len(self.inputs):
            raise ArgumentError(f"Function {self.name!r} takes {len(self.inputs)} tensors; got {len(tensors)}.")
        return self._graph([torch.as_tensor(tensor) for tensor in tensors])


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, whose inner values are computed again in the backward pass rather than kept: less memory, more time.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> remat(lambda x: (x.sin() * x).sum())(x).backward()
        >>> x.grad.shape
        torch.Size([2])
    """
    from functools import wraps

    from torch.utils.checkpoint import checkpoint

    @wraps(f)
    def again(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(f, *args, use_reentrant=False, **kwargs)

    return again


@contextmanager
def name_scope(name: str, caller: Any = None, deduplicate: bool = True, override_parent: Any = None) -> Iterator[str]:
    """Within it the paths of variables begin with `name`. Layers are named after themselves alone.

    Example:
        >>> with name_scope("block"):
        ...     variable = Variable(1.0, name="gain")
        >>> variable.path
        'block/gain'
    """
    if not isinstance(name, str) or not name or "/" in name:
        raise ArgumentError(f"The name of a scope is a string without '/'; got {name!r}.")
    with within(object(), name):
        yield name


def version() -> str:
    """The version of Lamella; under `lamella run`, that of the Keras that it is like and then its own.

    Example:
        >>> version().count(".")
        2
    """
    return str(sys.modules["lamella"].__version__)  # type: ignore[attr-defined]
