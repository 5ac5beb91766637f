"""Tensors from nothing but sizes: zeros, ranges, grids, windows."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch

from lamella.engine.device import default_device
from lamella.errors import ArgumentError, DTypeError
from lamella.ops.base import as_dtype, floatx, op, result_dtype, tensor


def _shape(shape: Any) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(int(size) for size in shape)


@op
def array(x: Any, dtype: Any = None) -> torch.Tensor:
    """`x` as a tensor.

    Example:
        >>> array([1, 2])
        tensor([1, 2], dtype=torch.int32)
    """
    return tensor(x, None if dtype is None else as_dtype(dtype))


@op
def zeros(shape: Any, dtype: Any = None) -> torch.Tensor:
    """Zeros.

    Example:
        >>> zeros((2,))
        tensor([0., 0.])
    """
    return torch.zeros(_shape(shape), dtype=as_dtype(dtype), device=default_device())


@op
def ones(shape: Any, dtype: Any = None) -> torch.Tensor:
    """Ones.

    Example:
        >>> ones((2,), "int32")
        tensor([1, 1], dtype=torch.int32)
    """
    return torch.ones(_shape(shape), dtype=as_dtype(dtype), device=default_device())


@op
def empty(shape: Any, dtype: Any = None) -> torch.Tensor:
    """Memory that holds anything.

    Example:
        >>> empty((2, 3)).shape
        torch.Size([2, 3])
    """
    return torch.empty(_shape(shape), dtype=as_dtype(dtype), device=default_device())


@op
def full(shape: Any, fill_value: Any, dtype: Any = None) -> torch.Tensor:
    """`fill_value` (a number, or a tensor that fits the last axes), repeated to `shape`.

    Example:
        >>> full((2,), 7.0)
        tensor([7., 7.])
    """
    if isinstance(fill_value, (bool, int, float)):
        return torch.full(_shape(shape), fill_value, dtype=as_dtype(dtype), device=default_device())
    return tensor(fill_value, as_dtype(dtype)).expand(_shape(shape)).clone()


@op
def zeros_like(x: Any, dtype: Any = None) -> torch.Tensor:
    """Zeros of the shape and type of `x`.

    Example:
        >>> zeros_like([1.0, 2.0])
        tensor([0., 0.])
    """
    return torch.zeros_like(tensor(x), dtype=None if dtype is None else as_dtype(dtype))


@op
def ones_like(x: Any, dtype: Any = None) -> torch.Tensor:
    """Ones of the shape and type of `x`.

    Example:
        >>> ones_like([5.0, 2.0])
        tensor([1., 1.])
    """
    return torch.ones_like(tensor(x), dtype=None if dtype is None else as_dtype(dtype))


@op
def empty_like(x: Any, dtype: Any = None) -> torch.Tensor:
    """Memory of the shape and type of `x` that holds anything.

    Example:
        >>> empty_like([5.0, 2.0]).shape
        torch.Size([2])
    """
    return torch.empty_like(tensor(x), dtype=None if dtype is None else as_dtype(dtype))


@op
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> torch.Tensor:
    """`fill_value` in the shape and type of `x`.

    Example:
        >>> full_like([5.0, 2.0], 7)
        tensor([7., 7.])
    """
    x = tensor(x)
    kind = x.dtype if dtype is None else as_dtype(dtype)
    return tensor(fill_value, kind).to(x.device).expand(x.shape).clone()


@op
def eye(N: int, M: int | None = None, k: int | None = 0, dtype: Any = None) -> torch.Tensor:
    """Ones on the diagonal `k` of an (N, M) matrix, zeros elsewhere.

    Example:
        >>> eye(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    height, width = (_whole("eye", size) for size in (N, N if M is None else M))
    rows, columns = (torch.arange(size, device=default_device()) for size in (height, width))
    return (columns == rows[:, None] + (k or 0)).to(as_dtype(dtype))


def _whole(name: str, size: Any) -> int:
    try:
        return operator.index(size)
    except TypeError as error:
        raise DTypeError(f"{name}: sizes are whole numbers; got {size!r}.") from error


@op
def identity(n: int, dtype: Any = None) -> torch.Tensor:
    """The (n, n) matrix with ones on the diagonal.

    Example:
        >>> identity(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    return eye(n, dtype=dtype)


@op
def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> torch.Tensor:
    """Ones at and below the diagonal `k`.

    Example:
        >>> tri(2)
        tensor([[1., 0.],
                [1., 1.]])
    """
    return torch.tril(ones((N, M or N), dtype), diagonal=k)


@op
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> torch.Tensor:
    """Numbers from `start` (or 0) to `stop` (excluded) by `step`.

    Example:
        >>> arange(3)
        tensor([0, 1, 2], dtype=torch.int32)
    """
    given = [each for each in (start, stop, step) if each is not None]
    kind = result_dtype(*given) if dtype is None else as_dtype(dtype)
    first, last = (0, start) if stop is None else (start, stop)
    return torch.arange(first, last, 1 if step is None else step, dtype=kind, device=default_device())


def _steps(
    start: Any, stop: Any, num: int, endpoint: bool, dtype: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.dtype]:
    kind = result_dtype(start, stop, float) if dtype is None else as_dtype(dtype)
    exact = kind if kind.is_floating_point else floatx()
    first, last = torch.broadcast_tensors(tensor(start).to(exact), tensor(stop).to(exact))
    gaps = num - 1 if endpoint else num
    step = (last - first) / gaps if gaps > 0 else torch.full_like(first, torch.nan)
    share = (torch.arange(num, device=first.device) / max(gaps, 1)).to(exact).reshape(-1, *(1,) * first.ndim)
    # From either end to the middle, as torch.linspace counts: exact at both ends
    values = torch.where(share < 0.5, first + share * (last - first), last - (1 - share) * (last - first))
    return values, step, kind


@op
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` numbers at equal distances from `start` to `stop`.

    Args:
        start: The first, a number or a tensor.
        stop: The last.
        num: How many.
        endpoint: Whether `stop` is the last of them.
        retstep: Whether to return the distance too.
        dtype: The type; a float type by default.
        axis: Where the new axis goes.

    Example:
        >>> linspace(0.0, 1.0, 3)
        tensor([0.0000, 0.5000, 1.0000])
    """
    values, step, kind = _steps(start, stop, num, endpoint, dtype)
    values = values.movedim(0, axis).to(kind)
    return (values, step) if retstep else values


@op
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10, dtype: Any = None, axis: int = 0
) -> torch.Tensor:
    """`base` to the power of `linspace(start, stop, num)`.

    Example:
        >>> logspace(0.0, 2.0, 3)
        tensor([  1.,  10., 100.])
    """
    values, _, kind = _steps(start, stop, num, endpoint, dtype)
    return torch.pow(base, values).movedim(0, axis).to(kind)


