"""Arrays beside tensors take the type of the tensors, as in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch

from lamella.tensorflow_stand_in.tensors import is_tensor

TAKE_ONE_TYPE = (
    "add add_n atan2 clip_by_value concat divide divide_no_nan einsum equal floordiv floormod greater greater_equal "
    "less less_equal matmul maximum minimum mod multiply not_equal pow realdiv squared_difference stack subtract "
    "tensordot where"
).split()
"""The functions of several tensors that have one type."""


def of_one_type(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, for which an array beside a tensor is of its type: NumPy's float64 becomes float32.

    Fractions do not become whole numbers by that, nor whole numbers fractions: those are promoted as torch does.
    """

    @wraps(function)
    def computed(*args: Any, **kwargs: Any) -> Any:
        given = [part for each in (*args, *kwargs.values()) for part in (each if _is_list(each) else (each,))]
        if any(isinstance(each, np.ndarray) for each in given):
            types = {_kind(each): each.dtype for each in given if is_tensor(each)}
            args = tuple(_of_type(each, types) for each in args)
            kwargs = {name: _of_type(each, types) for name, each in kwargs.items()}
        return function(*args, **kwargs)

    return computed


def _is_list(value: Any) -> bool:
    return type(value) in (list, tuple)


def _of_type(value: Any, types: dict[str, torch.dtype]) -> Any:
    if _is_list(value):
        return type(value)(_of_type(each, types) for each in value)
    wanted = types.get(_kind(value)) if isinstance(value, np.ndarray) else None
    return value if wanted is None else torch.as_tensor(value).to(wanted)


def _kind(value: Any) -> str:
    """Whether these are fractions or whole numbers; the name of the type for others."""
    if isinstance(value, np.ndarray):
        return {"f": "fractions", "i": "whole", "u": "whole"}.get(value.dtype.kind, value.dtype.name)
    if not isinstance(value.dtype, torch.dtype) or value.dtype.is_complex or value.dtype is torch.bool:
        return f"tensor of {value.dtype}"
    return "fractions" if value.dtype.is_floating_point else "whole"
