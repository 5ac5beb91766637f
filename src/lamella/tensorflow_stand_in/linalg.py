"""`tf.linalg`."""

from __future__ import annotations

from typing import Any

import torch

from lamella import ops
from lamella.tensorflow_stand_in.functions import eye, global_norm, l2_normalize, matmul, norm
from lamella.tensorflow_stand_in.tensors import convert_to_tensor, without_name

__all__ = [
    "band_part",
    "cholesky",
    "det",
    "diag",
    "diag_part",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "einsum",
    "eye",
    "global_norm",
    "inv",
    "l2_normalize",
    "matmul",
    "matvec",
    "norm",
    "qr",
    "set_diag",
    "solve",
    "svd",
    "tensordot",
    "trace",
]

cholesky, det, inv, qr = (without_name(each, "input") for each in (ops.cholesky, ops.det, ops.inv, ops.qr))
eigh, trace, solve = (
    without_name(ops.eigh, "tensor"),
    without_name(ops.trace, "x"),
    without_name(ops.solve, "matrix", "rhs"),
)
einsum, tensordot = without_name(ops.einsum), without_name(ops.tensordot, "a", "b", "axes")


def eig(tensor: Any, name: str | None = None) -> Any:
    """The eigenvalues and the eigenvectors of any square matrices, as complex numbers."""
    return tuple(torch.linalg.eig(convert_to_tensor(tensor)))


def eigvals(tensor: Any, name: str | None = None) -> Any:
    """The eigenvalues of any square matrices, as complex numbers."""
    return torch.linalg.eigvals(convert_to_tensor(tensor))


def eigvalsh(tensor: Any, name: str | None = None) -> Any:
    """The eigenvalues of symmetric matrices, the smallest first."""
    return torch.linalg.eigvalsh(convert_to_tensor(tensor))


def svd(tensor: Any, full_matrices: bool = False, compute_uv: bool = True, name: str | None = None) -> Any:
    """The singular values s, and with `compute_uv` u and v, so that tensor = u @ diag(s) @ v.T."""
    tensor = convert_to_tensor(tensor)
    if not compute_uv:
        return torch.linalg.svdvals(tensor)
    u, s, vh = torch.linalg.svd(tensor, full_matrices=full_matrices)
    return s, u, vh.mH


def matvec(a: Any, b: Any, transpose_a: bool = False, name: str | None = None) -> Any:
    """The product of matrices (..., m, n) and vectors (..., n)."""
    return matmul(a, convert_to_tensor(b).unsqueeze(-1), transpose_a=transpose_a).squeeze(-1)


def diag(diagonal: Any, name: str | None = None) -> Any:
    """Matrices with these diagonals, and zeros elsewhere."""
    return torch.diag_embed(convert_to_tensor(diagonal))


def diag_part(input: Any, name: str | None = None) -> Any:
    """The diagonals of matrices."""
    return torch.diagonal(convert_to_tensor(input), dim1=-2, dim2=-1)


def set_diag(input: Any, diagonal: Any, name: str | None = None) -> Any:
    """The matrices with other diagonals."""
    return torch.diagonal_scatter(convert_to_tensor(input), convert_to_tensor(diagonal), dim1=-2, dim2=-1)


def band_part(input: Any, num_lower: int, num_upper: int, name: str | None = None) -> Any:
    """The matrices with zeros outside so many diagonals below and above the main one; -1 for all."""
    found = convert_to_tensor(input)
    if num_lower >= 0:
        found = torch.triu(found, -num_lower)
    return torch.tril(found, num_upper) if num_upper >= 0 else found
