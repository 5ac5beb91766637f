"""The samples that a training leaves for a look at the trained model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from lamella.data.arrays import flat, map_arrays, part
from lamella.engine.batches import spread

MOST_SAMPLES = 2000
_MOST_BYTES = 1 << 26
"""Larger arrays are let go of when training has ended, but for some of their samples."""


@dataclass
class KeptData:
    """Samples, as the model takes them.

    Attributes:
        kind: `"validation"` or `"training"`.
        x: Inputs: tensors (strings: NumPy arrays), each with a row for each sample.
        y: Targets, or None.
        rows: The samples' numbers in the data.
    """

    kind: str
    x: Any
    y: Any
    rows: torch.Tensor


def keep(source: Any, validation: Any) -> KeptData | None:
    """Samples from all over the data that `fit` validates on, or else trains on; the first batch of a stream.

    Arrays of less than 64 MiB are kept as they are, without a copy; of larger ones at most 2,000 samples.
    """
    kind, data = ("training", source) if validation is None else ("validation", validation)
    if data is None:
        return None
    arrays = hasattr(data, "x")
    x, y = (data.x, data.y) if arrays else data.peek()[:2]
    count = len(flat(x)[0])
    size = sum(leaf.nbytes for leaf in (*flat(x), *flat(y)))
    if not arrays or size <= _MOST_BYTES:
        return KeptData(kind, x, y, torch.arange(count))
    rows = spread(count, max(1, min(MOST_SAMPLES, _MOST_BYTES * count // size)))
    x, y = (map_arrays(lambda leaf: part(leaf, rows), each) for each in (x, y))
    return KeptData(kind, x, y, rows)
