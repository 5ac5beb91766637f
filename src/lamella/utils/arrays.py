"""Arrays into the shape that training wants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError, DataError


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Class numbers as one-hot rows.

    Args:
        x: Whole numbers from 0, of any shape (a last axis of 1 is dropped). A tensor gives a tensor.
        num_classes: The number of classes; the largest plus one by default.

    Raises:
        DataError: A class number outside [0, num_classes).

    Example:
        >>> to_categorical([0, 2, 1])
        array([[1., 0., 0.],
               [0., 0., 1.],
               [0., 1., 0.]])
    """
    as_tensor = isinstance(x, torch.Tensor)
    labels = np.asarray(x.cpu() if as_tensor else x).astype("int64")
    shape = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
    classes = int(labels.max()) + 1 if not num_classes else int(num_classes)
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise DataError(
            f"to_categorical: classes must be from 0 to {classes - 1}; found {labels.min()} to {labels.max()}."
        )
    one_hot = np.zeros((labels.size, classes))
    one_hot[np.arange(labels.size), labels.reshape(-1)] = 1
    one_hot = one_hot.reshape(*shape, classes)
    return torch.as_tensor(one_hot, dtype=torch.float32, device=x.device) if as_tensor else one_hot


def normalize(x: Any, axis: int = -1, order: float = 2) -> Any:
    """Scales to norm one along `axis`.

    Args:
        x: An array. A tensor gives a tensor.
        axis: The axis.
        order: The order of the norm.

    Example:
        >>> normalize([[3.0, 4.0]])
        array([[0.6, 0.8]])
    """
    if isinstance(x, torch.Tensor):
        return torch.nn.functional.normalize(x if x.is_floating_point() else x.float(), p=order, dim=axis)
    x = np.asarray(x)
    norm = np.atleast_1d(np.linalg.norm(x, order, axis))
    norm[norm == 0] = 1
    return x / np.expand_dims(norm, axis)


def pad_sequences(
    sequences: Iterable[Sequence[Any]],
    maxlen: int | None = None,
    dtype: str = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Sequences of different lengths as one array.

    Args:
        sequences: Lists (or arrays) of numbers.
        maxlen: The length; that of the longest by default.
        dtype: The type of the result.
        padding: Whether what is missing is filled at the `"pre"` (start) or `"post"` (end).
        truncating: Whether what is too long is cut at the `"pre"` (start) or `"post"` (end).
        value: What is filled in.

    Raises:
        ArgumentError: Another `padding` or `truncating`.
        DataError: Entries that are no sequences, or sequences of entries of different shapes.

    Example:
        >>> pad_sequences([[1], [2, 3]])
        array([[0, 1],
               [2, 3]], dtype=int32)
    """
    for name, given in (("padding", padding), ("truncating", truncating)):
        if given not in ("pre", "post"):
            raise ArgumentError(f"`{name}` must be 'pre' or 'post'; got {given!r}.")
    rows = [np.asarray(row) for row in sequences]
    if any(row.ndim == 0 for row in rows):
        raise DataError("pad_sequences needs a list of sequences; found a single value among them.")
    length = max((len(row) for row in rows), default=0) if maxlen is None else maxlen
    inner = next((row.shape[1:] for row in rows if len(row)), ())
    padded = np.full((len(rows), length, *inner), value, dtype=dtype)
    for i, (out, row) in enumerate(zip(padded, rows, strict=True)):
        if not len(row) or not length:
            continue
        if row.shape[1:] != inner:
            raise DataError(f"Sequence {i} has entries of shape {row.shape[1:]}; those before it {inner}.")
        kept = row[-length:] if truncating == "pre" else row[:length]
        if padding == "pre":
            out[-len(kept) :] = kept
        else:
            out[: len(kept)] = kept
    return padded
