"""Exponentials, logarithms, roots and the special functions around them."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import DTypeError
from lamella.ops.base import floating, floating64, op, pair, promoted, result_dtype, tensor


@op
def exp(x: Any) -> torch.Tensor:
    """e to the power of x.

    Example:
        >>> exp([0.0])
        tensor([1.])
    """
    return torch.exp(floating(x))


@op
def exp2(x: Any) -> torch.Tensor:
    """2 to the power of x.

    Example:
        >>> exp2([3.0])
        tensor([8.])
    """
    return torch.exp2(floating(x))


@op
def expm1(x: Any) -> torch.Tensor:
    """exp(x) - 1, exact for small x too.

    Example:
        >>> expm1([0.0])
        tensor([0.])
    """
    return torch.expm1(floating(x))


@op
def log(x: Any) -> torch.Tensor:
    """The natural logarithm.

    Example:
        >>> log([1.0])
        tensor([0.])
    """
    return torch.log(floating(x))


@op
def log2(x: Any) -> torch.Tensor:
    """The logarithm to the base 2.

    Example:
        >>> log2([8.0])
        tensor([3.])
    """
    return torch.log2(floating(x))


@op
def log10(x: Any) -> torch.Tensor:
    """The logarithm to the base 10.

    Example:
        >>> log10([1000.0])
        tensor([3.])
    """
    return torch.log10(floating(x))


@op
def log1p(x: Any) -> torch.Tensor:
    """log(1 + x), exact for small x too.

    Example:
        >>> log1p([0.0])
        tensor([0.])
    """
    return torch.log1p(floating(x))


@op
def logaddexp(x1: Any, x2: Any) -> torch.Tensor:
    """log(exp(x1) + exp(x2)), without overflow on the way.

    Example:
        >>> logaddexp([0.0], [0.0])
        tensor([0.6931])
    """
    return torch.logaddexp(*promoted(x1, x2, to=float))


@op
def logaddexp2(x1: Any, x2: Any) -> torch.Tensor:
    """log2(2^x1 + 2^x2), without overflow on the way.

    Example:
        >>> logaddexp2([3.0], [3.0])
        tensor([4.])
    """
    return torch.logaddexp2(*promoted(x1, x2, to=float))


@op
def sqrt(x: Any) -> torch.Tensor:
    """The square root.

    Example:
        >>> sqrt([9.0])
        tensor([3.])
    """
    return torch.sqrt(floating(x))


@op
def rsqrt(x: Any) -> torch.Tensor:
    """1 / sqrt(x).

    Example:
        >>> rsqrt([4.0])
        tensor([0.5000])
    """
    return torch.rsqrt(floating(x))


@op
def cbrt(x: Any) -> torch.Tensor:
    """The cube root.

    Example:
        >>> cbrt([-8.0])
        tensor([-2.])
    """
    x = floating64(x)
    return torch.sign(x) * torch.abs(x) ** (1.0 / 3.0)


@op
def square(x: Any) -> torch.Tensor:
    """x times x.

    Example:
        >>> square([3])
        tensor([9], dtype=torch.int32)
    """
    x = tensor(x)
    return torch.square(x.to(torch.int32) if x.dtype is torch.bool else x)


@op
def power(x1: Any, x2: Any) -> torch.Tensor:
    """x1 to the power of x2.

    Example:
        >>> power([2.0, 3.0], 2)
        tensor([4., 9.])
    """
    return torch.pow(*pair(x1, x2))


@op
def ldexp(x1: Any, x2: Any) -> torch.Tensor:
    """x1 times 2 to the power of x2, a whole number.

    Raises:
        DTypeError: An x2 that is not of whole numbers.

    Example:
        >>> ldexp([3.0], [2])
        tensor([12.])
    """
    x1, x2 = tensor(x1), tensor(x2)
    if x2.is_floating_point() or x2.dtype is torch.bool:
        raise DTypeError(f"ldexp: the exponent must be of whole numbers; got {x2.dtype}. Cast it first.")
    return torch.ldexp(x1, x2).to(result_dtype(x1, x2, float))


@op
def erf(x: Any) -> torch.Tensor:
    """The error function: the share of a normal distribution within x * sqrt(2) deviations.

    Example:
        >>> erf([1.0])
        tensor([0.8427])
    """
    return torch.erf(floating(x))


@op
def erfc(x: Any) -> torch.Tensor:
    """1 - erf(x), exact for large x too.

    Example:
        >>> erfc([1.0])
        tensor([0.1573])
    """
    return torch.erfc(floating(x))


@op
def erfinv(x: Any) -> torch.Tensor:
    """The inverse of erf.

    Example:
        >>> erfinv([0.5])
        tensor([0.4769])
    """
    return torch.erfinv(floating(x))


@op
def gammainc(x1: Any, x2: Any) -> torch.Tensor:
    """The regularized lower incomplete gamma function: the integral of t^(x1 - 1) e^-t from 0 to x2, over gamma(x1).

    Example:
        >>> gammainc([1.0], [2.0])
        tensor([0.8647])
    """
    x1, x2 = promoted(x1, x2, to=float)
    wide = x1.dtype in (torch.float16, torch.bfloat16)
    return torch.special.gammainc(x1.float() if wide else x1, x2.float() if wide else x2).to(x1.dtype)


@op
def i0(x: Any) -> torch.Tensor:
    """The modified Bessel function of the first kind and order 0.

    Example:
        >>> i0([1.0])
        tensor([1.2661])
    """
    return torch.i0(floating64(x))
