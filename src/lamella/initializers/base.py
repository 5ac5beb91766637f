"""The base of initializers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella.engine.registry import Registry, serialize
from lamella.engine.seed_generator import SeedGenerator

registry = Registry("initializer", "keras.initializers")


@registry.register()
class Initializer:
    """The base of initializers: subclasses write `__call__(shape, dtype=None)` and `get_config`.

    Example:
        >>> class Sevens(Initializer):
        ...     def __call__(self, shape, dtype=None):
        ...         return torch.full(shape, 7.0)
        >>> Sevens()((2,))
        tensor([7., 7.])
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        """A tensor of `shape`."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__().")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this initializer again."""
        return {name: serialize(v) if isinstance(v, SeedGenerator) else v for name, v in vars(self).items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """The initializer that `get_config` described."""
        return cls(**config)

    def clone(self) -> Initializer:
        """Another initializer with the same arguments."""
        return type(self).from_config(self.get_config())
