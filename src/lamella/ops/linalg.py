"""Linear algebra: decompositions, inverses, equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lamella.errors import ArgumentError, ShapeError
from lamella.ops.base import floating, op, registry, tensor
from lamella.ops.products import norm

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "det",
    "eig",
    "eigh",
    "inv",
    "jvp",
    "lstsq",
    "lu_factor",
    "matrix_power",
    "matrix_rank",
    "norm",
    "pinv",
    "qr",
    "solve",
    "solve_triangular",
    "svd",
]


def _matrix(name: str, x: Any, square: bool = False) -> torch.Tensor:
    x = tensor(x)
    if x.ndim < 2:
        raise ShapeError(f"{name}: expected matrices (rank 2 at least); got shape {tuple(x.shape)}.")
    if square and x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name}: expected square matrices; got shape {tuple(x.shape)}.")
    return x


def _equations(name: str, a: Any, b: Any) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = _matrix(name, a, square=True), tensor(b)
    if b.ndim < 1 or (b.shape[-1] if b.ndim == a.ndim - 1 else b.shape[-2]) != a.shape[-1]:
        raise ShapeError(f"{name}: `a` and `b` do not fit; got shapes {tuple(a.shape)} and {tuple(b.shape)}.")
    return a, b


@op
def cholesky(x: Any, upper: bool = False) -> torch.Tensor:
    """The triangular L with L L^T = x (or U with U^T U = x, with `upper`).

    Raises:
        ShapeError: Matrices that are not square.
        ArgumentError: A matrix that is not positive definite.

    Example:
        >>> cholesky([[4.0, 0.0], [0.0, 9.0]])
        tensor([[2., 0.],
                [0., 3.]])
    """
    try:
        return torch.linalg.cholesky(_matrix("cholesky", x, square=True), upper=upper)
    except torch.linalg.LinAlgError as error:
        raise ArgumentError(f"cholesky: the matrix is not positive definite. {error}") from None


@op
def cholesky_inverse(x: Any, upper: bool = False) -> torch.Tensor:
    """The inverse of a matrix, given its `cholesky`.

    Example:
        >>> cholesky_inverse([[2.0]])
        tensor([[0.2500]])
    """
    return torch.cholesky_inverse(_matrix("cholesky_inverse", x, square=True), upper=upper)


@op
def det(x: Any) -> torch.Tensor:
    """The determinant.

    Example:
        >>> det([[1.0, 2.0], [3.0, 4.0]])
        tensor(-2.)
    """
    return torch.linalg.det(_matrix("det", x, square=True))


@op
def slogdet(x: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The sign of the determinant, and the logarithm of its absolute value.

    Example:
        >>> slogdet([[1.0, 0.0], [0.0, -1.0]])
        (tensor(-1.), tensor(0.))
    """
    return tuple(torch.linalg.slogdet(_matrix("slogdet", x, square=True)))  # type: ignore[return-value]


@op
def logdet(x: Any) -> torch.Tensor:
    """The logarithm of the determinant; NaN of a negative one.

    Example:
        >>> logdet([[1.0, 0.0], [0.0, 1.0]])
        tensor(0.)
    """
    return torch.logdet(_matrix("logdet", x, square=True))


