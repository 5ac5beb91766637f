"""What the layers that prepare data share: they take strings, lists and arrays, and give tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from lamella.engine.device import default_device
from lamella.engine.strings import holds_strings, is_string
from lamella.engine.symbolic import SymbolicTensor
from lamella.engine.watched import watched
from lamella.errors import ArgumentError, DataError
from lamella.layers.backend_view import BackendView
from lamella.layers.base import Layer

ENCODING_ERRORS = "surrogateescape"  # any bytes survive the way to str and back


class DataLayer(Layer):
    """A layer whose `call` gets its inputs as they were passed: torch has no tensors of strings."""

    takes_strings = True
    backend = BackendView()

    def _can_be_quick(self) -> bool:
        return False

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else next(iter(kwargs.values()))
        parts = first if isinstance(first, (list, tuple)) else (first,)
        if parts and isinstance(parts[0], SymbolicTensor):
            return self._call_symbolic(args, kwargs)
        try:
            return self.call(*args, **kwargs)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            raise self._explained(error, args, kwargs) from None


class NumberLayer(Layer):
    """A layer of one array of numbers, which may also be a nested list or a data frame."""

    backend = BackendView()

    def forward(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(inputs, (list, tuple)) or hasattr(inputs, "to_numpy"):
            inputs = as_numbers(inputs)
        return super().forward(inputs, *args, **kwargs)


def as_numbers(inputs: Any) -> torch.Tensor:
    """Numbers of any kind (tensor, array, data frame, list) as a tensor."""
    if isinstance(inputs, torch.Tensor):
        return inputs
    if hasattr(inputs, "to_numpy"):
        inputs = inputs.to_numpy()
    if isinstance(inputs, np.ndarray) and inputs.dtype == object:  # a table whose columns are numbers and truths
        inputs = inputs.astype("float64")
    return torch.as_tensor(np.require(inputs, requirements="W"), device=default_device())


def is_meta(inputs: Any) -> bool:
    """Whether shapes are being found, on tensors without values."""
    return isinstance(inputs, torch.Tensor) and inputs.is_meta


def as_bytes(inputs: Any, encoding: str, layer: Layer) -> tuple[list[bytes], tuple[int, ...]]:
    """The strings in `inputs`, encoded and in one flat list, and the shape that they had.

    Bytes, because that is what tables, hashes and the splitting rules of Keras are about.

    Raises:
        DataError: Something that is no string, or lists of different lengths.
    """
    items, shape = _flattened(inputs, layer)
    try:
        return [x if isinstance(x, bytes) else x.encode(encoding, ENCODING_ERRORS) for x in items], shape
    except AttributeError:
        wrong = next(x for x in items if not is_string(x))
        raise DataError(
            f"{type(layer).__name__} {layer.name!r} takes strings (or bytes); found {wrong!r} "
            f"({type(wrong).__name__}). Convert the data with .astype(str) first."
        ) from None


def _flattened(inputs: Any, layer: Layer) -> tuple[list[Any], tuple[int, ...]]:
    if is_string(inputs):
        return [inputs], ()
    if hasattr(inputs, "to_numpy"):
        inputs = inputs.to_numpy()
    elif not isinstance(inputs, (list, tuple, np.ndarray)) and hasattr(inputs, "numpy"):
        inputs = np.asarray(inputs.numpy())
    if isinstance(inputs, np.ndarray):
        return inputs.ravel().tolist(), inputs.shape
    if not isinstance(inputs, (list, tuple)):
        return [inputs], ()
    if not inputs or not isinstance(inputs[0], (list, tuple, np.ndarray)):
        return list(inputs), (len(inputs),)
    parts = [_flattened(part, layer) for part in inputs]
    shapes = {shape for _, shape in parts}
    if len(shapes) > 1:
        raise DataError(
            f"{type(layer).__name__} {layer.name!r} got lists of different lengths: {sorted(shapes)}. Pad them to "
            f"one length, or give whole texts to TextVectorization."
        )
    return [item for items, _ in parts for item in items], (len(inputs), *shapes.pop())


def each_batch(data: Any, steps: int | None, is_batch: Callable[[Any], bool]) -> Iterator[Any]:
    """The batches of x in what a user passes to `adapt`; those of an iterable beside a bar, if they take long.

    Args:
        data: One array (as `is_batch` says), or an iterable of batches of x, (x, y) or (x, y, weight).
        steps: At most so many batches of an iterable.
        is_batch: Tells data that are one batch from an iterable of batches.

    Raises:
        ArgumentError: Something that is neither.
    """
    if is_batch(data):
        yield data
        return
    if isinstance(data, Dataset) and not isinstance(data, DataLoader):
        data = DataLoader(data, batch_size=None if isinstance(data, IterableDataset) else 32)
    if not isinstance(data, Iterable):
        raise ArgumentError(
            f"adapt() takes an array, a list, or an iterable of batches (a generator, a DataLoader, a PyDataset); "
            f"got {data!r} ({type(data).__name__})."
        )
    known = [count for count in (_length(data), steps) if count is not None]
    for batch in watched(islice(iter(data), steps), "adapt", min(known, default=None)):
        yield x_of(batch)


def _length(data: Any) -> int | None:
    """How many batches there are; None where only counting them would tell."""
    try:
        return len(data)
    except (AttributeError, NotImplementedError, TypeError):
        return None


def x_of(batch: Any) -> Any:
    """The x of a batch that may be (x,), (x, y) or (x, y, weight)."""
    if not isinstance(batch, (tuple, list)) or not 1 <= len(batch) <= 3 or _rank(batch[0]) == 0:
        return batch
    arrays = (np.ndarray, torch.Tensor)
    if len(batch) == 1:
        return batch[0] if isinstance(batch[0], arrays) or isinstance(batch, tuple) else batch
    x, y = batch[:2]
    apart = _rank(x) != _rank(y) or holds_strings(x) != holds_strings(y)  # so they are no two rows of one batch
    return x if apart or isinstance(x, arrays) or isinstance(y, arrays) else batch


def _rank(x: Any) -> int:
    if hasattr(x, "ndim"):
        return x.ndim
    return 1 + _rank(x[0]) if isinstance(x, (list, tuple)) and len(x) else int(isinstance(x, (list, tuple)))


def refuse(layer: Layer, message: str) -> ArgumentError:
    """An error about an argument, with the layer's name."""
    return ArgumentError(f"{type(layer).__name__} {layer.name!r}: {message}")


def one_of(layer: Layer, name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    """`value`, if it is among those allowed.

    Raises:
        ArgumentError: If not; the message lists them.
    """
    if value not in allowed:
        raise refuse(layer, f"`{name}` must be one of {', '.join(map(repr, allowed))}; got {value!r}.")
    return value


def refuse_sparse(layer: Layer, sparse: bool) -> None:
    """Raises ArgumentError for `sparse=True`."""
    if sparse:
        raise refuse(layer, "sparse=True is not supported: the engine computes on dense tensors. Leave it out.")
