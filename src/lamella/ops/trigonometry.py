"""Angles and the functions of them."""

from __future__ import annotations

from typing import Any

import torch

from lamella.ops.base import floating, floating64, op, promoted


@op
def sin(x: Any) -> torch.Tensor:
    """The sine.

    Example:
        >>> sin([0.0])
        tensor([0.])
    """
    return torch.sin(floating(x))


@op
def cos(x: Any) -> torch.Tensor:
    """The cosine.

    Example:
        >>> cos([0.0])
        tensor([1.])
    """
    return torch.cos(floating(x))


@op
def tan(x: Any) -> torch.Tensor:
    """The tangent.

    Example:
        >>> tan([0.0])
        tensor([0.])
    """
    return torch.tan(floating(x))


@op
def arcsin(x: Any) -> torch.Tensor:
    """The angle, from -pi/2 to pi/2, of a sine.

    Example:
        >>> arcsin([1.0])
        tensor([1.5708])
    """
    return torch.arcsin(floating(x))


@op
def arccos(x: Any) -> torch.Tensor:
    """The angle, from 0 to pi, of a cosine.

    Example:
        >>> arccos([0.0])
        tensor([1.5708])
    """
    return torch.arccos(floating(x))


@op
def arctan(x: Any) -> torch.Tensor:
    """The angle, from -pi/2 to pi/2, of a tangent.

    Example:
        >>> arctan([1.0])
        tensor([0.7854])
    """
    return torch.arctan(floating(x))


@op
def arctan2(x1: Any, x2: Any) -> torch.Tensor:
    """The angle, from -pi to pi, of the point (x2, x1).

    Example:
        >>> arctan2([1.0], [-1.0])
        tensor([2.3562])
    """
    return torch.arctan2(*promoted(x1, x2, to=float))


@op
def sinh(x: Any) -> torch.Tensor:
    """The hyperbolic sine.

    Example:
        >>> sinh([1.0])
        tensor([1.1752])
    """
    return torch.sinh(floating(x))


@op
def cosh(x: Any) -> torch.Tensor:
    """The hyperbolic cosine.

    Example:
        >>> cosh([0.0])
        tensor([1.])
    """
    return torch.cosh(floating(x))


@op
def tanh(x: Any) -> torch.Tensor:
    """The hyperbolic tangent.

    Example:
        >>> tanh([1.0])
        tensor([0.7616])
    """
    return torch.tanh(floating(x))


@op
def arcsinh(x: Any) -> torch.Tensor:
    """The inverse of the hyperbolic sine.

    Example:
        >>> arcsinh([1.0])
        tensor([0.8814])
    """
    return torch.arcsinh(floating(x))


@op
def arccosh(x: Any) -> torch.Tensor:
    """The inverse of the hyperbolic cosine.

    Example:
        >>> arccosh([1.0])
        tensor([0.])
    """
    return torch.arccosh(floating(x))


@op
def arctanh(x: Any) -> torch.Tensor:
    """The inverse of the hyperbolic tangent.

    Example:
        >>> arctanh([0.5])
        tensor([0.5493])
    """
    return torch.arctanh(floating(x))


@op
def sinc(x: Any) -> torch.Tensor:
    """sin(pi x) / (pi x), and 1 at 0.

    Example:
        >>> sinc([0.0])
        tensor([1.])
    """
    return torch.sinc(floating(x))


@op
def hypot(x1: Any, x2: Any) -> torch.Tensor:
    """sqrt(x1^2 + x2^2), without overflow on the way.

    Example:
        >>> hypot([3.0], [4.0])
        tensor([5.])
    """
    x1, x2 = promoted(x1, x2)
    return torch.hypot(floating(x1), floating(x2))


@op
def deg2rad(x: Any) -> torch.Tensor:
    """Degrees as radians.

    Example:
        >>> deg2rad([180.0])
        tensor([3.1416])
    """
    return torch.deg2rad(floating64(x))


@op
def rad2deg(x: Any) -> torch.Tensor:
    """Radians as degrees.

    Example:
        >>> rad2deg([torch.pi])
        tensor([180.])
    """
    return torch.rad2deg(floating64(x))
