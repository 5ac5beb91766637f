"""Products of vectors and matrices, and what is built from them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import ArgumentError
from lamella.ops.base import axes_of, floating, floating64, op, pair, promoted, result_dtype, tensor


def _product(function: Any, x1: Any, x2: Any, **options: Any) -> torch.Tensor:
    """The product in the type that both meet in; computed in floats where torch has it in floats only."""
    x1, x2 = tensor(x1), tensor(x2)
    kind = result_dtype(x1, x2)
    compute = kind if kind.is_floating_point or kind.is_complex else result_dtype(kind, float)
    return function(x1.to(compute), x2.to(compute), **options).to(kind)


@op
def matmul(x1: Any, x2: Any) -> torch.Tensor:
    """The matrix product over the last two axes; the others are a batch.

    Example:
        >>> matmul([[1, 2], [3, 4]], [1, 1])
        tensor([3, 7], dtype=torch.int32)
    """
    x1, x2 = tensor(x1), tensor(x2)
    kind = torch.int32 if x1.dtype is x2.dtype is torch.int8 else result_dtype(x1, x2)
    whole = not (kind.is_floating_point or kind.is_complex)
    compute = torch.float32 if kind is torch.bool or (whole and x1.is_cuda) else kind
    return torch.matmul(x1.to(compute), x2.to(compute)).to(kind)


@op
def dot(x1: Any, x2: Any) -> torch.Tensor:
    """The sum over the last axis of x1 and the last but one of x2 (the only one of a vector).

    Example:
        >>> dot([1.0, 2.0], [3.0, 4.0])
        tensor(11.)
    """
    x1, x2 = tensor(x1), tensor(x2)
    if not x1.ndim or not x2.ndim:
        return _product(torch.multiply, x1, x2)
    if x2.ndim < 3:
        return _product(torch.matmul, x1, x2)
    return _product(torch.tensordot, x1, x2, dims=([x1.ndim - 1], [x2.ndim - 2]))


@op
def inner(x1: Any, x2: Any) -> torch.Tensor:
    """The sum over the last axes of both.

    Example:
        >>> inner([1.0, 2.0], [3.0, 4.0])
        tensor(11.)
    """
    return _product(torch.inner, x1, x2)


@op
def vdot(x1: Any, x2: Any) -> torch.Tensor:
    """The product of two vectors, the first conjugated.

    Example:
        >>> vdot([1.0, 2.0], [3.0, 4.0])
        tensor(11.)
    """
    return _product(torch.vdot, tensor(x1).reshape(-1), tensor(x2).reshape(-1))


@op
def outer(x1: Any, x2: Any) -> torch.Tensor:
    """Each of x1 times each of x2.

    Example:
        >>> outer([1, 2], [3, 4])
        tensor([[3, 4],
                [6, 8]], dtype=torch.int32)
    """
    x1, x2 = pair(x1, x2)
    return torch.outer(x1.reshape(-1), x2.reshape(-1))


@op
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> torch.Tensor:
    """The sum over several axes: the last `axes` of x1 and the first of x2, or pairs of them.

    Example:
        >>> tensordot([[1, 2], [3, 4]], [[1, 0], [0, 1]], axes=2)
        tensor(5, dtype=torch.int32)
    """
    if isinstance(axes, (list, tuple)):
        axes = [list(side) if isinstance(side, (list, tuple)) else [side] for side in axes]
    return _product(torch.tensordot, x1, x2, dims=axes)


@op
def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> torch.Tensor:
    """Sums of products in Einstein's notation.

    Args:
        subscripts: Such as `"ij,jk->ik"`.
        *operands: The tensors.
        **kwargs: Kept for Keras's signature.

    Example:
        >>> einsum("ij,j->i", [[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0])
        tensor([3., 7.])
    """
    found = [tensor(each) for each in operands]
    if all(each.dtype is torch.int8 for each in found):
        found = [each.to(torch.int32) for each in found]  # products of int8 overflow
    kind = found[0].dtype
    for each in found[1:]:
        kind = torch.promote_types(kind, each.dtype)
    return torch.einsum(subscripts, *[each.to(kind) for each in found])


@op
def kron(x1: Any, x2: Any) -> torch.Tensor:
    """The Kronecker product: each of x1 times the whole of x2.

    Example:
        >>> kron([1, 2], [1, 1])
        tensor([1, 1, 2, 2], dtype=torch.int32)
    """
    return torch.kron(*pair(x1, x2))


@op
def cross(x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> torch.Tensor:
    """The vector product of vectors of 3 (or 2: then its third number alone).

    Args:
        x1: Vectors along `axisa`.
        x2: Vectors along `axisb`.
        axisa: The axis of the vectors in x1.
        axisb: The axis of the vectors in x2.
        axisc: Where their axis goes in the result.
        axis: One axis for all three.

    Raises:
        ArgumentError: Vectors that are of neither 2 nor 3.

    Example:
        >>> cross([1, 0, 0], [0, 1, 0])
        tensor([0, 0, 1], dtype=torch.int32)
    """
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    x1, x2 = promoted(x1, x2)
    x1, x2 = x1.movedim(axisa, -1), x2.movedim(axisb, -1)
    if x1.shape[-1] not in (2, 3) or x2.shape[-1] not in (2, 3):
        raise ArgumentError(f"cross takes vectors of 2 or 3; got {x1.shape[-1]} and {x2.shape[-1]}.")
    if x1.shape[-1] == x2.shape[-1] == 2:
        return x1[..., 0] * x2[..., 1] - x1[..., 1] * x2[..., 0]
    x1, x2 = (F.pad(x, (0, 3 - x.shape[-1])) for x in (x1, x2))
    x1, x2 = torch.broadcast_tensors(x1, x2)
    return torch.cross(x1, x2, dim=-1).movedim(-1, axisc)


@op
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> torch.Tensor:
    """The sum of a diagonal.

    Example:
        >>> trace([[1, 2], [3, 4]])
        tensor(5, dtype=torch.int32)
    """
    x = tensor(x)
    small = x.dtype in (torch.bool, torch.uint8, torch.int8, torch.int16)
    return torch.diagonal(x, offset, axis1, axis2).sum(-1, dtype=torch.int32 if small else x.dtype)


@op
def diff(a: Any, n: int = 1, axis: int = -1) -> torch.Tensor:
    """The differences between neighbours along `axis`, taken `n` times.

    Example:
        >>> diff([1, 4, 9])
        tensor([3, 5], dtype=torch.int32)
    """
    return torch.diff(tensor(a), n=n, dim=axis)


@op
def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> torch.Tensor:
    """The integral along `axis` by the trapezoidal rule.

    Args:
        y: Heights.
        x: Where they are; at distances of `dx` by default.
        dx: The distance.
        axis: Along which to integrate.

    Example:
        >>> trapezoid([1.0, 2.0, 3.0])
        tensor(4.)
    """
    y = floating(y).movedim(axis, -1)
    middle = (y[..., 1:] + y[..., :-1]) / 2
    if x is None:
        return (middle * dx).sum(-1)
    x = tensor(x)
    steps = torch.diff(x.movedim(axis, -1) if x.ndim > 1 else x)
    return (middle * steps).sum(-1)


@op
def corrcoef(x: Any) -> torch.Tensor:
    """The correlation of each row with each.

    Example:
        >>> corrcoef([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
        tensor([[ 1., -1.],
                [-1.,  1.]])
    """
    x = floating64(x)
    rows = x.reshape(-1, x.shape[-1])
    rows = rows - rows.mean(-1, keepdim=True)
    products = rows @ rows.mT
    size = torch.sqrt(products.diagonal())
    found = torch.clamp(products / size / size[:, None], -1.0, 1.0)
    return found if x.ndim > 1 else found.reshape(())


@op
def correlate(x1: Any, x2: Any, mode: str = "valid") -> torch.Tensor:
    """The sum of products of x1 and x2 moved along it.

    Args:
        x1: A vector.
        x2: A vector.
        mode: `"valid"` (where they wholly overlap), `"same"` (of the length of the longer) or `"full"`.

    Raises:
        ArgumentError: Another mode.

    Example:
        >>> correlate([1.0, 2.0, 3.0], [0.0, 1.0, 0.5])
        tensor([3.5000])
    """
    if mode not in ("valid", "same", "full"):
        raise ArgumentError(f"`mode` must be 'valid', 'same' or 'full'; got {mode!r}.")
    x1, x2 = promoted(x1, x2)
    x1, x2 = floating(x1), floating(x2)
    full = F.conv1d(x1[None, None], x2[None, None].conj(), padding=len(x2) - 1)[0, 0]
    lengths = sorted((len(x1), len(x2)))
    wanted = {"valid": lengths[1] - lengths[0] + 1, "same": lengths[1], "full": len(full)}[mode]
    return full.narrow(0, (len(full) - wanted) // 2, wanted)


@op
def cdist(x: Any, y: Any) -> torch.Tensor:
    """The Euclidean distance of each row of `x` from each of `y`.

    Raises:
        ArgumentError: Inputs below rank 2, or rows of different lengths.

    Example:
        >>> cdist([[0.0, 0.0]], [[3.0, 4.0]])
        tensor([[5.]])
    """
    x, y = tensor(x), tensor(y)
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1]:
        raise ArgumentError(
            f"cdist takes (..., n, d) and (..., m, d); got shapes {tuple(x.shape)} and {tuple(y.shape)}."
        )
    return torch.sqrt(torch.sum((x.unsqueeze(-2) - y.unsqueeze(-3)) ** 2, dim=-1))


@op
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The norm of vectors (one axis) or matrices (two).

    Args:
        x: Numbers.
        ord: None (Euclidean, Frobenius), a number, `"fro"` or `"nuc"`, as in NumPy.
        axis: One axis, two, or None for all.
        keepdims: Whether the axes stay, with size 1.

    Example:
        >>> norm([3.0, 4.0])
        tensor(5.)
    """
    x = floating(x)
    axes = None if axis is None else axes_of(axis, x.ndim)
    return torch.linalg.norm(x, ord=ord, dim=axes, keepdim=keepdims)
