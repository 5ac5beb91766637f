"""Comparisons, truths and bits."""

from __future__ import annotations

from typing import Any

import torch

from lamella.ops.base import alias, axes_of, op, pair, promoted, tensor


@op
def equal(x1: Any, x2: Any) -> torch.Tensor:
    """Whether both are equal.

    Example:
        >>> equal([1, 2], [1, 3])
        tensor([ True, False])
    """
    return torch.eq(*pair(x1, x2))


@op
def not_equal(x1: Any, x2: Any) -> torch.Tensor:
    """Whether both differ.

    Example:
        >>> not_equal([1, 2], [1, 3])
        tensor([False,  True])
    """
    return torch.ne(*pair(x1, x2))


@op
def greater(x1: Any, x2: Any) -> torch.Tensor:
    """x1 > x2.

    Example:
        >>> greater([1, 2], 1)
        tensor([False,  True])
    """
    return torch.gt(*pair(x1, x2))


@op
def greater_equal(x1: Any, x2: Any) -> torch.Tensor:
    """x1 >= x2.

    Example:
        >>> greater_equal([1, 2], 2)
        tensor([False,  True])
    """
    return torch.ge(*pair(x1, x2))


@op
def less(x1: Any, x2: Any) -> torch.Tensor:
    """x1 < x2.

    Example:
        >>> less([1, 2], 2)
        tensor([ True, False])
    """
    return torch.lt(*pair(x1, x2))


@op
def less_equal(x1: Any, x2: Any) -> torch.Tensor:
    """x1 <= x2.

    Example:
        >>> less_equal([1, 2], 1)
        tensor([ True, False])
    """
    return torch.le(*pair(x1, x2))


