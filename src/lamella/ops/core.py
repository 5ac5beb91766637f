"""Tensors: made, cast, asked what they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from lamella.engine.strings import as_strings
from lamella.errors import ArgumentError
from lamella.ops.base import as_dtype, op, tensor


@op
def convert_to_tensor(
    x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None
) -> torch.Tensor:
    """`x` as a torch tensor; strings as a NumPy array of them, which models that take strings are called on.

    Args:
        x: A number, a list, an array or a tensor (returned as it is where the type is right).
        dtype: The type; by default that of arrays and tensors, int32 and `floatx()` for numbers and lists.
        sparse: Only None or False: there are no sparse tensors.
        ragged: Only None or False: there are no ragged tensors.

    Raises:
        ArgumentError: `sparse=True` or `ragged=True`.

    Example:
        >>> convert_to_tensor([1.0, 2.0])
        tensor([1., 2.])
    """
    if sparse or ragged:
        raise ArgumentError("Sparse and ragged tensors are not supported: pad to one shape, and use a mask.")
    strings = as_strings(x, "x") if dtype in (None, "string") and not isinstance(x, torch.Tensor) else None
    if strings is not None:
        return strings  # type: ignore[return-value]
    return tensor(x, None if dtype is None else as_dtype(dtype))


def convert_to_numpy(x: Any) -> np.ndarray:
    """A NumPy copy of a tensor, a list or a number.

    Example:
        >>> convert_to_numpy(torch.ones(2))
        array([1., 1.], dtype=float32)
    """
    if isinstance(x, (list, tuple)):
        return np.array([convert_to_numpy(item) for item in x])
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu().resolve_conj().resolve_neg()
        x = x.float() if x.dtype is torch.bfloat16 else x  # NumPy has no bfloat16
        return x.numpy().copy()
    return np.array(x)


def is_tensor(x: Any) -> bool:
    """Whether `x` is a tensor with values.

    Example:
        >>> is_tensor(torch.ones(2)), is_tensor([1.0])
        (True, False)
    """
    return isinstance(x, torch.Tensor)


def shape(x: Any) -> tuple[int | None, ...]:
    """The shape, as a tuple; None for what is unknown in a symbolic tensor.

    Example:
        >>> shape(torch.ones(2, 3))
        (2, 3)
    """
    return tuple(x.shape) if hasattr(x, "shape") else tuple(np.shape(x))


def dtype(x: Any) -> str:
    """The name of the data type.

    Example:
        >>> dtype(torch.ones(2))
        'float32'
    """
    found = x.dtype if hasattr(x, "dtype") else tensor(x).dtype
    return str(found).split(".")[-1]


@op
def cast(x: Any, dtype: Any) -> torch.Tensor:
    """`x` in another data type.

    Example:
        >>> cast([1.7, -1.7], "int32")
        tensor([ 1, -1], dtype=torch.int32)
    """
    return tensor(x, as_dtype(dtype))


@op
def saturate_cast(x: Any, dtype: Any) -> torch.Tensor:
    """`x` in another data type, where numbers out of its range become its limits.

    Example:
        >>> saturate_cast([-5.0, 300.0], "uint8")
        tensor([  0, 255], dtype=torch.uint8)
    """
    x, kind = tensor(x), as_dtype(dtype)
    (low, high), (own_low, own_high) = _range(kind), _range(x.dtype)
    if low > own_low or high < own_high:
        low, high = max(low, own_low), min(high, own_high)
        if x.is_floating_point():
            low, high = _within(low, x.dtype), _within(high, x.dtype)
        x = torch.clamp(x.to(torch.int32) if x.dtype is torch.bool else x, low, high)
    return x.to(kind)


def _within(limit: float, kind: torch.dtype) -> float:
    """The limit in the digits of a float type, cut and not rounded: it must not come to lie outside."""
    if not limit:
        return 0.0
    step = 2.0 ** (math.ceil(math.log2(abs(limit))) - 1) * torch.finfo(kind).eps
    return math.trunc(limit / step) * step


def _range(kind: torch.dtype) -> tuple[Any, Any]:
    if kind is torch.bool:
        return 0, 1
    info = torch.finfo(kind) if kind.is_floating_point else torch.iinfo(kind)
    return info.min, info.max


@op
def stop_gradient(variable: Any) -> torch.Tensor:
    """`variable` as a constant: no gradient flows through it.

    Example:
        >>> stop_gradient(torch.ones(2, requires_grad=True)).requires_grad
        False
    """
    return tensor(variable).detach()


@op
def copy(x: Any) -> torch.Tensor:
    """A copy.

    Example:
        >>> copy([1, 2])
        tensor([1, 2], dtype=torch.int32)
    """
    return torch.clone(tensor(x))


@op
def view(x: Any, dtype: Any = None) -> torch.Tensor:
    """The same bits read as another data type.

    Example:
        >>> view(torch.tensor([1.0]), "int32")
        tensor([1065353216], dtype=torch.int32)
    """
    return tensor(x).view(as_dtype(dtype))
