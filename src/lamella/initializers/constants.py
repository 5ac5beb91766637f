"""Initializers that draw nothing: zeros, ones, a constant, the identity, given values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella.engine import registry as _names
from lamella.engine.dtypes import torch_dtype
from lamella.errors import ShapeError
from lamella.initializers.base import Initializer, registry


@registry.register("zero")
class Zeros(Initializer):
    """All zeros.

    Example:
        >>> Zeros()((2,))
        tensor([0., 0.])
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return torch.zeros(tuple(shape), dtype=torch_dtype(dtype))


@registry.register("one")
class Ones(Initializer):
    """All ones.

    Example:
        >>> Ones()((2,))
        tensor([1., 1.])
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return torch.ones(tuple(shape), dtype=torch_dtype(dtype))


@registry.register()
class Constant(Initializer):
    """The same value everywhere (or an array that broadcasts to the shape).

    Example:
        >>> Constant(3.0)((2,))
        tensor([3., 3.])
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        value = torch.as_tensor(self.value, dtype=torch_dtype(dtype))
        return value.expand(tuple(shape)).clone()

    def get_config(self) -> dict[str, Any]:
        return {"value": _names.serialize(self.value)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constant:
        return cls(_names.deserialize(config.get("value", 0.0)))


@registry.register("IdentityInitializer")
class Identity(Initializer):
    """The identity matrix times `gain`.

    Raises:
        ShapeError: A shape that is not two-dimensional.

    Example:
        >>> Identity()((2, 2))
        tensor([[1., 0.],
                [0., 1.]])
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        if len(shape) != 2:
            raise ShapeError(f"Identity makes matrices: expected a shape of two dimensions, got {tuple(shape)}.")
        return self.gain * torch.eye(*shape, dtype=torch_dtype(dtype))


class FixedValues:
    """Gives the values of an array, whose shape the weight must have."""

    def __init__(self, values: Any) -> None:
        self.values = torch.as_tensor(values)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        if tuple(shape) != tuple(self.values.shape):
            raise ShapeError(
                f"The initial values have shape {tuple(self.values.shape)}, but the weight has shape {tuple(shape)}."
            )
        return self.values.to(torch_dtype(dtype), copy=True)
