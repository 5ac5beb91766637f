"""Sums, products, quotients, remainders, rounding and signs."""

from __future__ import annotations

from typing import Any

import torch

from lamella.ops.base import alias, floating, floatx, op, pair, promoted, result_dtype, tensor


@op
def add(x1: Any, x2: Any) -> torch.Tensor:
    """x1 + x2.

    Example:
        >>> add([1, 2], 1.5)
        tensor([2.5000, 3.5000])
    """
    return torch.add(*pair(x1, x2))


@op
def subtract(x1: Any, x2: Any) -> torch.Tensor:
    """x1 - x2.

    Example:
        >>> subtract([3, 2], 1)
        tensor([2, 1], dtype=torch.int32)
    """
    x1, x2 = pair(x1, x2)
    x1 = x1.to(x2.dtype) if x1.dtype is torch.bool else x1  # torch subtracts no truths
    return torch.subtract(x1, x2.to(x1.dtype) if x2.dtype is torch.bool else x2)


@op
def multiply(x1: Any, x2: Any) -> torch.Tensor:
    """x1 times x2.

    Example:
        >>> multiply([1, 2], [3, 4])
        tensor([3, 8], dtype=torch.int32)
    """
    return torch.multiply(*pair(x1, x2))


@op
def divide(x1: Any, x2: Any) -> torch.Tensor:
    """x1 / x2, as floats.

    Example:
        >>> divide([1, 2], 2)
        tensor([0.5000, 1.0000])
    """
    one, other = (x2, x1) if isinstance(x1, float) else (x1, x2)
    if isinstance(other, float) and isinstance(one, torch.Tensor) and not one.ndim and one.is_floating_point():
        x1, x2 = tensor(x1, one.dtype), tensor(x2, one.dtype)  # a tensor counts more, also one number
    return torch.divide(*pair(x1, x2))


true_divide = alias("true_divide", divide)


@op
def divide_no_nan(x1: Any, x2: Any) -> torch.Tensor:
    """x1 / x2, and 0 where x2 is 0.

    Example:
        >>> divide_no_nan([1.0, 2.0], [0.0, 2.0])
        tensor([0., 1.])
    """
    x1, x2 = promoted(x1, x2, to=float)
    zero = x2 == 0
    return torch.where(zero, 0.0, x1 / torch.where(zero, 1.0, x2)).to(x1.dtype)


@op
def floor_divide(x1: Any, x2: Any) -> torch.Tensor:
    """x1 / x2, rounded down.

    Example:
        >>> floor_divide([7, -7], 2)
        tensor([ 3, -4], dtype=torch.int32)
    """
    kind = result_dtype(*(x if isinstance(x, (int, float)) else tensor(x) for x in (x1, x2)))
    return torch.floor_divide(*pair(x1, x2)).to(kind)


@op
def mod(x1: Any, x2: Any) -> torch.Tensor:
    """The remainder of x1 / x2, of the sign of x2.

    Example:
        >>> mod([7, -7], 3)
        tensor([1, 2], dtype=torch.int32)
    """
    return torch.remainder(*_no_truths(x1, x2))


@op
def fmod(x1: Any, x2: Any) -> torch.Tensor:
    """The remainder of x1 / x2, of the sign of x1.

    Example:
        >>> fmod([7, -7], 3)
        tensor([ 1, -1], dtype=torch.int32)
    """
    return torch.fmod(*_no_truths(x1, x2))


def _no_truths(x1: Any, x2: Any) -> tuple[torch.Tensor, torch.Tensor]:
    x1, x2 = pair(x1, x2)
    if x1.dtype is torch.bool and x2.dtype is torch.bool:
        return x1.to(torch.int32), x2.to(torch.int32)
    return x1, x2


@op
def negative(x: Any) -> torch.Tensor:
    """-x.

    Example:
        >>> negative([1, -2])
        tensor([-1,  2], dtype=torch.int32)
    """
    return torch.negative(tensor(x))


@op
def reciprocal(x: Any) -> torch.Tensor:
    """1 / x.

    Example:
        >>> reciprocal([4.0])
        tensor([0.2500])
    """
    return torch.reciprocal(floating(x))


@op
def absolute(x: Any) -> torch.Tensor:
    """|x|.

    Example:
        >>> absolute([-1, 2])
        tensor([1, 2], dtype=torch.int32)
    """
    x = tensor(x)
    return x if x.dtype is torch.bool else torch.abs(x)


abs = alias("abs", absolute)


@op
def fabs(x: Any) -> torch.Tensor:
    """|x|, as floats.

    Example:
        >>> fabs([-1, 2])
        tensor([1., 2.])
    """
    return torch.abs(floating(x))


@op
def sign(x: Any) -> torch.Tensor:
    """-1, 0 or 1.

    Example:
        >>> sign([-3.0, 0.0])
        tensor([-1.,  0.])
    """
    return torch.sign(tensor(x))


@op
def signbit(x: Any) -> torch.Tensor:
    """Whether the sign bit is set: also for -0.0.

    Example:
        >>> signbit([-3.0, 0.0])
        tensor([ True, False])
    """
    return torch.signbit(tensor(x))


@op
def ceil(x: Any) -> torch.Tensor:
    """The next whole number above, as floats.

    Example:
        >>> ceil([1.2])
        tensor([2.])
    """
    x = tensor(x)
    return torch.ceil(x.to(result_dtype(x, float)))


