"""From what a user passes to `fit` to the source of its batches."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from lamella.data.array_source import ArraySource
from lamella.data.arrays import check_lengths, flat, is_array, map_arrays
from lamella.data.py_dataset import PyDataset
from lamella.data.source import Source
from lamella.data.stream_source import PyDatasetSource, StreamSource
from lamella.engine.strings import is_string
from lamella.errors import ArgumentError, DataError


def make_source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight: Mapping[int, float] | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Source:
    """The source of batches for data of any kind.

    Args:
        x: Arrays, or something that gives batches.
        y: Targets, with arrays only.
        sample_weight: Weights, with arrays only.
        batch_size: Samples in a batch, with arrays only. By default 32, or with `steps` as many as give so many
            batches.
        steps: Batches in an epoch; all by default.
        shuffle: Whether each epoch has a new order; `"batch"` shuffles batches only.
        class_weight: A weight for each class.
        device: Where batches are.
        dtype: The type of floats.

    Raises:
        DataError: Data that cannot be used.
        ArgumentError: Arguments that do not go together.
    """
    device = torch.device(device)
    if batch_size is not None and (
        isinstance(batch_size, bool) or not hasattr(batch_size, "__index__") or batch_size < 1
    ):
        raise ArgumentError(f"`batch_size` must be a whole number, 1 or more; got {batch_size!r}.")
    if x is None:
        raise DataError("There are no data: x is None.")
    if is_string(x):
        raise DataError(f"x is a single string; data have one entry for each sample: [{x!r}].")
    if _holds_arrays(x):
        return ArraySource(x, y, sample_weight, batch_size, steps, shuffle, class_weight, device, dtype)
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ArgumentError(
                f"`{name}` goes with arrays; a {type(x).__name__} gives its own, as (x, y) or (x, y, sample_weight)."
            )
    if isinstance(x, Dataset) and not isinstance(x, IterableDataset) and not isinstance(x, DataLoader):
        x, batch_size = DataLoader(x, batch_size=batch_size or 32, shuffle=bool(shuffle)), None
    elif isinstance(x, IterableDataset):
        x, batch_size = DataLoader(x, batch_size=batch_size or 32), None
    if batch_size is not None:
        warnings.warn(f"`batch_size` goes with arrays; a {type(x).__name__} makes its batches itself.", stacklevel=2)
    if isinstance(x, PyDataset) or (hasattr(x, "__getitem__") and hasattr(x, "on_epoch_end")):
        return PyDatasetSource(x, steps, shuffle, class_weight, device, dtype)
    if isinstance(x, Iterable):
        return StreamSource(x, steps, class_weight, device, dtype)
    raise DataError(
        f"Cannot train on a {type(x).__name__}: give arrays, tensors, data frames, lists of them, a generator, a "
        f"torch DataLoader or a PyDataset."
    )


def _holds_arrays(x: Any) -> bool:
    return is_array(x) or (
        isinstance(x, (list, tuple, dict)) and bool(flat(x)) and all(is_array(leaf) for leaf in flat(x))
    )


def train_validation_split(
    arrays: tuple[Any, Any, Any], validation_split: float
) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
    """The first part of the samples for training, the last share of them for validation.

    Raises:
        ArgumentError: A share that is not between 0 and 1, or data that stream.
    """
    x = arrays[0]
    if not 0 < validation_split < 1:
        raise ArgumentError(f"`validation_split` must lie between 0 and 1; got {validation_split}.")
    if not _holds_arrays(x):
        raise ArgumentError(f"`validation_split` needs arrays; for a {type(x).__name__} pass validation_data.")
    samples = check_lengths({"x": x, "y": arrays[1], "sample_weight": arrays[2]})
    cut = int(samples * (1.0 - validation_split))
    if cut == 0 or cut == samples:
        raise ArgumentError(
            f"`validation_split` of {validation_split} leaves {cut} of {samples} samples for training. "
            f"Both parts need some."
        )

    def part(where: slice) -> tuple[Any, Any, Any]:
        return tuple(
            map_arrays(lambda leaf: leaf.iloc[where] if hasattr(leaf, "iloc") else leaf[where], a) for a in arrays
        )  # type: ignore[return-value]

    return part(slice(0, cut)), part(slice(cut, None))
