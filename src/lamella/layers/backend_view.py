"""`self.backend`, by which subclasses of Keras's layers that prepare data call operations."""

from __future__ import annotations

from typing import Any

from lamella import ops, random

_ROOMS = frozenset({"core", "image", "linalg", "math", "nn", "numpy"})


class BackendView:
    """The operations under the names of a backend of Keras: `backend.cast`, `backend.numpy.flip`, `backend.random`.

    Example:
        >>> import torch
        >>> BackendView().numpy.add(torch.tensor(1), 2)
        tensor(3)
    """

    def __getattr__(self, name: str) -> Any:
        if name == "random":
            return random
        return ops if name in _ROOMS else getattr(ops, name)


__all__ = ["BackendView"]
