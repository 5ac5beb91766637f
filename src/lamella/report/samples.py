"""Batches of samples to look at a trained model with: `(numbers in the data, inputs, targets)`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from lamella.engine.batches import spread
from lamella.errors import DataError

MOST_SAMPLES = 2000
_BATCH = 64

Batch = tuple[Sequence[int], Any, Any]


def of_arrays(x: Any, y: Any, numbers: Sequence[int] | None = None) -> Iterator[Batch]:
    """At most 2,000 samples from all over the arrays.

    Args:
        x: Inputs: arrays, tensors, lists of texts, or dicts, tuples and lists of them.
        y: Targets.
        numbers: The rows' numbers in the data that they are from; by default they are these data.
    """
    rows = spread(count_of(x), MOST_SAMPLES).numpy()
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        yield [int(i if numbers is None else numbers[i]) for i in some], taken(x, some), taken(y, some)


def of_stream(batches: Iterator[tuple[Any, Any, Any]]) -> Iterator[Batch]:
    """The first 2,000 samples or so."""
    count = 0
    for x, y, _ in batches:
        size = count_of(x)
        yield range(count, count + size), x, y
        count += size
        if count >= MOST_SAMPLES:
            return


def given(model: Any, data: Any) -> Iterator[Batch]:
    """Data as `predict` takes them; targets may be the names of the model's classes.

    Raises:
        DataError: Something else than `(x, y)`, other lengths, or names of no class.
    """
    if not isinstance(data, (tuple, list)) or len(data) != 2 or count_of(data[0]) != count_of(data[1]):
        raise DataError("`data` to look at a model with must be (x, y): inputs, and a target for each.")
    names = {str(name): number for number, name in enumerate(getattr(model, "class_names", None) or [])}
    y = np.asarray(data[1])
    if y.dtype.kind in "UO":
        unknown = sorted({str(name) for name in y.tolist()} - names.keys())
        if unknown:
            raise DataError(f"`data` has targets that are no class of the model: {unknown[:3]}; it has {list(names)}.")
        y = np.array([names[str(name)] for name in y.tolist()])
    return of_arrays(data[0], torch.as_tensor(y))


def count_of(x: Any) -> int:
    """How many samples there are."""
    if isinstance(x, dict):
        return count_of(next(iter(x.values())))
    return count_of(x[0]) if _is_nested(x) else len(x)


def taken(x: Any, rows: Any) -> Any:
    """The same rows of all arrays."""
    if isinstance(x, dict):
        return {name: taken(part, rows) for name, part in x.items()}
    if _is_nested(x):
        return type(x)(taken(part, rows) for part in x)
    if hasattr(x, "iloc"):
        return x.iloc[rows]
    if isinstance(x, torch.Tensor):
        return x[torch.as_tensor(rows, device=x.device)]
    return x[rows] if hasattr(x, "shape") else [x[i] for i in rows]


def one(x: Any, i: int) -> Any:
    """One sample, which does not keep the others in memory."""
    if isinstance(x, dict):
        return {name: one(part, i) for name, part in x.items()}
    if _is_nested(x):
        return [one(part, i) for part in x]
    if hasattr(x, "iloc"):
        return dict(x.iloc[i]) if x.ndim > 1 else x.iloc[i]
    return x[i].clone() if isinstance(x, torch.Tensor) else x[i]


def _is_nested(x: Any) -> bool:
    """Whether this is a list or tuple of arrays, rather than of samples."""
    return isinstance(x, (list, tuple)) and bool(x) and hasattr(x[0], "shape") and bool(x[0].shape)
