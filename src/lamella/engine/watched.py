"""Bars for what takes a while and is no training: shown where somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm.auto import tqdm

from lamella.engine import cluster

_PATIENCE = 1.0
"""Seconds without a bar: what is done by then needs none."""


def somebody_watches() -> bool:
    """Whether what is printed goes to a terminal or a notebook, not into a file."""
    return sys.stdout.isatty() or "ipykernel" in sys.modules


def watched(items: Iterable[Any], title: str, total: int | None = None) -> Iterator[Any]:
    """The items one by one, beside a bar that comes after a second, in the first process."""
    disable = not (somebody_watches() and cluster.is_first())
    yield from tqdm(items, title, total, file=sys.stdout, delay=_PATIENCE, dynamic_ncols=True, disable=disable)
