"""Regularizers: penalties on weights or outputs, added to the loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine import registry as _names
from lamella.engine.registry import Registry
from lamella.errors import ArgumentError, ShapeError

registry = Registry("regularizer", "keras.regularizers")


@registry.register()
class Regularizer:
    """The base of regularizers: subclasses write `__call__(x)`, which gives a scalar, and `get_config`."""

    def __call__(self, x: torch.Tensor) -> Any:
        """The penalty of `x`."""
        return 0.0

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this regularizer again."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        """The regularizer that `get_config` described."""
        return cls(**config)


@registry.register("l1_l2")
class L1L2(Regularizer):
    """l1 * sum(|x|) + l2 * sum(x^2) (the elastic net; Zou and Hastie, 2005).

    Raises:
        ArgumentError: A factor that is negative or not finite.

    Example:
        >>> L1L2(l1=1.0, l2=2.0)(torch.tensor([1.0, -2.0]))
        tensor(13.)
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _factor("l1", l1, 0.0)
        self.l2 = _factor("l2", l2, 0.0)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.l1 and self.l2:
            return self.l1 * x.abs().sum() + self.l2 * x.square().sum()
        if self.l1:
            return self.l1 * x.abs().sum()
        return self.l2 * x.square().sum()


@registry.register()
class L1(Regularizer):
    """l1 * sum(|x|): drives weights to zero (the lasso; Tibshirani, 1996).

    Example:
        >>> L1(1.0)(torch.tensor([1.0, -2.0]))
        tensor(3.)
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = _factor("l1", l1, 0.01)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.l1 * x.abs().sum()


@registry.register()
class L2(Regularizer):
    """l2 * sum(x^2): keeps weights small (ridge, weight decay; Krogh and Hertz, 1992).

    Example:
        >>> L2(1.0)(torch.tensor([1.0, -2.0]))
        tensor(5.)
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = _factor("l2", l2, 0.01)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.l2 * x.square().sum()


@registry.register()
class OrthogonalRegularizer(Regularizer):
    """factor * the mean |cosine| between pairs of rows (or columns): pushes them to be orthogonal.

    Args:
        factor: The strength.
        mode: `"rows"` or `"columns"`.

    Raises:
        ArgumentError: Another mode, or a negative factor.
        ShapeError: When called on something other than a matrix.

    Example:
        >>> OrthogonalRegularizer(1.0)(torch.eye(3))
        tensor(0.)
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise ArgumentError(f"mode must be 'rows' or 'columns'; got {mode!r}.")
        self.factor = _factor("factor", factor, 0.01)
        self.mode = mode

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim != 2:
            raise ShapeError(f"OrthogonalRegularizer takes a matrix; got shape {tuple(x.shape)}.")
        vectors = F.normalize(x if self.mode == "rows" else x.T, dim=1, eps=1e-12)
        size = len(vectors)
        products = vectors @ vectors.T * (1.0 - torch.eye(size, dtype=x.dtype, device=x.device))
        pairs = size * (size - 1.0) / 2.0
        return self.factor * 0.5 * products.abs().sum() / pairs


def _factor(name: str, value: Any, default: float) -> float:
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ArgumentError(f"{name} must be a finite number, 0 or more; got {value!r}.")
    return float(value)


def get(identifier: Any) -> Any:
    """The regularizer for a name (`"l2"`), a config, a class or an object; None for None.

    Raises:
        UnknownNameError: A name that is not known; the message lists the nearest.

    Example:
        >>> get("l2").l2
        0.01
    """
    return registry.get(identifier)


def serialize(regularizer: Any) -> Any:
    """The config of a regularizer, in Keras's form."""
    return _names.serialize(regularizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The regularizer that `serialize` described."""
    return registry.get(config, custom_objects)


l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]
