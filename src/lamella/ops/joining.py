"""Tensors joined, cut and repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lamella.errors import ShapeError
from lamella.ops.base import axes_of, op, tensor


@op
def repeat(x: Any, repeats: Any, axis: int | None = None) -> torch.Tensor:
    """Each item along `axis` (of the flattened `x` for None) repeated `repeats` times.

    Example:
        >>> repeat([1, 2], 2)
        tensor([1, 1, 2, 2], dtype=torch.int32)
    """
    x = tensor(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    (axis,) = axes_of(axis, x.ndim)
    if isinstance(repeats, np.ndarray):
        repeats = repeats.reshape(-1).tolist()
    if isinstance(repeats, (list, tuple)) and len(repeats) == 1:
        repeats = repeats[0]
    if isinstance(repeats, int):
        wide = x.unsqueeze(axis + 1).expand(*x.shape[: axis + 1], repeats, *x.shape[axis + 1 :])
        return wide.flatten(axis, axis + 1)
    if isinstance(repeats, (list, tuple)):  # the size is known without asking the device
        if len(repeats) != x.shape[axis]:
            raise ShapeError(f"repeat: {len(repeats)} `repeats` do not fit the {x.shape[axis]} items of axis {axis}.")
        index = [i for i, times in enumerate(repeats) for _ in range(times)]
        return x.index_select(axis, torch.tensor(index, device=x.device))
    return torch.repeat_interleave(x, tensor(repeats).long().reshape(-1).to(x.device), dim=axis)


@op
def tile(x: Any, repeats: Any) -> torch.Tensor:
    """The whole of `x` repeated along each axis.

    Example:
        >>> tile([1, 2], 2)
        tensor([1, 2, 1, 2], dtype=torch.int32)
    """
    repeats = repeats.tolist() if hasattr(repeats, "tolist") else repeats
    return torch.tile(tensor(x), tuple(repeats) if isinstance(repeats, (list, tuple)) else (repeats,))


@op
def concatenate(xs: Sequence[Any], axis: int | None = 0) -> torch.Tensor:
    """Tensors joined along an axis that they have (all flattened for None).

    Example:
        >>> concatenate([[1, 2], [3]])
        tensor([1, 2, 3], dtype=torch.int32)
    """
    xs = [tensor(x) for x in xs]
    return torch.cat([x.reshape(-1) for x in xs]) if axis is None else torch.cat(xs, dim=axis)


@op
def append(x1: Any, x2: Any, axis: int | None = None) -> torch.Tensor:
    """`x2` joined to `x1` along `axis` (both flattened for None).

    Example:
        >>> append([1, 2], [[3, 4]])
        tensor([1, 2, 3, 4], dtype=torch.int32)
    """
    x1, x2 = tensor(x1), tensor(x2)
    return torch.cat((x1.reshape(-1), x2.reshape(-1))) if axis is None else torch.cat((x1, x2), dim=axis)


@op
def stack(x: Sequence[Any], axis: int = 0) -> torch.Tensor:
    """Tensors of one shape joined along a new axis.

    Example:
        >>> stack([[1, 2], [3, 4]], axis=1)
        tensor([[1, 3],
                [2, 4]], dtype=torch.int32)
    """
    return torch.stack([tensor(each) for each in x], dim=axis)


@op
def hstack(xs: Sequence[Any]) -> torch.Tensor:
    """Tensors joined side by side: along axis 1, or axis 0 of vectors.

    Example:
        >>> hstack([[1, 2], [3]])
        tensor([1, 2, 3], dtype=torch.int32)
    """
    return torch.hstack([tensor(x) for x in xs])


@op
def vstack(xs: Sequence[Any]) -> torch.Tensor:
    """Tensors joined one below the other: along axis 0, vectors as rows.

    Example:
        >>> vstack([[1, 2], [3, 4]])
        tensor([[1, 2],
                [3, 4]], dtype=torch.int32)
    """
    return torch.vstack([tensor(x) for x in xs])


@op
def column_stack(xs: Sequence[Any]) -> torch.Tensor:
    """Tensors joined along axis 1, vectors as columns.

    Example:
        >>> column_stack([[1, 2], [3, 4]])
        tensor([[1, 3],
                [2, 4]], dtype=torch.int32)
    """
    return torch.column_stack([tensor(x) for x in xs])


@op
def dstack(xs: Sequence[Any]) -> torch.Tensor:
    """Tensors joined one behind the other: along axis 2.

    Example:
        >>> dstack([[1, 2], [3, 4]])
        tensor([[[1, 3],
                 [2, 4]]], dtype=torch.int32)
    """
    return torch.dstack([tensor(x) for x in xs])


@op
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[torch.Tensor]:
    """Cut along `axis` into equal sections, or at indices.

    Raises:
        ShapeError: A size that the number of sections does not divide.

    Example:
        >>> split([1, 2, 3, 4], [1])
        [tensor([1], dtype=torch.int32), tensor([2, 3, 4], dtype=torch.int32)]
    """
    x = tensor(x)
    if isinstance(indices_or_sections, int) and x.shape[axis] % indices_or_sections:
        raise ShapeError(
            f"split: {x.shape[axis]} along axis {axis} of shape {tuple(x.shape)} cannot be cut into "
            f"{indices_or_sections} equal sections. Use array_split, or give indices."
        )
    return _cut(x, indices_or_sections, axis)


@op
def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[torch.Tensor]:
    """Cut along `axis` into nearly equal sections, or at indices.

    Example:
        >>> [len(part) for part in array_split([1, 2, 3, 4, 5], 2)]
        [3, 2]
    """
    return _cut(tensor(x), indices_or_sections, axis)


def _cut(x: torch.Tensor, places: Any, axis: int) -> list[torch.Tensor]:
    places = places if isinstance(places, int) else [int(i) for i in places]
    return list(torch.tensor_split(x, places, dim=axis))


@op
def hsplit(x: Any, indices_or_sections: Any) -> list[torch.Tensor]:
    """Cut along axis 1 (axis 0 of a vector).

    Example:
        >>> hsplit([1, 2], 2)
        [tensor([1], dtype=torch.int32), tensor([2], dtype=torch.int32)]
    """
    x = tensor(x)
    return split(x, indices_or_sections, 0 if x.ndim == 1 else 1)


@op
def vsplit(x: Any, indices_or_sections: Any) -> list[torch.Tensor]:
    """Cut along axis 0.

    Example:
        >>> vsplit([[1], [2]], 2)
        [tensor([[1]], dtype=torch.int32), tensor([[2]], dtype=torch.int32)]
    """
    return split(x, indices_or_sections, 0)


@op
def dsplit(x: Any, indices_or_sections: Any) -> list[torch.Tensor]:
    """Cut along axis 2.

    Example:
        >>> [part.shape[2] for part in dsplit(torch.zeros(1, 1, 4), 2)]
        [2, 2]
    """
    return split(x, indices_or_sections, 2)
