"""What every reading of a file shares: damage is said as such, and no file makes more than it has numbers for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lamella.engine.allowance import weights_within
from lamella.engine.registry import code_allowed
from lamella.errors import FileError, LamellaError

LARGE = 1 << 26
"""Bytes that are allowed whatever a file says: layers may start with weights that are not in it."""


@contextmanager
def reading(path: Path | None, kind: str) -> Iterator[None]:
    """Within it, an error that no check of ours foresaw means that the file is damaged.

    Args:
        path: The file.
        kind: What it should have been, such as `"model file"`.

    Raises:
        FileError: In place of any error but Lamella's own and a file that does not exist.
    """
    try:
        yield
    except (LamellaError, FileNotFoundError):
        raise
    except Exception as error:
        raise FileError(f"{path or 'The file'} is damaged, or no {kind}: {type(error).__name__}: {error}") from error


@contextmanager
def making_layers(stored: int, safe: bool) -> Iterator[None]:
    """Within it layers are made from the config of a file with `stored` bytes of weights."""
    with code_allowed(not safe), weights_within(LARGE + 16 * stored):
        yield
