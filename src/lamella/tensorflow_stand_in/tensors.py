"""What TensorFlow makes tensors of: constants, variables, shapes, types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella import ops
from lamella.engine.dtypes import torch_dtype
from lamella.engine.symbolic import SymbolicTensor, off_meta
from lamella.keras_names import Variable as KerasVariable

Tensor = torch.Tensor
string = "string"


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


class TensorShape(tuple[int, ...]):
    """The sizes of a tensor: a tuple, with TensorFlow's methods."""

    def as_list(self) -> list[int]:
        """The sizes as a list."""
        return list(self)

    def numpy(self) -> Any:
        """The sizes as an array."""
        return np.array(self, "int32")

    @property
    def rank(self) -> int:
        """How many sizes there are."""
        return len(self)


class TensorSpec(NamedTuple):
    """The shape and type that a function, or a data set, is said to take or to give. They are not checked."""

    shape: Any = None
    dtype: Any = torch.float32
    name: str | None = None


class Variable(KerasVariable):
    """A tensor that can be assigned; gradients flow to it if it is of a floating-point type and `trainable`.

    Args:
        initial_value: A number, an array, a tensor, or a function that gives one.
        trainable: Whether gradients flow to it.
        name: A name.
        dtype: The data type; that of the value by default.
        shape: The shape that the value is given.
        **kwargs: TensorFlow's other arguments: they change nothing here.

    Example:
        >>> v = Variable(3.0)
        >>> v.assign_add(1.0).item()
        4.0
    """

    def __new__(  # type: ignore[misc]
        cls,
        initial_value: Any,
        trainable: bool | None = True,
        name: str | None = None,
        dtype: Any = None,
        shape: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        value = constant(initial_value() if callable(initial_value) else initial_value, dtype, shape)
        return super().__new__(cls, value, trainable=trainable is not False, name=name)


@known
def convert_to_tensor(value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None) -> Any:
    """A torch tensor of an array or a number; Python's whole numbers become int32, as in TensorFlow."""
    if isinstance(value, (SymbolicTensor, str, bytes)):
        return value
    if _is_text(value):
        return np.array(value, object)
    kind = None if dtype is None else torch_dtype(dtype)
    if isinstance(value, (list, tuple)) and any(isinstance(item, torch.Tensor) for item in value):
        value = torch.stack([convert_to_tensor(item, dtype) for item in value])
    tensor = torch.as_tensor(value, dtype=kind)
    untyped = dtype is None and not hasattr(value, "dtype") and tensor.dtype is torch.int64
    return tensor.to(torch.int32) if untyped else tensor


@known
def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Any:
    """A tensor of a value, which is repeated where `shape` is larger. Texts are an array of texts, or one text."""
    if dtype == string or _is_text(value):
        return convert_to_tensor(value)
    tensor = convert_to_tensor(value, dtype)
    if shape is None:
        return tensor
    wanted = sizes(shape)
    return tensor.expand(wanted).clone() if tensor.numel() == 1 else tensor.reshape(wanted)


def _is_text(value: Any) -> bool:
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (str, bytes)) or (isinstance(value, np.ndarray) and value.dtype.kind in "USO")


def sizes(shape: Any) -> tuple[int, ...]:
    """A shape that is given as a list, a number or a tensor, as whole numbers."""
    with off_meta():
        if isinstance(shape, torch.Tensor):
            shape = shape.tolist()
        return tuple(int(size) for size in shape) if isinstance(shape, (list, tuple)) else (int(shape),)


@known
def cast(x: Any, dtype: Any, name: str | None = None) -> Any:
    """The tensor in another type."""
    return ops.cast(convert_to_tensor(x), dtype)


def shape(input: Any, out_type: Any = None, name: str | None = None) -> TensorShape:
    """The sizes: whole numbers of Python's, which are known while a layer finds its shapes, too."""
    return TensorShape(ops.shape(convert_to_tensor(input)))  # type: ignore[arg-type]


def is_tensor(x: Any) -> bool:
    """Whether it is a tensor."""
    return isinstance(x, (torch.Tensor, SymbolicTensor))


def without_name(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with TensorFlow's argument `name`, which changes nothing."""

    @wraps(function)
    def named(*args: Any, name: str | None = None, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return named
