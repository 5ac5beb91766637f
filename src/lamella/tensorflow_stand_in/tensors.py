"""What TensorFlow makes tensors of: constants, variables, shapes, types."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella import ops
from lamella.backend.functions import in_order
from lamella.engine.device import on_one_device
from lamella.engine.dtypes import torch_dtype
from lamella.engine.nested import holds_tensors
from lamella.engine.on_meta import off_meta
from lamella.engine.strings import Strings, holds_strings, one_string
from lamella.engine.symbolic import SymbolicTensor
from lamella.engine.tensor_shape import TensorShape
from lamella.engine.variable import State, Weight
from lamella.tensorflow_stand_in.indexed_slices import IndexedSlices

Tensor = torch.Tensor
string = "string"
_SHORT = (torch.uint8, torch.int8, torch.int16)


def known(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which computes with known numbers (sizes, say) also while shapes are found."""

    @wraps(function)
    def computed(*args: Any, **kwargs: Any) -> Any:
        with off_meta():
            if not any(_is_unknown(leaf) for leaf in pytree.tree_leaves((args, kwargs))):
                return function(*args, **kwargs)
        return function(*args, **kwargs)

    return computed


def _is_unknown(value: Any) -> bool:
    return isinstance(value, SymbolicTensor) or (isinstance(value, torch.Tensor) and value.is_meta)


@known
def convert_to_tensor(value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None) -> Any:
    """A torch tensor of an array or a number; of Python's numbers int32 (int64 where they are too large for it), or
    complex128, as in TensorFlow."""
    if isinstance(value, SymbolicTensor):
        return value
    if isinstance(value, (str, bytes)):
        return one_string(value)
    if isinstance(value, IndexedSlices):
        value = value.dense()
    if hasattr(value, "to_numpy"):  # a data frame
        value = np.array(value)
    if _is_text(value):
        return Strings.of(value)
    kind = None if dtype is None else torch_dtype(dtype)
    if holds_tensors(value):
        value = torch.stack(on_one_device([convert_to_tensor(item, dtype) for item in value]))
    if isinstance(value, torch.Tensor):
        return value if kind is None else value.to(kind)
    if kind is not None and isinstance(value, np.ndarray) and value.dtype.kind == "O":  # a table of mixed columns
        value = value.astype("float64" if kind.is_floating_point else "int64")
    tensor = torch.as_tensor(value, dtype=kind)
    if dtype is None and not hasattr(value, "dtype"):
        if tensor.is_complex():
            return torch.as_tensor(value, dtype=torch.complex128)
        if tensor.dtype is torch.int64:
            small = tensor.to(torch.int32)
            return small if torch.equal(small.long(), tensor) else tensor
    return tensor


@known
def own_tensor(value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None) -> Any:
    """`tf.convert_to_tensor`: the tensor of a value, which does not change when an array or a variable does."""
    found = convert_to_tensor(value, dtype)
    of_others = isinstance(value, np.ndarray) and isinstance(found, torch.Tensor)
    return found.clone() if of_others else of_now(found)


def of_now(found: Any) -> Any:
    """The tensor; where it lies in the memory of a variable, which may change, a copy of what it is now."""
    if isinstance(found, torch.Tensor) and isinstance(found if found._base is None else found._base, (Weight, State)):
        return found.clone()
    return found


def snapshot(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, of whose results none changes when a variable is assigned."""

    @wraps(function)
    def computed(*args: Any, **kwargs: Any) -> Any:
        found = function(*args, **kwargs)
        if isinstance(found, (list, tuple)):
            return type(found)(map(of_now, found)) if type(found) in (list, tuple) else found
        return of_now(found)

    return computed


@known
def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Any:
    """A tensor of a value, which is repeated where `shape` is larger. Texts are an array of texts, or one text."""
    if dtype == string or _is_text(value):
        return convert_to_tensor(value)
    tensor = own_tensor(value, dtype)
    if shape is None:
        return tensor
    wanted = sizes(shape)
    return tensor.expand(wanted).clone() if tensor.numel() == 1 else tensor.reshape(wanted)


def _is_text(value: Any) -> bool:
    return holds_strings(value) or (isinstance(value, np.ndarray) and value.dtype == object and not value.size)


def sizes(shape: Any) -> tuple[int, ...]:
    """A shape that is given as a list, a number or a tensor, as whole numbers."""
    with off_meta():
        if isinstance(shape, torch.Tensor):
            shape = shape.tolist()
        return tuple(int(size) for size in shape) if isinstance(shape, (list, tuple)) else (int(shape),)


@known
def cast(x: Any, dtype: Any, name: str | None = None) -> Any:
    """The tensor in another type.

    Of floating-point numbers beyond those of a type of 8 or 16 bits the nearest of its numbers is taken, as TensorFlow
    does for a tensor of the size of an image: pictures are drawn so.
    """
    tensor = convert_to_tensor(x)
    wanted = torch_dtype(dtype)
    if wanted in _SHORT and torch_dtype(tensor.dtype).is_floating_point:
        bounds = torch.iinfo(wanted)
        tensor = ops.clip(ops.nan_to_num(tensor, nan=bounds.min), bounds.min, bounds.max)
    return ops.cast(tensor, dtype)


def shape(input: Any, out_type: Any = None, name: str | None = None) -> TensorShape:
    """The sizes: whole numbers of Python's, which are known while a layer finds its shapes, too."""
    return TensorShape(ops.shape(convert_to_tensor(input)))


def is_tensor(x: Any) -> bool:
    """Whether it is a tensor."""
    return isinstance(x, (torch.Tensor, SymbolicTensor))


def without_name(function: Callable[..., Any], *names: str) -> Callable[..., Any]:
    """The function with TensorFlow's argument `name`, which changes nothing, and its names for the first arguments."""
    by_name = in_order(function, *names)

    @wraps(function)
    def named(*args: Any, name: str | None = None, **kwargs: Any) -> Any:
        return by_name(*args, **kwargs)

    return named