@op
def isclose(x1: Any, x2: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> torch.Tensor:
    """|x1 - x2| <= atol + rtol |x2|.

    Example:
        >>> isclose([1.0, 2.0], [1.000001, 2.1])
        tensor([ True, False])
    """
    x1, x2 = promoted(x1, x2)
    if not x1.is_floating_point():
        return torch.eq(x1, x2)
    return torch.isclose(x1, x2, rtol=rtol, atol=atol, equal_nan=equal_nan)


@op
def allclose(x1: Any, x2: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> torch.Tensor:
    """Whether `isclose` holds everywhere.

    Example:
        >>> allclose([1.0, 2.0], [1.000001, 2.0])
        tensor(True)
    """
    return torch.all(isclose(x1, x2, rtol, atol, equal_nan))


@op
def logical_and(x1: Any, x2: Any) -> torch.Tensor:
    """Whether both are true.

    Example:
        >>> logical_and([True, False], [True, True])
        tensor([ True, False])
    """
    return torch.logical_and(*pair(x1, x2))


@op
def logical_or(x1: Any, x2: Any) -> torch.Tensor:
    """Whether one is true.

    Example:
        >>> logical_or([True, False], [True, True])
        tensor([True, True])
    """
    return torch.logical_or(*pair(x1, x2))


@op
def logical_xor(x1: Any, x2: Any) -> torch.Tensor:
    """Whether exactly one is true.

    Example:
        >>> logical_xor([True, False], [True, True])
        tensor([False,  True])
    """
    return torch.logical_xor(*pair(x1, x2))


@op
def logical_not(x: Any) -> torch.Tensor:
    """Whether x is false.

    Example:
        >>> logical_not([True, False])
        tensor([False,  True])
    """
    return torch.logical_not(tensor(x))


@op
def isnan(x: Any) -> torch.Tensor:
    """Whether x is NaN.

    Example:
        >>> isnan([float('nan'), 1.0])
        tensor([ True, False])
    """
    return torch.isnan(tensor(x))


@op
def isinf(x: Any) -> torch.Tensor:
    """Whether x is infinite.

    Example:
        >>> isinf([float('inf'), 1.0])
        tensor([ True, False])
    """
    return torch.isinf(tensor(x))


@op
def isposinf(x: Any) -> torch.Tensor:
    """Whether x is plus infinity.

    Example:
        >>> isposinf([float('inf'), -float('inf')])
        tensor([ True, False])
    """
    return torch.isposinf(tensor(x))


@op
def isneginf(x: Any) -> torch.Tensor:
    """Whether x is minus infinity.

    Example:
        >>> isneginf([float('inf'), -float('inf')])
        tensor([False,  True])
    """
    return torch.isneginf(tensor(x))


@op
def isfinite(x: Any) -> torch.Tensor:
    """Whether x is neither infinite nor NaN.

    Example:
        >>> isfinite([float('inf'), 1.0])
        tensor([False,  True])
    """
    return torch.isfinite(tensor(x))


@op
def isreal(x: Any) -> torch.Tensor:
    """Whether x has no imaginary part.

    Example:
        >>> isreal(torch.tensor([1 + 0j, 2j]))
        tensor([ True, False])
    """
    return torch.isreal(tensor(x))


@op
def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> torch.Tensor:
    """Whether each of x1 is among x2 (or is not, with `invert`).

    Example:
        >>> isin([1, 2, 3], [2, 5])
        tensor([False,  True, False])
    """
    x1, x2 = promoted(x1, x2)
    found = (x1.unsqueeze(-1) == x2.reshape(-1)).any(-1) if x1.is_meta else _among(x1, x2, assume_unique)
    return ~found if invert else found


def _among(x1: torch.Tensor, x2: torch.Tensor, assume_unique: bool) -> torch.Tensor:
    if x1.dtype is torch.bool:
        x1, x2 = x1.to(torch.uint8), x2.to(torch.uint8)
    return torch.isin(x1, x2, assume_unique=assume_unique)


@op
def all(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Whether all along `axis` are true.

    Example:
        >>> all([[True, False], [True, True]], axis=1)
        tensor([False,  True])
    """
    x = tensor(x)
    axes = axes_of(axis, x.ndim)
    return torch.all(x, dim=axes, keepdim=keepdims).to(torch.bool) if axes else x.to(torch.bool)


@op
def any(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Whether one along `axis` is true.

    Example:
        >>> any([[False, False], [True, False]], axis=1)
        tensor([False,  True])
    """
    x = tensor(x)
    axes = axes_of(axis, x.ndim)
    return torch.any(x, dim=axes, keepdim=keepdims).to(torch.bool) if axes else x.to(torch.bool)


@op
def bitwise_and(x: Any, y: Any) -> torch.Tensor:
    """The bits that both have.

    Example:
        >>> bitwise_and([6], [3])
        tensor([2], dtype=torch.int32)
    """
    return torch.bitwise_and(*pair(x, y))


@op
def bitwise_or(x: Any, y: Any) -> torch.Tensor:
    """The bits that one has.

    Example:
        >>> bitwise_or([6], [3])
        tensor([7], dtype=torch.int32)
    """
    return torch.bitwise_or(*pair(x, y))


@op
def bitwise_xor(x: Any, y: Any) -> torch.Tensor:
    """The bits that exactly one has.

    Example:
        >>> bitwise_xor([6], [3])
        tensor([5], dtype=torch.int32)
    """
    return torch.bitwise_xor(*pair(x, y))


@op
def bitwise_invert(x: Any) -> torch.Tensor:
    """The bits that x has not.

    Example:
        >>> bitwise_invert([6])
        tensor([-7], dtype=torch.int32)
    """
    return torch.bitwise_not(tensor(x))


bitwise_not = alias("bitwise_not", bitwise_invert)


@op
def bitwise_left_shift(x: Any, y: Any) -> torch.Tensor:
    """The bits of x moved up by y places.

    Example:
        >>> bitwise_left_shift([3], 2)
        tensor([12], dtype=torch.int32)
    """
    return torch.bitwise_left_shift(*pair(x, y))


left_shift = alias("left_shift", bitwise_left_shift)


@op
def bitwise_right_shift(x: Any, y: Any) -> torch.Tensor:
    """The bits of x moved down by y places.

    Example:
        >>> bitwise_right_shift([12], 2)
        tensor([3], dtype=torch.int32)
    """
    return torch.bitwise_right_shift(*pair(x, y))


right_shift = alias("right_shift", bitwise_right_shift)
