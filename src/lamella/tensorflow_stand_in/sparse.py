"""`tf.sparse`: functions of tensors of which only some places are kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lamella.engine.strings import Strings, holds_strings
from lamella.errors import ShapeError
from lamella.tensorflow_stand_in.sparse_tensor import SparseTensor, joined_values
from lamella.tensorflow_stand_in.tensors import constant, convert_to_tensor

__all__ = [
    "SparseTensor",
    "add",
    "concat",
    "expand_dims",
    "eye",
    "from_dense",
    "map_values",
    "maximum",
    "reduce_max",
    "reduce_sum",
    "reorder",
    "reshape",
    "retain",
    "slice",
    "sparse_dense_matmul",
    "to_dense",
    "transpose",
]


def to_dense(sp_input: Any, default_value: Any = None, validate_indices: bool = True, name: str | None = None) -> Any:
    """The whole tensor, with `default_value` (0, or an empty text) where none is kept."""
    return sp_input.to_dense(default_value) if isinstance(sp_input, SparseTensor) else convert_to_tensor(sp_input)


def from_dense(tensor: Any, name: str | None = None) -> SparseTensor:
    """The places of a tensor that are not 0 or empty."""
    tensor = constant(tensor)
    if holds_strings(tensor):
        kept = np.argwhere(np.asarray(tensor) != "")
        return SparseTensor(torch.as_tensor(kept), tensor[tuple(kept.T)], tensor.shape)
    places = torch.nonzero(tensor)
    return SparseTensor(places, tensor[tuple(places.T)], tuple(tensor.shape))


def reorder(sp_input: SparseTensor, name: str | None = None) -> SparseTensor:
    """The places in their order."""
    order = torch.argsort(sp_input.numbers(), stable=True)
    values = sp_input.values[order.numpy() if isinstance(sp_input.values, Strings) else order]
    return SparseTensor(sp_input.indices[order], values, sp_input.dense_shape)


def add(a: Any, b: Any, threshold: Any = 0) -> Any:
    """The sum: sparse if both are, else whole. Sums not larger than `threshold` are not kept."""
    if not isinstance(a, SparseTensor) or not isinstance(b, SparseTensor):
        return to_dense(a) + to_dense(b)
    found = SparseTensor.of_coo(a.coo() + b.coo())
    return found if not threshold else retain(found, found.values.abs() >= threshold)


def maximum(sp_a: SparseTensor, sp_b: SparseTensor, name: str | None = None) -> SparseTensor:
    """The larger at each place, 0 where none is kept; the places are those of both."""
    both = SparseTensor.of_coo(sp_a.coo() + sp_b.coo())
    larger = torch.maximum(to_dense(sp_a), to_dense(sp_b))
    return both.with_values(larger[tuple(both.indices.T)])


def retain(sp_input: SparseTensor, to_retain: Any) -> SparseTensor:
    """The places for which `to_retain` holds."""
    kept = convert_to_tensor(to_retain)
    values = sp_input.values[kept.numpy() if isinstance(sp_input.values, Strings) else kept]
    return SparseTensor(sp_input.indices[kept], values, sp_input.dense_shape)


def slice(sp_input: SparseTensor, start: Any, size: Any, name: str | None = None) -> SparseTensor:
    """The part of such a size that begins at `start`, as far as the tensor goes."""
    start, size = (convert_to_tensor(each).long() for each in (start, size))
    size = torch.minimum(size, sp_input.dense_shape - start)
    inside = ((sp_input.indices >= start) & (sp_input.indices < start + size)).all(1)
    kept = retain(sp_input, inside)
    return SparseTensor(kept.indices - start, kept.values, size)


def sparse_dense_matmul(
    sp_a: Any, b: Any, adjoint_a: bool = False, adjoint_b: bool = False, name: str | None = None
) -> torch.Tensor:
    """The product of two matrices of which one is sparse; gradients flow to the values and to the other."""
    if not isinstance(sp_a, SparseTensor):
        return sparse_dense_matmul(b, sp_a, not adjoint_b, not adjoint_a).mH
    dense = convert_to_tensor(b)
    left = sp_a.coo()
    return torch.sparse.mm(left.mH if adjoint_a else left, dense.mH if adjoint_b else dense)  # type: ignore[no-any-return]


def concat(axis: int, sp_inputs: Any, expand_nonconcat_dims: bool = False, name: str | None = None) -> SparseTensor:
    """Several one after the other along an axis.

    Raises:
        ShapeError: Other sizes along the other axes, unless `expand_nonconcat_dims`.
    """
    rank = len(sp_inputs[0].dense_shape)
    axis %= rank
    others = torch.stack([each.dense_shape for each in sp_inputs])
    rest = [i for i in range(rank) if i != axis]
    if not expand_nonconcat_dims and bool((others[:, rest] != others[:1, rest]).any()):
        raise ShapeError(f"tf.sparse.concat: along the other axes than {axis} the sizes differ: {others.tolist()}.")
    places, end = [], 0
    for each in sp_inputs:
        moved = each.indices.clone()
        moved[:, axis] += end
        places.append(moved)
        end += int(each.dense_shape[axis])
    sizes = others.amax(0)
    sizes[axis] = end
    return reorder(SparseTensor(torch.cat(places), joined_values([each.values for each in sp_inputs]), sizes))


def reshape(sp_input: SparseTensor, shape: Any, name: str | None = None) -> SparseTensor:
    """The same values in other sizes, of which one may be -1."""
    sizes = torch.empty(sp_input.sizes, device="meta").reshape(tuple(map(int, shape))).shape
    places = torch.stack(torch.unravel_index(sp_input.numbers(), sizes), 1)
    return SparseTensor(places, sp_input.values, tuple(sizes))


def expand_dims(sp_input: SparseTensor, axis: int | None = None, name: str | None = None) -> SparseTensor:
    """With a new axis of size 1; the last by default."""
    sizes = sp_input.dense_shape.tolist()
    place = -1 if axis is None else axis
    sizes.insert(place if place >= 0 else len(sizes) + 1 + place, 1)
    return reshape(sp_input, sizes)


def transpose(sp_input: SparseTensor, perm: Any = None, name: str | None = None) -> SparseTensor:
    """With the axes in another order; the other way round by default."""
    order = list(range(len(sp_input.dense_shape)))[::-1] if perm is None else [int(each) for each in perm]
    return reorder(SparseTensor(sp_input.indices[:, order], sp_input.values, sp_input.dense_shape[order]))


def reduce_sum(
    sp_input: SparseTensor,
    axis: Any = None,
    keepdims: bool | None = None,
    output_is_sparse: bool = False,
    name: Any = None,
) -> Any:
    """The sum of all, or along axes."""
    found = to_dense(sp_input).sum(axis, keepdim=bool(keepdims))
    return from_dense(found) if output_is_sparse else found


def reduce_max(
    sp_input: SparseTensor,
    axis: Any = None,
    keepdims: bool | None = None,
    output_is_sparse: bool = False,
    name: Any = None,
) -> Any:
    """The largest of what is kept, or along axes; 0 where nothing is."""
    lowest = _lowest(sp_input.values.dtype)
    whole = sp_input.to_dense(lowest)
    axes = tuple(range(whole.ndim)) if axis is None else axis
    found = whole.amax(axes, keepdim=bool(keepdims))
    found = torch.where(found == lowest, torch.zeros_like(found), found)
    return from_dense(found) if output_is_sparse else found


def _lowest(dtype: torch.dtype) -> Any:
    return -float("inf") if dtype.is_floating_point else torch.iinfo(dtype).min


def eye(
    num_rows: int, num_columns: int | None = None, dtype: Any = torch.float32, name: str | None = None
) -> SparseTensor:
    """Ones on the diagonal."""
    columns = num_rows if num_columns is None else num_columns
    places = torch.arange(min(num_rows, columns))
    return SparseTensor(places[:, None].repeat(1, 2), torch.ones(len(places), dtype=dtype), [num_rows, columns])


def map_values(op: Any, *args: Any, **kwargs: Any) -> SparseTensor:
    """The function of the values of what is sparse, at the same places."""
    first = next(each for each in args if isinstance(each, SparseTensor))
    plain = [each.values if isinstance(each, SparseTensor) else each for each in args]
    return first.with_values(op(*plain, **kwargs))
