"""The product of two matrices of int8, several times as quick as that of floats where there are units for it.

torch's integer product is asked once, on factors whose sums are known, whether it sums exactly on this device: older
CPUs add pairs of products in 16 bits, which overflow. Where it does not, or where it does not take the shapes, the
product is one of floats, which is exact as long as the sums stay below 2^24, and rounds like any float32 sum above.
"""

from __future__ import annotations

import torch

_FEWEST_ROWS = 17
"""On CUDA; fewer are filled up with zeros."""


def integer_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a @ b in float32.

    Args:
        a: int8 of shape (m, k).
        b: int8 of shape (k, n).

    Example:
        >>> a = torch.tensor([[1, -2]], dtype=torch.int8)
        >>> b = torch.tensor([[3], [4]], dtype=torch.int8)
        >>> integer_product(a, b)
        tensor([[-5.]])
    """
    if not _is_exact(a.device.type) or not _takes(a, b) or torch.compiler.is_exporting():  # ONNX has no such product
        return a.float() @ b.float()
    missing = _FEWEST_ROWS - len(a) if a.device.type == "cuda" else 0
    if missing > 0:
        return torch._int_mm(torch.nn.functional.pad(a, (0, 0, 0, missing)), b)[: len(a)].float()
    return torch._int_mm(a, b).float()


def _takes(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.device.type == "cpu":
        return a.numel() > 0 and b.numel() > 0
    return a.numel() > 0 and a.shape[1] % 8 == 0 and b.shape[1] % 8 == 0


_EXACT: dict[str, bool] = {}


def _is_exact(device: str) -> bool:
    """Whether torch has an integer product there that is exact. While compiling nothing can be tried."""
    if device not in _EXACT and not torch.compiler.is_compiling():
        _EXACT[device] = _sums_exactly(device)
    return _EXACT.get(device, False)


def _sums_exactly(device: str) -> bool:
    """Whether the largest products are summed without overflow."""
    if device not in ("cpu", "cuda"):
        return False
    try:
        a = torch.full((32, 64), 127, dtype=torch.int8, device=device)
        b = torch.full((64, 32), 127, dtype=torch.int8, device=device)
        b[:, ::2] = -127
        return torch.equal(torch._int_mm(a, b).double(), a.double() @ b.double())
    except (RuntimeError, NotImplementedError):
        return False


__all__ = ["integer_product"]