@op
def eig(x: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The eigenvalues and eigenvectors (columns) of square matrices, complex.

    Example:
        >>> eig([[2.0, 0.0], [0.0, 3.0]])[0]
        tensor([2.+0.j, 3.+0.j])
    """
    return tuple(torch.linalg.eig(_matrix("eig", x, square=True)))  # type: ignore[return-value]


@op
def eigh(x: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The eigenvalues, ascending, and eigenvectors (columns) of symmetric matrices.

    Example:
        >>> eigh([[2.0, 0.0], [0.0, 3.0]])[0]
        tensor([2., 3.])
    """
    return tuple(torch.linalg.eigh(_matrix("eigh", x, square=True)))  # type: ignore[return-value]


@op
def inv(x: Any) -> torch.Tensor:
    """The inverse.

    Raises:
        ArgumentError: A matrix that has none.

    Example:
        >>> inv([[2.0, 0.0], [0.0, 4.0]])
        tensor([[0.5000, 0.0000],
                [0.0000, 0.2500]])
    """
    try:
        return torch.linalg.inv(_matrix("inv", x, square=True))
    except torch.linalg.LinAlgError as error:
        raise ArgumentError(f"inv: the matrix has no inverse; pinv gives the nearest. {error}") from None


@op
def pinv(x: Any, rcond: Any = None) -> torch.Tensor:
    """The pseudo-inverse (Moore and Penrose); singular values below `rcond` times the largest count as 0.

    Example:
        >>> pinv([[2.0, 0.0], [0.0, 0.0]])
        tensor([[0.5000, 0.0000],
                [0.0000, 0.0000]])
    """
    return torch.linalg.pinv(_matrix("pinv", x), rtol=rcond)


@op
def matrix_rank(x: Any, tol: Any = None) -> torch.Tensor:
    """How many singular values are above `tol`.

    Example:
        >>> matrix_rank([[1.0, 1.0], [1.0, 1.0]])
        tensor(1, dtype=torch.int32)
    """
    return torch.linalg.matrix_rank(_matrix("matrix_rank", x), atol=tol).to(torch.int32)


@op
def matrix_power(x: Any, n: int) -> torch.Tensor:
    """Square matrices multiplied `n` times: 0 gives the identity, -1 the inverse.

    Raises:
        ArgumentError: An `n` that is no whole number, or a negative one and a matrix without an inverse.
        ShapeError: Matrices that are not square.

    Example:
        >>> matrix_power([[1.0, 1.0], [0.0, 1.0]], 3)
        tensor([[1., 3.],
                [0., 1.]])
    """
    if not isinstance(n, int) or isinstance(n, bool):
        raise ArgumentError(f"matrix_power: `n` must be a whole number; got {n!r}.")
    x = _matrix("matrix_power", x, square=True)
    return torch.linalg.matrix_power(x if n >= 0 else inv(floating(x)), abs(n))


@op
def lu_factor(x: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The LU decomposition in one matrix, and the row that each row was exchanged with (from 0).

    Example:
        >>> lu_factor([[2.0, 1.0], [1.0, 1.0]])[1]
        tensor([0, 1], dtype=torch.int32)
    """
    factors, pivots = torch.linalg.lu_factor(_matrix("lu_factor", x))
    return factors, pivots - 1


@op
def qr(x: Any, mode: str = "reduced") -> tuple[torch.Tensor, torch.Tensor]:
    """An orthogonal Q and a triangular R with Q R = x.

    Args:
        x: Matrices.
        mode: `"reduced"` or `"complete"` (a square Q).

    Raises:
        ArgumentError: Another mode.

    Example:
        >>> torch.matmul(*qr([[1.0, 0.0], [0.0, 2.0]])).tolist()
        [[1.0, 0.0], [0.0, 2.0]]
    """
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f"`mode` must be 'reduced' or 'complete'; got {mode!r}.")
    return tuple(torch.linalg.qr(_matrix("qr", x), mode=mode))  # type: ignore[return-value]


@op
def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """U, the singular values (descending), and V^T, with U S V^T = x.

    Args:
        x: Matrices.
        full_matrices: Whether U and V are square.
        compute_uv: Whether to return them; the singular values alone otherwise.

    Example:
        >>> svd([[3.0, 0.0], [0.0, 2.0]], compute_uv=False)
        tensor([3., 2.])
    """
    x = _matrix("svd", x)
    return tuple(torch.linalg.svd(x, full_matrices=full_matrices)) if compute_uv else torch.linalg.svdvals(x)


@op
def solve(a: Any, b: Any) -> torch.Tensor:
    """The x with a x = b.

    Raises:
        ShapeError: An `a` that is not square, or a `b` that does not fit.

    Example:
        >>> solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0])
        tensor([1.0000, 0.5000])
    """
    return torch.linalg.solve(*_equations("solve", a, b))


@op
def solve_triangular(a: Any, b: Any, lower: bool = False) -> torch.Tensor:
    """The x with a x = b, where a is upper (or lower) triangular.

    Example:
        >>> solve_triangular([[2.0, 1.0], [0.0, 4.0]], [3.0, 4.0])
        tensor([1., 1.])
    """
    a, b = _equations("solve_triangular", a, b)
    if b.ndim == a.ndim - 1:
        return torch.linalg.solve_triangular(a, b.unsqueeze(-1), upper=not lower).squeeze(-1)
    return torch.linalg.solve_triangular(a, b, upper=not lower)


@op
def lstsq(a: Any, b: Any, rcond: Any = None) -> torch.Tensor:
    """The x for which a x is nearest to b, in squares; the shortest of several.

    Args:
        a: (m, n).
        b: (m,) or (m, k).
        rcond: Singular values below `rcond` times the largest count as 0.

    Raises:
        ShapeError: Shapes that do not fit.

    Example:
        >>> lstsq([[1.0], [1.0]], [1.0, 3.0]).round(decimals=3)
        tensor([2.])
    """
    a, b = _matrix("lstsq", a), tensor(b)
    if b.ndim not in (1, 2) or a.ndim != 2 or len(a) != len(b):
        raise ShapeError(f"lstsq: expected (m, n) and (m,) or (m, k); got {tuple(a.shape)} and {tuple(b.shape)}.")
    columns = b.unsqueeze(-1) if b.ndim == 1 else b
    if a.is_meta or b.is_meta:
        found = columns.new_empty(a.shape[1], columns.shape[1])
    elif rcond is not None or a.is_cuda or len(a) < a.shape[1]:
        found = torch.linalg.pinv(a, rtol=rcond) @ columns
    else:
        found = torch.linalg.lstsq(a, columns).solution
    return found.squeeze(-1) if b.ndim == 1 else found


def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """`fun` at `primals`, and its derivative there in the direction of `tangents`, in one forward pass.

    Args:
        fun: A function of tensors.
        primals: A tuple (or list) of its arguments.
        tangents: One direction for each.
        has_aux: Whether `fun` returns `(output, something else)`.

    Example:
        >>> jvp(lambda x: x**2, (torch.tensor(3.0),), (torch.tensor(1.0),))
        (tensor(9.), tensor(6.))
    """
    primals, tangents = (tuple(tensor(each) for each in side) for side in (primals, tangents))
    return torch.func.jvp(fun, primals, tangents, has_aux=has_aux)


registry.register()(jvp)
