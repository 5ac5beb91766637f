"""What every op shares: how it is recorded on symbolic tensors, and how arguments become tensors of the right type."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella.engine import dtypes
from lamella.engine.device import accelerator, brought_to, default_device, device, on_one_device
from lamella.engine.nested import holds_tensors
from lamella.engine.registry import Registry
from lamella.engine.symbolic import SymbolicTensor, record
from lamella.errors import ArgumentError

registry = Registry("op", "keras.ops")

F = TypeVar("F", bound=Callable[..., Any])

_NESTS = (list, tuple, dict)
_FURTHER_DTYPES = {
    "complex32": torch.complex32,
    "complex64": torch.complex64,
    "complex128": torch.complex128,
    "float8_e4m3fn": torch.float8_e4m3fn,
    "float8_e5m2": torch.float8_e5m2,
    "uint16": dtypes.WIDER[torch.uint16],
    "uint32": dtypes.WIDER[torch.uint32],
}


def recorded(known: Registry) -> Callable[[F], F]:
    """Decorator: makes a function of tensors an op, named in the registry `known`.

    Called on a symbolic tensor, also one inside lists, tuples or dicts, it is recorded as one node under its
    name, so that a graph of ops can be written to a file.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            for arg in args:
                if type(arg) is SymbolicTensor or (type(arg) in _NESTS and _holds_symbolic(arg)):
                    return record(called, args, kwargs)
            if kwargs and _holds_symbolic(kwargs):
                return record(called, args, kwargs)
            return function(*args, **kwargs) if accelerator() is None else _on_one_device(function, args, kwargs)

        return known.register()(called)  # type: ignore[return-value]

    return decorate


op = recorded(registry)


def _on_one_device(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Computes where the tensors are: those of the CPU come along to an accelerator's; without any, as by default.

    A number stays on the CPU until it meets a tensor: from there an accelerator takes it without waiting.
    """
    home, on_cpu = None, False
    for each in chain(args, kwargs.values()):
        for leaf in pytree.tree_leaves(each) if isinstance(each, _NESTS) else (each,):
            if not isinstance(leaf, torch.Tensor):
                continue
            if leaf.is_meta:
                return function(*args, **kwargs)
            if leaf.device.type != "cpu":
                home = leaf.device
            elif leaf.ndim or leaf is not each:
                on_cpu = True
    if home is None and not on_cpu:
        result = function(*args, **kwargs)
        return pytree.tree_map_only(torch.Tensor, _unless_a_number, result)
    if home is not None and on_cpu:
        args, kwargs = brought_to(home, (args, kwargs))
    with device(home or "cpu"):
        return function(*args, **kwargs)


def _unless_a_number(tensor: torch.Tensor) -> torch.Tensor:
    return brought_to(default_device(), tensor) if tensor.ndim else tensor


def alias(name: str, function: F) -> F:
    """A second name of an op."""
    registry.register(name)(function)
    return function


def _holds_symbolic(nest: Any) -> bool:
    for item in nest.values() if type(nest) is dict else nest:
        if type(item) is SymbolicTensor or (type(item) in _NESTS and _holds_symbolic(item)):
            return True
    return False


def as_dtype(dtype: Any) -> torch.dtype:
    """The torch type for a Keras name, a torch, NumPy or Python type; `floatx()` for None."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype is int:
        return torch.int32
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None)
    return _FURTHER_DTYPES[name] if name in _FURTHER_DTYPES else dtypes.torch_dtype(dtype)  # type: ignore[index]


def floatx() -> torch.dtype:
    """The default float type."""
    return dtypes.torch_dtype(None)


def tensor(x: Any, dtype: torch.dtype | None = None) -> torch.Tensor:
    """`x` as a tensor: a tensor as it is, numbers and lists in int32 and `floatx()`, arrays in their own type."""
    if isinstance(x, torch.Tensor):
        dtype = dtype or dtypes.WIDER.get(x.dtype)
        return x if dtype is None or x.dtype is dtype else x.to(dtype)
    if isinstance(x, (bool, int, float, complex)):
        return torch.tensor(x, dtype=dtype or _number_dtype(x))
    if holds_tensors(x):
        return torch.stack(on_one_device([tensor(item, dtype) for item in x]))
    array = np.array(x, order="C")
    if array.dtype.name == "bfloat16":
        array, dtype = array.astype(np.float32), dtype or torch.bfloat16
    elif array.dtype.kind not in "biufc":
        raise ArgumentError(f"Cannot make a tensor of {array.dtype} data: give numbers, in rows of one length.")
    elif dtype is None and isinstance(x, (list, tuple)):
        dtype = _list_dtype(array)
    return tensor(torch.as_tensor(array, dtype=dtype, device=default_device()), dtype)


