"""How much memory a file that is being read may ask for: what it has numbers for, and little more."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from lamella.errors import FileError

_allowance: list[int] = []


@contextmanager
def weights_within(number: int) -> Iterator[None]:
    """Within it layers may make weights of so many bytes together; a file that asks for more lies about itself."""
    _allowance.append(number)
    try:
        yield
    finally:
        _allowance.pop()


def spend(layer: str, shape: tuple[int, ...]) -> None:
    """Counts a weight of a layer against what a file that is being read has numbers for.

    Raises:
        FileError: More than that.
    """
    if not _allowance:
        return
    _allowance[-1] -= 4 * math.prod(shape)
    if _allowance[-1] < 0:
        raise FileError(
            f"Layer {layer!r} would have a weight of shape {shape}, far more than the file has numbers for."
        )
