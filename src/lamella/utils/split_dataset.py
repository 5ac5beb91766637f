"""`split_dataset`: two parts of one set of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree
from torch.utils.data import Dataset, Subset

from lamella.errors import ArgumentError, DataError
from lamella.utils.stream import Stream


class Samples(Dataset[Any]):
    """Arrays as samples: number i of each, in their nesting.

    Args:
        arrays: Arrays, in any nesting of tuples, lists and dicts.

    Raises:
        DataError: No arrays, or arrays of different lengths.
    """

    def __init__(self, arrays: Any) -> None:
        leaves, self.spec = pytree.tree_flatten(tuple(arrays) if isinstance(arrays, list) else arrays)
        self.columns = [
            torch.as_tensor(leaf if isinstance(leaf, torch.Tensor) else np.asarray(leaf)) for leaf in leaves
        ]
        lengths = {len(column) for column in self.columns if column.ndim}
        if len(lengths) != 1 or not all(column.ndim for column in self.columns):
            raise DataError(f"split_dataset: the arrays must have one length; they have {sorted(lengths) or 'none'}.")
        self.length = lengths.pop()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return pytree.tree_unflatten([column[index] for column in self.columns], self.spec)


def split_dataset(
    dataset: Any,
    left_size: float | int | None = None,
    right_size: float | int | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Any, Any]:
    """The first samples and the last ones, as two datasets that `fit` takes.

    Args:
        dataset: An array, a tuple or list of arrays (as `(x, y)`), a torch `Dataset`, or a stream of batches.
        left_size: The number of samples (an int) or their share (a float) in the first part.
        right_size: Likewise for the second; one of the two may be None, for all the rest.
        shuffle: Whether the samples are drawn at random.
        seed: A seed for that.
        preferred_backend: Kept for Keras's signature.

    Returns:
        Two torch `Dataset`s.

    Raises:
        ArgumentError: Sizes that do not fit the data.
        TypeError: A size that is no number, or data of another kind.

    Example:
        >>> import numpy as np
        >>> left, right = split_dataset((np.arange(10), np.arange(10) ** 2), left_size=0.8)
        >>> len(left), len(right), right[0]
        (8, 2, (tensor(8), tensor(64)))
    """
    if isinstance(dataset, Stream):
        samples: Any = list(dataset if getattr(dataset, "batch_size", 1) is None else dataset.unbatch())
    elif isinstance(dataset, Dataset):
        samples = dataset
    elif isinstance(dataset, (list, tuple, dict, np.ndarray, torch.Tensor)):
        samples = Samples(dataset)
    else:
        raise TypeError(
            f"split_dataset takes arrays, a tuple or list of them, a torch Dataset or a stream; got "
            f"{type(dataset).__name__}."
        )
    left, right = _sizes(left_size, right_size, len(samples))
    if shuffle:
        source = None if seed is None else torch.Generator().manual_seed(seed)
        order = torch.randperm(len(samples), generator=source).tolist()
    else:
        order = list(range(len(samples)))
    return Subset(samples, order[:left]), Subset(samples, order[len(order) - right :])


def _sizes(left: Any, right: Any, total: int) -> tuple[int, int]:
    if left is None and right is None:
        raise ArgumentError("split_dataset needs `left_size` or `right_size`.")
    counts = [_count(name, size, total) for name, size in (("left_size", left), ("right_size", right))]
    if isinstance(left, float) and isinstance(right, float) and left + right > 1:
        raise ArgumentError(f"`left_size` and `right_size` are shares of one whole; got {left} + {right}.")
    first = total - counts[1] if counts[0] is None else counts[0]  # type: ignore[operator]
    last = total - first if counts[1] is None else counts[1]
    if first + last > total:
        raise ArgumentError(f"`left_size` and `right_size` make {first + last} samples, but there are {total}.")
    if first == 0 or last == 0:
        raise ArgumentError(f"left_size={left} and right_size={right} leave one part of {total} samples empty.")
    return first, last


def _count(name: str, size: Any, total: int) -> int | None:
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, (int, float)):
        raise TypeError(f"`{name}` must be a number of samples (int) or a share (float); got {size!r}.")
    if not 0 < size < (1 if isinstance(size, float) else total):
        raise ArgumentError(
            f"`{name}` must be a whole number from 1 to {total - 1} or a share between 0 and 1; got {size!r}."
        )
    return round(size * total) if isinstance(size, float) else size