def _list_dtype(array: np.ndarray) -> torch.dtype | None:
    if array.dtype == np.float64:
        return floatx()
    if array.dtype == np.int64 and (not array.size or -(2**31) <= array.min() <= array.max() < 2**31):
        return torch.int32
    return torch.complex64 if array.dtype == np.complex128 else None


def _number_dtype(x: Any) -> torch.dtype:
    if isinstance(x, bool):
        return torch.bool
    if isinstance(x, int):
        return torch.int32 if -(2**31) <= x < 2**31 else torch.int64
    return floatx() if isinstance(x, float) else torch.complex64


def pair(x1: Any, x2: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as tensors, in their own types; a number takes the type of the tensor beside it where it fits."""
    if isinstance(x1, torch.Tensor):
        x1 = tensor(x1)
        return x1, tensor(x2) if isinstance(x2, torch.Tensor) else _beside(x1, x2)
    if isinstance(x2, torch.Tensor):
        x2 = tensor(x2)
        return _beside(x2, x1), x2
    if isinstance(x1, (int, float)) and not isinstance(x2, (int, float)):
        x2 = tensor(x2)
        return _beside(x2, x1), x2
    x1 = tensor(x1)
    return x1, _beside(x1, x2)


def _beside(one: torch.Tensor, other: Any) -> torch.Tensor:
    fits = isinstance(other, float) and one.is_floating_point() and one.ndim
    return tensor(other, one.dtype if fits else None)


def result_dtype(*items: Any) -> torch.dtype:
    """The type that tensors, types and numbers meet in, by Keras's rules (those of JAX).

    Numbers and Python types are weak: they widen only to another kind. 64-bit integers become 32-bit ones.
    Unlike in Keras on torch (as in Keras on TensorFlow), float64 stays float64: no digit is lost in silence.
    """
    strong: torch.dtype | None = None
    weak_int = weak_float = weak_complex = False
    for item in items:
        kind = item.dtype if isinstance(item, torch.Tensor) else item
        if isinstance(kind, torch.dtype):
            strong = kind if strong is None else torch.promote_types(strong, kind)
        elif kind is bool or isinstance(kind, bool):
            strong = torch.bool if strong is None else strong
        elif kind is int or isinstance(kind, int):
            weak_int = True
        elif kind is float or isinstance(kind, float):
            weak_float = True
        elif kind is complex or isinstance(kind, complex):
            weak_complex = True
        else:
            return result_dtype(*[tensor(i) if i is item else i for i in items])
    if weak_complex and (strong is None or not strong.is_complex):
        strong = torch.complex64
    if weak_float and (strong is None or not (strong.is_floating_point or strong.is_complex)):
        strong = floatx()
    if weak_int and (strong is None or strong is torch.bool):
        strong = torch.int32
    if strong is None:
        return floatx()
    return torch.int32 if strong is torch.int64 else strong


def promoted(*xs: Any, to: Any = None) -> tuple[torch.Tensor, ...]:
    """All as tensors of the type that they (and `to`) meet in."""
    xs = tuple(x if isinstance(x, (int, float)) else tensor(x) for x in xs)
    dtype = result_dtype(*xs) if to is None else result_dtype(*xs, to)
    return tuple(tensor(x, dtype) for x in xs)


def floating(x: Any) -> torch.Tensor:
    """`x` as a tensor of floats (or complex numbers): whole numbers and truths become `floatx()`."""
    x = tensor(x)
    return x if x.is_floating_point() or x.is_complex() else x.to(floatx())


def floating64(x: Any) -> torch.Tensor:
    """`floating`, where whole numbers of 64 bits become float64: for the few ops that Keras has so."""
    x = tensor(x)
    return x.to(torch.float64) if x.dtype is torch.int64 else floating(x)


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """`axis` (None, one, or several) as a tuple of axes from 0."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
    for each in axes:
        if not -ndim <= each < ndim:
            raise ArgumentError(f"axis {each} is out of range for an array of rank {ndim}: give {-ndim} to {ndim - 1}.")
    return tuple(each % ndim for each in axes)


def check_padding(padding: Any) -> str:
    """`padding` in lower case, if it is `"valid"` or `"same"`.

    Raises:
        ArgumentError: Any other value.
    """
    lowered = padding.lower() if isinstance(padding, str) else padding
    if lowered not in ("valid", "same"):
        raise ArgumentError(f"`padding` must be 'valid' or 'same'; got {padding!r}.")
    return lowered


def sizes(name: str, value: Any, rank: int) -> tuple[int, ...]:
    """`value` as a tuple of `rank` positive whole numbers; one number stands for all.

    Raises:
        ArgumentError: Another count, or a number that is not positive.
    """
    values = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(values) != rank or any(v < 1 for v in values):
        raise ArgumentError(f"`{name}` must be a positive whole number or {rank} of them; got {value!r}.")
    return values
