"""What scripts ask of `keras.backend`: the float type, the session, the name of the engine.

And the functions of tensors that `tf.keras.backend` has: `K.mean`, `K.square` (see `lamella.backend.functions`).
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch

from lamella.backend.session import clear_session
from lamella.engine.dtypes import dtype_name, floatx, set_floatx, torch_dtype
from lamella.engine.image_data_format import image_data_format, set_image_data_format
from lamella.engine.naming import get_uid
from lamella.engine.symbolic import is_symbolic
from lamella.errors import ArgumentError

__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "get_uid",
    "image_data_format",
    "is_float_dtype",
    "is_int_dtype",
    "is_keras_tensor",
    "result_type",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "standardize_dtype",
]

_EPSILON = 1e-7


def backend() -> str:
    """The engine: always `"torch"`.

    Example:
        >>> backend()
        'torch'
    """
    return "torch"


def epsilon() -> float:
    """The small number that keeps logarithms and divisions finite.

    Example:
        >>> epsilon()
        1e-07
    """
    return _EPSILON


def set_epsilon(value: float) -> None:
    """Sets that number.

    Raises:
        ArgumentError: A number that is not positive.
    """
    global _EPSILON
    if value <= 0:
        raise ArgumentError(f"epsilon must be positive; got {value}.")
    _EPSILON = float(value)


def is_float_dtype(dtype: Any) -> bool:
    """Whether a data type is of floating-point numbers.

    Example:
        >>> is_float_dtype("bfloat16"), is_float_dtype("int32")
        (True, False)
    """
    return dtype_name(dtype).startswith(("float", "bfloat"))


def is_int_dtype(dtype: Any) -> bool:
    """Whether a data type is of whole numbers.

    Example:
        >>> is_int_dtype("uint8"), is_int_dtype("bool")
        (True, False)
    """
    return dtype_name(dtype).startswith(("int", "uint"))


def is_keras_tensor(x: Any) -> bool:
    """Whether `x` is a symbolic tensor, as `Input` gives."""
    return is_symbolic(x)


def standardize_dtype(dtype: Any) -> str:
    """The name of a data type given as a name, a torch, NumPy or Python type, or None (the default).

    Example:
        >>> standardize_dtype(torch.float16), standardize_dtype(None), standardize_dtype(int)
        ('float16', 'float32', 'int64')
    """
    return dtype_name(dtype)


def result_type(*dtypes: Any) -> str:
    """The data type that operations on these types give in Keras on torch.

    Whole numbers with floating-point numbers give the latter; Python's `int` and `float` take the type of the others;
    None stands for `floatx()`; types of 64 bits become those of 32.

    Example:
        >>> result_type("int32", "float16"), result_type("bfloat16", float), result_type("int8", "uint8")
        ('float16', 'bfloat16', 'int16')
    """
    if not dtypes:
        return floatx()
    dtypes = tuple(floatx() if dtype is None else dtype for dtype in dtypes)
    strong = [torch_dtype(dtype) for dtype in dtypes if dtype is not int and dtype is not float]
    if not strong:
        return f"float{floatx()[-2:]}" if float in dtypes else _BY_32_BITS["int64"]
    result = strong[0]
    for dtype in strong[1:]:
        result = _promoted(result, dtype)
    if float in dtypes and not result.is_floating_point:
        return f"float{floatx()[-2:]}"
    if int in dtypes and result is torch.bool:
        return _BY_32_BITS["int64"]
    name = dtype_name(result)
    return _BY_32_BITS.get(name, name)


_BY_32_BITS = {"int64": "int32", "float64": "float32"}
_UNSIGNED = {torch.uint16: torch.int32, torch.uint32: torch.int64}


def _promoted(a: torch.dtype, b: torch.dtype) -> torch.dtype:
    if a is b:
        return a
    for one, other in ((a, b), (b, a)):  # what torch itself does not promote
        if one in _UNSIGNED and not other.is_floating_point and other is not torch.bool:
            if other in (torch.uint8, torch.uint16):
                return one
            if other is torch.uint32:
                return other
            return torch.promote_types(_UNSIGNED[one], other)
        if one in _UNSIGNED:
            return other if other.is_floating_point else one
    return torch.promote_types(a, b)


def __getattr__(name: str) -> Any:
    functions = importlib.import_module("lamella.backend.functions")
    if name in functions.__all__:
        return getattr(functions, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])
