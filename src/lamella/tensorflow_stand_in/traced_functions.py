"""`tf.function`: functions run as they are written; what scripts ask of a traced one is there."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Sequence
from functools import partial, update_wrapper, wraps
from typing import Any

import torch
from torch.utils import _pytree as pytree

from lamella.engine.symbolic import SymbolicTensor
from lamella.engine.tensor_spec import TensorSpec
from lamella.errors import ArgumentError, DTypeError
from lamella.layers.base import Layer
from lamella.tensorflow_stand_in.tensors import convert_to_tensor


def function(func: Callable[..., Any] | None = None, input_signature: Any = None, **kwargs: Any) -> Any:
    """A decorator by which functions run as they are written.

    Args:
        func: The function.
        input_signature: A `TensorSpec` for each positional argument: lists and arrays become such tensors, and tensors
            of other shapes and types are refused.
        **kwargs: TensorFlow's further arguments: they change nothing here.

    Raises:
        DTypeError: When it is called: an argument that is not as `input_signature` says.

    Example:
        >>> double = function(lambda x: x * 2, input_signature=[TensorSpec([None])])
        >>> double([1.0, 2.0])
        tensor([2., 4.])
    """
    if func is None:
        return partial(function, input_signature=input_signature, **kwargs)
    run: Any = func
    if input_signature is not None:
        run = _checking(func, list(input_signature))
    elif not isinstance(func, types.FunctionType):  # a method or an object takes no attributes, or not these

        def run(*args: Any, **kwargs: Any) -> Any:
            return func(*args, **kwargs)

        run = wraps(func, updated=())(run) if hasattr(func, "__name__") else run
    run.python_function, run.input_signature = func, input_signature
    run.get_concrete_function = partial(_concrete, run, input_signature)
    return TracedMethod(run) if isinstance(run, types.FunctionType) and _is_method(run) else run


class TracedMethod:
    """A method that `tf.function` decorates: `object.method.get_concrete_function(...)` knows the object.

    In layers and models it is the method itself, which they look into.
    """

    def __init__(self, run: Any) -> None:
        self._run = run
        update_wrapper(self, run)

    def __set_name__(self, owner: type, name: str) -> None:
        if issubclass(owner, Layer):
            setattr(owner, name, self._run)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        bound: Any = update_wrapper(partial(self._run, instance), self._run)
        bound.get_concrete_function = partial(self._run.get_concrete_function, instance)
        return bound

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(*args, **kwargs)


def _checking(func: Callable[..., Any], specs: Sequence[Any]) -> Callable[..., Any]:
    skipped = _is_method(func)

    @wraps(func, updated=())
    def checked(*args: Any, **kwargs: Any) -> Any:
        given = [_as_said(value, spec, func) for value, spec in zip(args[skipped:], specs, strict=False)]
        return func(*args[:skipped], *given, *args[skipped + len(given) :], **kwargs)

    return checked


def _is_method(func: Callable[..., Any]) -> bool:
    return next(iter(inspect.signature(func).parameters), "") == "self"


def _as_said(value: Any, spec: Any, func: Callable[..., Any]) -> Any:
    if not isinstance(spec, TensorSpec) or isinstance(value, SymbolicTensor):
        return value
    found = value if isinstance(value, torch.Tensor) else convert_to_tensor(value, _numbers(spec))
    if not spec.is_compatible_with(found):
        raise DTypeError(
            f"{getattr(func, '__name__', 'The function')} takes {spec}, as its `input_signature` says; got "
            f"{TensorSpec.from_tensor(found)}."
        )
    return found


def _numbers(spec: TensorSpec) -> Any:
    return None if spec.dtype == "string" else spec.dtype


def _concrete(run: Callable[..., Any], signature: Any, *args: Any, **kwargs: Any) -> ConcreteFunction:
    if _is_method(run) and not (args and not isinstance(args[0], TensorSpec)):
        raise ArgumentError(
            f"get_concrete_function of a method is given the object first: "
            f"{getattr(run, '__qualname__', 'f')}.get_concrete_function(object, ...)."
        )
    return ConcreteFunction(run, args or tuple(signature or ()), kwargs)


class ConcreteFunction:
    """A function for arguments of certain shapes and types. It runs as it is written; there is no graph."""

    def __init__(self, run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._run, self._held = run, args[: _is_method(run)]
        specs = tuple(_spec(each) for each in args[len(self._held) :])
        self.structured_input_signature = specs, {name: _spec(each) for name, each in kwargs.items()}
        self.name = getattr(run, "__name__", type(run).__name__)

    @property
    def inputs(self) -> list[Any]:
        """What the arguments are, those that are tensors."""
        positional, named = self.structured_input_signature
        return [each for each in (*positional, *named.values()) if isinstance(each, TensorSpec)]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value; what was no tensor when the function was made need not be given again."""
        positional, named = self.structured_input_signature
        names = list(inspect.signature(self._run).parameters)[len(self._held) :]
        of_names = sorted(named, key=lambda name: names.index(name) if name in names else len(names))
        traced: dict[Any, Any] = dict(enumerate(positional)) | {name: named[name] for name in of_names}
        tensors = [key for key, value in traced.items() if _has_spec(value)]
        places = {name: i for i, name in enumerate(names[: len(positional)])}
        given: dict[Any, Any] = dict(zip(tensors if len(args) <= len(tensors) else traced, args, strict=False))
        given |= {places.get(name, name): value for name, value in kwargs.items()}
        missing = [
            str(names[key] if isinstance(key, int) and key < len(names) else key) for key in tensors if key not in given
        ]
        if missing:
            raise ArgumentError(f"{self!r} needs {', '.join(missing)}, too.")
        values = {key: _as_said(given.pop(key, value), value, self._run) for key, value in traced.items()}
        first = [values.pop(i) for i in range(len(positional))]
        return self._run(*self._held, *first, *args[len(traced) :], **values, **given)

    def __repr__(self) -> str:
        return f"<ConcreteFunction {self.name} of {self.structured_input_signature}>"


def _spec(value: Any) -> Any:
    return TensorSpec.from_tensor(value) if isinstance(value, torch.Tensor) else value


def _has_spec(value: Any) -> bool:
    return any(isinstance(each, TensorSpec) for each in pytree.tree_leaves(value))