@op
def floor(x: Any) -> torch.Tensor:
    """The next whole number below, as floats.

    Example:
        >>> floor([1.8])
        tensor([1.])
    """
    x = tensor(x)
    return torch.floor(x.to(result_dtype(x, float)))


def _rounded(x: torch.Tensor) -> torch.dtype:
    return result_dtype(x, float)


@op
def trunc(x: Any) -> torch.Tensor:
    """x without what is after the point.

    Example:
        >>> trunc([-1.8])
        tensor([-1.])
    """
    x = tensor(x)
    return x if x.dtype is torch.bool else torch.trunc(x)


@op
def round(x: Any, decimals: int = 0) -> torch.Tensor:
    """x rounded to `decimals`; halves to the even neighbour.

    Example:
        >>> round([0.5, 1.5, 2.26])
        tensor([0., 2., 2.])
    """
    x = tensor(x)
    if x.is_floating_point():
        return torch.round(x, decimals=decimals)
    if x.dtype is torch.bool:
        return x
    return torch.round(x.to(floatx()), decimals=decimals).to(x.dtype)


@op
def clip(x: Any, x_min: Any, x_max: Any) -> torch.Tensor:
    """x, brought between `x_min` and `x_max`.

    Example:
        >>> clip([1.0, 5.0], 2.0, 4.0)
        tensor([2., 4.])
    """
    x = tensor(x)
    x = x.to(torch.int32) if x.dtype is torch.bool else x
    if isinstance(x_min, (int, float)) and isinstance(x_max, (int, float)):
        return torch.clamp(x, x_min, x_max)
    return torch.clamp(x, pair(x, x_min)[1], pair(x, x_max)[1])


@op
def maximum(x1: Any, x2: Any) -> torch.Tensor:
    """The larger of both; NaN where one is NaN.

    Example:
        >>> maximum([1, 5], 3)
        tensor([3, 5], dtype=torch.int32)
    """
    return torch.maximum(*promoted(x1, x2))


@op
def minimum(x1: Any, x2: Any) -> torch.Tensor:
    """The smaller of both; NaN where one is NaN.

    Example:
        >>> minimum([1, 5], 3)
        tensor([1, 3], dtype=torch.int32)
    """
    return torch.minimum(*promoted(x1, x2))


@op
def fmax(x1: Any, x2: Any) -> torch.Tensor:
    """The larger of both; where one is NaN, the other.

    Example:
        >>> fmax([1.0, float('nan')], 3.0)
        tensor([3., 3.])
    """
    return torch.fmax(*promoted(x1, x2))


@op
def fmin(x1: Any, x2: Any) -> torch.Tensor:
    """The smaller of both; where one is NaN, the other.

    Example:
        >>> fmin([1.0, float('nan')], 3.0)
        tensor([1., 3.])
    """
    return torch.fmin(*promoted(x1, x2))


@op
def gcd(x1: Any, x2: Any) -> torch.Tensor:
    """The greatest common divisor.

    Example:
        >>> gcd([12], [18])
        tensor([6], dtype=torch.int32)
    """
    return torch.gcd(*pair(x1, x2))


@op
def lcm(x1: Any, x2: Any) -> torch.Tensor:
    """The least common multiple.

    Example:
        >>> lcm([4], [6])
        tensor([12], dtype=torch.int32)
    """
    return torch.lcm(*pair(x1, x2))


@op
def heaviside(x1: Any, x2: Any) -> torch.Tensor:
    """0 where x1 is negative, 1 where positive, x2 where 0.

    Example:
        >>> heaviside([-1.0, 0.0, 1.0], 0.5)
        tensor([0.0000, 0.5000, 1.0000])
    """
    x1, x2 = promoted(x1, x2)
    return torch.heaviside(floating(x1), floating(x2))


@op
def nextafter(x1: Any, x2: Any) -> torch.Tensor:
    """The next float after x1 on the way to x2.

    Example:
        >>> nextafter([1.0], [2.0]) > 1
        tensor([True])
    """
    return torch.nextafter(*promoted(x1, x2, to=float))


@op
def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> torch.Tensor:
    """x with NaN and infinities replaced, by the largest and smallest float by default.

    Example:
        >>> nan_to_num([float('nan'), 1.0])
        tensor([0., 1.])
    """
    return torch.nan_to_num(tensor(x), nan=nan, posinf=posinf, neginf=neginf)


@op
def angle(x: Any) -> torch.Tensor:
    """The angle of complex numbers; 0 or pi of real ones.

    Example:
        >>> angle([-1.0])
        tensor([3.1416])
    """
    return torch.angle(tensor(x))


@op
def real(x: Any) -> torch.Tensor:
    """The real part.

    Example:
        >>> real(torch.tensor([1 + 2j]))
        tensor([1.])
    """
    return torch.real(tensor(x))


@op
def imag(x: Any) -> torch.Tensor:
    """The imaginary part; 0 of real numbers.

    Example:
        >>> imag(torch.tensor([1 + 2j]))
        tensor([2.])
    """
    x = tensor(x)
    return torch.imag(x) if x.is_complex() else torch.zeros_like(x)


@op
def conjugate(x: Any) -> torch.Tensor:
    """The complex conjugate.

    Example:
        >>> conjugate(torch.tensor([1 + 2j]))
        tensor([1.-2.j])
    """
    return torch.conj(tensor(x)).resolve_conj()


conj = alias("conj", conjugate)
