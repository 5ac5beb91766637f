"""`TensorSpec`: what shape and type a tensor has, or is said to have."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella.engine.dtypes import torch_dtype
from lamella.engine.strings import holds_strings
from lamella.engine.tensor_shape import TensorShape


class TensorSpec:
    """A shape, of which sizes may be unknown, and a type: torch's, or `"string"`.

    Args:
        shape: The sizes, None for those that are not known; None where not even their number is.
        dtype: The type.
        name: A name.

    Example:
        >>> spec = TensorSpec([None, 2])
        >>> spec, spec.is_compatible_with(torch.zeros(3, 2)), spec.is_compatible_with(torch.zeros(3))
        (TensorSpec(shape=(None, 2), dtype=torch.float32, name=None), True, False)
    """

    def __init__(self, shape: Any = None, dtype: Any = torch.float32, name: str | None = None) -> None:
        self.shape, self.name = TensorShape(shape), name
        self.dtype = "string" if dtype in ("string", str, bytes) else torch_dtype(dtype)

    @classmethod
    def from_tensor(cls, tensor: Any, name: str | None = None) -> TensorSpec:
        """That of a tensor, an array, a text or a number."""
        if holds_strings(tensor) or (isinstance(tensor, np.ndarray) and tensor.dtype == object):
            return cls(np.shape(tensor), "string", name)
        if isinstance(tensor, (bool, int, float, complex)):
            kinds = {bool: torch.bool, int: torch.int64, float: torch.float32, complex: torch.complex64}
            return cls([], kinds.get(type(tensor), torch.int64), name)
        tensor = torch.as_tensor(tensor)
        return cls(tensor.shape, tensor.dtype, name)

    def is_compatible_with(self, other: Any) -> bool:
        """Whether the tensor (or what another says) can be of this shape and type."""
        other = other if isinstance(other, TensorSpec) else TensorSpec.from_tensor(other)
        return self.dtype == other.dtype and self.shape.is_compatible_with(other.shape)

    def with_shape(self, shape: Any) -> TensorSpec:
        """The same type of another shape."""
        return TensorSpec(shape, self.dtype, self.name)

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, TensorSpec):
            return NotImplemented
        return (self.shape, self.dtype, self.name) == (other.shape, other.dtype, other.name)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype, self.name))

    def __repr__(self) -> str:
        return f"TensorSpec(shape={self.shape}, dtype={self.dtype}, name={self.name!r})"


class DatasetSpec(NamedTuple):
    """That of a data set within an item."""

    element_spec: Any


def spec_of(value: Any) -> Any:
    """That of a tensor, a text or a number; of what tells its own (a ragged tensor) that."""
    if hasattr(value, "element_spec"):
        return DatasetSpec(value.element_spec)
    return value.type_spec if hasattr(value, "type_spec") else TensorSpec.from_tensor(value)


def specs_of(item: Any, open_axes: int = 0) -> Any:
    """That of each part of an item, in its nesting, of which the first `open_axes` axes have unknown sizes."""

    def opened(value: Any) -> Any:
        spec = spec_of(value)
        if not open_axes or not isinstance(spec, TensorSpec):
            return spec
        return spec.with_shape([None if axis < open_axes else size for axis, size in enumerate(spec.shape)])

    return pytree.tree_map(opened, item)
