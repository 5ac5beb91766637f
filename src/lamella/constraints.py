"""Constraints: projections applied to a weight after each update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lamella.engine import registry as _names
from lamella.engine.registry import Registry

registry = Registry("constraint", "keras.constraints")

_EPSILON = 1e-7


@registry.register()
class Constraint:
    """The base of constraints: subclasses write `__call__(w)`, which gives the projected weight."""

    def __call__(self, w: torch.Tensor) -> torch.Tensor:
        """The projected weight."""
        return w

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this constraint again."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constraint:
        """The constraint that `get_config` described."""
        return cls(**config)


@registry.register()
class MaxNorm(Constraint):
    """Scales down what is longer than `max_value` (Srivastava et al., 2014).

    Args:
        max_value: The greatest norm of a unit's incoming weights.
        axis: The axis (or axes) that the norm is taken along; None for all.

    Example:
        >>> MaxNorm(1.0)(torch.tensor([[3.0], [4.0]]))
        tensor([[0.6000],
                [0.8000]])
    """

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] | None = 0) -> None:
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: torch.Tensor) -> torch.Tensor:
        w = torch.as_tensor(w)
        norm = _norm(w, self.axis)
        return w * (norm.clamp(0, self.max_value) / (_EPSILON + norm))


@registry.register()
class NonNeg(Constraint):
    """Sets negative weights to zero.

    Example:
        >>> NonNeg()(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def __call__(self, w: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(w).clamp(min=0)


@registry.register()
class UnitNorm(Constraint):
    """Scales to norm one.

    Example:
        >>> UnitNorm()(torch.tensor([[3.0], [4.0]]))
        tensor([[0.6000],
                [0.8000]])
    """

    def __init__(self, axis: int | Sequence[int] | None = 0) -> None:
        self.axis = axis

    def __call__(self, w: torch.Tensor) -> torch.Tensor:
        w = torch.as_tensor(w)
        return w / (_EPSILON + _norm(w, self.axis))


@registry.register()
class MinMaxNorm(Constraint):
    """Moves the norm towards [min_value, max_value], at once (`rate=1`) or by a share of the way.

    Example:
        >>> MinMaxNorm(max_value=2.5)(torch.tensor([[3.0], [4.0]]))
        tensor([[1.5000],
                [2.0000]])
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] | None = 0,
    ) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: torch.Tensor) -> torch.Tensor:
        w = torch.as_tensor(w)
        norm = _norm(w, self.axis)
        desired = self.rate * norm.clamp(self.min_value, self.max_value) + (1 - self.rate) * norm
        return w * (desired / (_EPSILON + norm))


def _norm(w: torch.Tensor, axis: int | Sequence[int] | None) -> torch.Tensor:
    return w.square().sum(dim=axis if axis is None or isinstance(axis, int) else tuple(axis), keepdim=True).sqrt()


def get(identifier: Any) -> Any:
    """The constraint for a name (`"max_norm"`), a config, a class or an object; None for None.

    Raises:
        UnknownNameError: A name that is not known; the message lists the nearest.

    Example:
        >>> get("non_neg")(torch.tensor([-1.0]))
        tensor([0.])
    """
    return registry.get(identifier)


def serialize(constraint: Any) -> Any:
    """The config of a constraint, in Keras's form."""
    return _names.serialize(constraint)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The constraint that `serialize` described."""
    return registry.get(config, custom_objects)


max_norm = MaxNorm
non_neg = NonNeg
unit_norm = UnitNorm
min_max_norm = MinMaxNorm

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]