@op
def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> torch.Tensor:
    """`num` numbers at equal ratios from `start` to `stop`.

    Example:
        >>> geomspace(1.0, 100.0, 3)
        tensor([  1.,  10., 100.])
    """
    kind = result_dtype(start, stop, float) if dtype is None else as_dtype(dtype)
    first, last = tensor(start).to(torch.float64), tensor(stop).to(torch.float64)
    share = _steps(0.0, 1.0, num, endpoint, "float64")[0].to(first.device)
    share = share.reshape(-1, *(1,) * max(first.ndim, last.ndim))
    values = torch.where(share == 1, last, first * (last / first) ** share)  # exact at both ends
    return values.movedim(0, axis).to(kind)


@op
def meshgrid(*x: Any, indexing: str = "xy") -> list[torch.Tensor]:
    """Coordinate grids of coordinate vectors.

    Example:
        >>> [grid.tolist() for grid in meshgrid([1, 2], [3, 4])]
        [[[1, 2], [1, 2]], [[3, 3], [4, 4]]]
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: `indexing` must be 'xy' or 'ij'; got {indexing!r}.")
    vectors = [tensor(each).reshape(-1) for each in x]
    turned = indexing == "xy" and len(vectors) > 1
    if turned:
        vectors[:2] = vectors[1::-1]
    shape = [len(each) for each in vectors]
    grids = []
    for axis, each in enumerate(vectors):
        grids.append(each.reshape([-1 if i == axis else 1 for i in range(len(shape))]).expand(shape))
    if turned:
        grids[:2] = grids[1::-1]
    return grids


def _window(x: Any) -> tuple[int, torch.Tensor]:
    count = int(x)
    return count, torch.arange(count, dtype=floatx(), device=default_device())


def _cosines(x: Any, weights: Sequence[float]) -> torch.Tensor:
    count, n = _window(x)
    if count == 1:
        return torch.ones_like(n)
    angle = 2 * torch.pi * n / (count - 1)
    result = torch.zeros_like(n)
    for k, weight in enumerate(weights):
        result = result + (-1) ** k * weight * torch.cos(k * angle)
    return result


@op
def bartlett(x: Any) -> torch.Tensor:
    """The triangular window of `x` points.

    Example:
        >>> bartlett(5)
        tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    count, n = _window(x)
    return 1 - torch.abs(2 * n / (count - 1) - 1) if count > 1 else torch.ones_like(n)


@op
def hanning(x: Any) -> torch.Tensor:
    """The Hann window of `x` points: 0.5 - 0.5 cos(2 pi n / (x - 1)).

    Example:
        >>> hanning(3)
        tensor([0., 1., 0.])
    """
    return _cosines(x, (0.5, 0.5))


@op
def hamming(x: Any) -> torch.Tensor:
    """The Hamming window of `x` points: 0.54 - 0.46 cos(2 pi n / (x - 1)).

    Example:
        >>> hamming(3)
        tensor([0.0800, 1.0000, 0.0800])
    """
    return _cosines(x, (0.54, 0.46))


@op
def blackman(x: Any) -> torch.Tensor:
    """The Blackman window of `x` points.

    Example:
        >>> blackman(3).abs().round(decimals=4)
        tensor([0., 1., 0.])
    """
    return _cosines(x, (0.42, 0.5, 0.08))


@op
def kaiser(x: Any, beta: Any) -> torch.Tensor:
    """The Kaiser window of `x` points and shape `beta`: I0(beta sqrt(1 - r^2)) / I0(beta), r from -1 to 1.

    Example:
        >>> kaiser(3, 0.0)
        tensor([1., 1., 1.])
    """
    count, n = _window(x)
    beta = tensor(beta).to(n.dtype)
    if count == 1:
        return torch.ones_like(n)
    ratio = 2 * n / (count - 1) - 1
    return torch.i0(beta * torch.sqrt(torch.clamp(1 - ratio**2, min=0))) / torch.i0(beta)


@op
def vander(x: Any, N: int | None = None, increasing: bool = False) -> torch.Tensor:
    """The Vandermonde matrix: powers of `x`, from N - 1 down to 0 (or up, with `increasing`).

    Example:
        >>> vander([1, 2, 3], 3)
        tensor([[1, 1, 1],
                [4, 2, 1],
                [9, 3, 1]], dtype=torch.int32)
    """
    x = tensor(x)
    powers = torch.arange(len(x) if N is None else N, device=x.device)
    found = x[:, None] ** (powers if increasing else powers.flip(0))
    return found.to(result_dtype(x))
