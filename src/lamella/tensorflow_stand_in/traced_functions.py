"""`tf.function`: functions run as they are written; what scripts ask of a traced one is there."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import torch

from lamella.engine.symbolic import SymbolicTensor
from lamella.engine.tensor_spec import TensorSpec
from lamella.errors import ArgumentError, DTypeError
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
    return run


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
        positional, named = self.structured_input_signature
        given = [_as_said(value, spec, self._run) for value, spec in zip(args, positional, strict=False)]
        rest = positional[len(given) :]
        constants = [] if kwargs else [each for each in rest if not isinstance(each, TensorSpec)]
        told = {name: _as_said(value, named.get(name), self._run) for name, value in kwargs.items()}
        return self._run(*self._held, *given, *args[len(given) :], *constants, **told)

    def __repr__(self) -> str:
        return f"<ConcreteFunction {self.name} of {self.structured_input_signature}>"


def _spec(value: Any) -> Any:
    return TensorSpec.from_tensor(value) if isinstance(value, torch.Tensor) else value
