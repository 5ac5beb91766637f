"""The same numbers in another shape or order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lamella.errors import ArgumentError, ShapeError
from lamella.ops.base import axes_of, op, tensor

_tensor = tensor


@op
def reshape(x: Any, newshape: Any) -> torch.Tensor:
    """The same numbers in another shape; one size may be -1 (or None), which stands for what is left. Beside another
    such size, None is the size that `x` has there.

    Example:
        >>> reshape([1, 2, 3, 4], (2, -1))
        tensor([[1, 2],
                [3, 4]], dtype=torch.int32)
    """
    sizes = newshape if isinstance(newshape, (list, tuple)) else (newshape,)
    x = tensor(x)
    own = sum(size in (None, -1) for size in sizes) > 1  # None is an unknown size of a symbolic tensor
    shape = tuple((_size(x, i) if own else -1) if size is None else size for i, size in enumerate(sizes))
    try:
        return torch.reshape(x, shape)
    except RuntimeError as error:
        raise ShapeError(f"reshape: shape {tuple(x.shape)} cannot become {shape}. {error}") from error


def _size(x: torch.Tensor, axis: int) -> int:
    return x.shape[axis] if axis < x.ndim else -1


@op
def ravel(x: Any) -> torch.Tensor:
    """All numbers in one row.

    Example:
        >>> ravel([[1, 2], [3, 4]])
        tensor([1, 2, 3, 4], dtype=torch.int32)
    """
    return tensor(x).reshape(-1)


@op
def transpose(x: Any, axes: Sequence[int] | None = None) -> torch.Tensor:
    """The axes in another order; reversed by default.

    Example:
        >>> transpose([[1, 2], [3, 4]])
        tensor([[1, 3],
                [2, 4]], dtype=torch.int32)
    """
    x = tensor(x)
    return x.permute(tuple(reversed(range(x.ndim))) if axes is None else tuple(axes))


@op
def swapaxes(x: Any, axis1: int, axis2: int) -> torch.Tensor:
    """Two axes exchanged.

    Example:
        >>> swapaxes(torch.zeros(2, 3, 4), 0, 2).shape
        torch.Size([4, 3, 2])
    """
    return torch.swapaxes(tensor(x), axis1, axis2)


@op
def moveaxis(x: Any, source: Any, destination: Any) -> torch.Tensor:
    """Axes moved to other places; the others keep their order.

    Example:
        >>> moveaxis(torch.zeros(2, 3, 4), 0, -1).shape
        torch.Size([3, 4, 2])
    """
    return torch.movedim(tensor(x), source, destination)


@op
def expand_dims(x: Any, axis: Any) -> torch.Tensor:
    """A new axis of size 1 at each place in `axis`.

    Example:
        >>> expand_dims(torch.zeros(2, 3), (0, -1)).shape
        torch.Size([1, 2, 3, 1])
    """
    x = tensor(x)
    count = len(axis) if isinstance(axis, (list, tuple)) else 1
    for each in sorted(axes_of(axis, x.ndim + count)):
        x = x.unsqueeze(each)
    return x


@op
def squeeze(x: Any, axis: Any = None) -> torch.Tensor:
    """Without the axes of size 1 (those in `axis`, or all).

    Example:
        >>> squeeze(torch.zeros(1, 3, 1), 0).shape
        torch.Size([3, 1])
    """
    x = tensor(x)
    if axis is None:
        return x.squeeze()
    axes = axes_of(axis, x.ndim)
    if x.is_meta and any(x.shape[each] != 1 for each in axes):  # with data, as in torch, nothing happens
        raise ShapeError(f"squeeze: only axes of size 1 can be left out; got axis {axis} of shape {tuple(x.shape)}.")
    return x.squeeze(axes)


@op
def broadcast_to(x: Any, shape: Sequence[int]) -> torch.Tensor:
    """`x` repeated to `shape`, without a copy.

    Example:
        >>> broadcast_to([1, 2], (2, 2))
        tensor([[1, 2],
                [1, 2]], dtype=torch.int32)
    """
    return torch.broadcast_to(tensor(x), tuple(shape))


@op
def flip(x: Any, axis: Any = None) -> torch.Tensor:
    """The order reversed along `axis` (all by default).

    Example:
        >>> flip([1, 2, 3])
        tensor([3, 2, 1], dtype=torch.int32)
    """
    x = tensor(x)
    return torch.flip(x, axes_of(axis, x.ndim))


@op
def fliplr(x: Any) -> torch.Tensor:
    """The order of the columns (axis 1) reversed.

    Example:
        >>> fliplr([[1, 2], [3, 4]])
        tensor([[2, 1],
                [4, 3]], dtype=torch.int32)
    """
    return torch.fliplr(tensor(x))


@op
def flipud(x: Any) -> torch.Tensor:
    """The order of the rows (axis 0) reversed.

    Example:
        >>> flipud([[1, 2], [3, 4]])
        tensor([[3, 4],
                [1, 2]], dtype=torch.int32)
    """
    return torch.flipud(tensor(x))


@op
def rot90(array: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> torch.Tensor:
    """Turned by `k` right angles, from the first towards the second of `axes`.

    Raises:
        ArgumentError: Axes that are not two different ones.

    Example:
        >>> rot90([[1, 2], [3, 4]])
        tensor([[2, 4],
                [1, 3]], dtype=torch.int32)
    """
    x = tensor(array)
    if x.ndim < 2:
        raise ShapeError(f"rot90 needs at least 2 axes to turn; got shape {tuple(x.shape)}.")
    if len(axes) != 2 or len(set(axes_of(list(axes), x.ndim))) != 2:
        raise ArgumentError(f"Invalid axes {axes!r}: rot90 needs two different ones.")
    return torch.rot90(x, k, axes_of(list(axes), x.ndim))


@op
def roll(x: Any, shift: Any, axis: Any = None) -> torch.Tensor:
    """Moved along `axis` (of the flattened `x` for None); what falls out comes in at the other end.

    Args:
        x: The input.
        shift: By how many places; several move one after the other along one axis, or each along its own.
        axis: One axis or several; one `shift` moves along each of them.

    Raises:
        ArgumentError: Several shifts and another number of axes.

    Example:
        >>> roll([1, 2, 3], 1)
        tensor([3, 1, 2], dtype=torch.int32)
    """
    x = tensor(x)
    shifts = np.ravel(shift).tolist()
    if axis is None:
        return torch.roll(x, sum(shifts))
    axes = np.ravel(axis).tolist()
    if len(shifts) != len(axes) and 1 not in (len(shifts), len(axes)):
        raise ArgumentError(f"roll: one `shift` for each axis, or one for all; got shift={shift!r}, axis={axis!r}.")
    count = max(len(shifts), len(axes))
    return torch.roll(x, shifts * (count // len(shifts)), axes * (count // len(axes)))


@op
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> torch.Tensor:
    """`x` with more numbers before and after along each axis.

    Args:
        x: The input.
        pad_width: (before, after) for each axis, one such pair for all, or one number for all.
        mode: `"constant"`, `"reflect"` (mirrored without the edge), `"symmetric"` (mirrored with it),
            `"edge"` or `"wrap"`.
        constant_values: What to put there; only with `mode="constant"`.

    Raises:
        ArgumentError: An unknown mode, or `constant_values` with another mode.

    Example:
        >>> pad([1, 2, 3], ((2, 1),), mode="reflect")
        tensor([3, 2, 1, 2, 3, 2], dtype=torch.int32)
    """
    x = tensor(x)
    if constant_values is not None and mode != "constant":
        raise ArgumentError(f"`constant_values` goes only with mode='constant'; got mode={mode!r}.")
    pairs = _pairs(pad_width, x.ndim)
    if mode == "constant":
        flat = [side for both in reversed(pairs) for side in both]
        return F.pad(x, flat, value=0 if constant_values is None else constant_values)
    if mode not in _MIRRORS:
        raise ArgumentError(f"`mode` must be 'constant', {', '.join(map(repr, _MIRRORS))}; got {mode!r}.")
    for axis, (before, after) in enumerate(pairs):
        if before or after:
            places = torch.arange(-before, x.shape[axis] + after, device=x.device)
            x = x.index_select(axis, _MIRRORS[mode](places, x.shape[axis]))
    return x


def _pairs(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    if isinstance(pad_width, int):
        return [(pad_width, pad_width)] * ndim
    pad_width = pad_width.tolist() if hasattr(pad_width, "tolist") else list(pad_width)
    if len(pad_width) == 2 and all(isinstance(each, int) for each in pad_width):
        return [tuple(pad_width)] * ndim
    pairs = [(int(before), int(after)) for before, after in pad_width]
    pairs = pairs * ndim if len(pairs) == 1 else pairs
    if len(pairs) != ndim:
        raise ShapeError(f"`pad_width` must have a pair for each of {ndim} axes; got {pad_width!r}.")
    return pairs


def _reflected(places: torch.Tensor, size: int) -> torch.Tensor:
    period = max(2 * (size - 1), 1)
    places = places % period
    return torch.minimum(places, period - places) if size > 1 else places * 0


def _symmetric(places: torch.Tensor, size: int) -> torch.Tensor:
    places = places % (2 * size)
    return torch.minimum(places, 2 * size - 1 - places)


_MIRRORS = {
    "reflect": _reflected,
    "symmetric": _symmetric,
    "edge": lambda places, size: places.clamp(0, size - 1),
    "wrap": lambda places, size: places % size,
}


@op
def diag(x: Any, k: int = 0) -> torch.Tensor:
    """The diagonal `k` of a matrix, or the matrix with a vector on its diagonal.

    Example:
        >>> diag([1, 2])
        tensor([[1, 0],
                [0, 2]], dtype=torch.int32)
    """
    return torch.diag(tensor(x), k)


@op
def diagflat(x: Any, k: int = 0) -> torch.Tensor:
    """The matrix with the flattened `x` on its diagonal `k`.

    Example:
        >>> diagflat([[1, 2]])
        tensor([[1, 0],
                [0, 2]], dtype=torch.int32)
    """
    return torch.diagflat(tensor(x), k)


@op
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> torch.Tensor:
    """The diagonal between two axes, as the last axis.

    Example:
        >>> diagonal([[1, 2], [3, 4]])
        tensor([1, 4], dtype=torch.int32)
    """
    x = tensor(x)
    if axes_of(axis1, x.ndim) == axes_of(axis2, x.ndim):
        raise ArgumentError(f"diagonal: it lies between two axes; got axis1={axis1}, axis2={axis2} of rank {x.ndim}.")
    return torch.diagonal(x, offset, axis1, axis2)


@op
def tril(x: Any, k: int = 0) -> torch.Tensor:
    """What is at and below the diagonal `k`; zeros above.

    Example:
        >>> tril([[1, 2], [3, 4]])
        tensor([[1, 0],
                [3, 4]], dtype=torch.int32)
    """
    return torch.tril(tensor(x), k)


@op
def triu(x: Any, k: int = 0) -> torch.Tensor:
    """What is at and above the diagonal `k`; zeros below.

    Example:
        >>> triu([[1, 2], [3, 4]])
        tensor([[1, 2],
                [0, 4]], dtype=torch.int32)
    """
    return torch.triu(tensor(x), k)


def ndim(x: Any) -> int:
    """The number of axes.

    Example:
        >>> ndim([[1, 2]])
        2
    """
    return x.ndim if hasattr(x, "ndim") else tensor(x).ndim


@op
def size(x: Any) -> torch.Tensor:
    """How many numbers there are, as a tensor.

    Example:
        >>> size([[1, 2], [3, 4]])
        tensor(4)
    """
    return torch.tensor(tensor(x).numel())


@op
def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> torch.Tensor:
    """Axes split, moved and merged, in einops's notation.

    Args:
        tensor: The input.
        pattern: Such as `"b (h w) c -> b h w c"`: names of axes, brackets around merged ones.
        **axes_lengths: Sizes of axes inside brackets; one of each bracket may be left out.

    Raises:
        ArgumentError: A pattern whose sides name other axes, or that does not fit the shape.

    Example:
        >>> rearrange(torch.zeros(2, 6, 3), "b (h w) c -> b c h w", h=2).shape
        torch.Size([2, 3, 2, 3])
    """
    x = _tensor(tensor)
    groups_in, groups_out = (_groups(side) for side in pattern.split("->"))
    names = [name for group in groups_in for name in group]
    wanted = [name for group in groups_out for name in group]
    if sorted(names) != sorted(wanted) or len(groups_in) != x.ndim:
        raise ArgumentError(f"rearrange: {pattern!r} does not fit shape {tuple(x.shape)}, or its sides differ.")
    lengths = dict(axes_lengths)
    for group, length in zip(groups_in, x.shape, strict=True):
        known = 1
        for name in group:
            known *= lengths.get(name, 1)
        for name in group:
            if name not in lengths:
                lengths[name] = length // known
    x = x.reshape([lengths[name] for name in names]).permute([names.index(name) for name in wanted])
    merged = []
    for group in groups_out:
        merged.append(1)
        for name in group:
            merged[-1] *= lengths[name]
    return x.reshape(merged)


def _groups(side: str) -> list[list[str]]:
    return [found.strip("()").split() for found in re.findall(r"\([^)]*\)|\w+", side)]
