"""`tf.data.experimental`: functions that are mostly methods of data sets by now."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch.utils import _pytree as pytree

from lamella.errors import DataError
from lamella.tensorflow_stand_in.examples import parse_example
from lamella.tensorflow_stand_in.ragged_tensor import RaggedTensor
from lamella.tensorflow_stand_in.records import TFRecordWriter as RecordFile
from lamella.tensorflow_stand_in.tensors import convert_to_tensor
from lamella.utils.stream import Stream
from lamella.utils.stream_files import load_stream

AUTOTUNE = INFINITE_CARDINALITY = -1
UNKNOWN_CARDINALITY = -2
AutoShardPolicy = SimpleNamespace(OFF=-1, AUTO=0, FILE=1, DATA=2, HINT=3)


class Options:
    """What scripts say about how a data set is read; nothing of it changes anything here."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, Options())
        return getattr(self, name)


def cardinality(dataset: Stream) -> torch.Tensor:
    """The number of items; -1 without end, -2 if unknown."""
    return convert_to_tensor(dataset.cardinality(), torch.int64)  # type: ignore[no-any-return]


def assert_cardinality(expected_cardinality: Any) -> Callable[[Stream], Stream]:
    """For `apply`: the same items, whose number is known now.

    Raises:
        DataError: While reading: there are more or fewer.
    """
    expected = int(expected_cardinality)

    def of(dataset: Stream) -> Stream:
        def items() -> Iterator[Any]:
            count = 0
            for count, item in enumerate(dataset, 1):
                if count > expected:
                    break
                yield item
            if count != expected:
                found = "more" if count > expected else count
                raise DataError(f"assert_cardinality: the data set should have {expected} items, but has {found}.")

        return Stream(items, expected, dataset)

    return of


def ragged_batch(
    dataset: Stream, batch_size: int, drop_remainder: bool = False, row_splits_dtype: Any = None, **kwargs: Any
) -> Stream:
    """Batches of items of different sizes, as ragged tensors; single numbers and texts as usual."""

    def join(items: list[Any]) -> Any:
        columns = zip(*map(pytree.tree_leaves, items), strict=True)
        return pytree.tree_unflatten([_ragged(list(each)) for each in columns], pytree.tree_structure(items[0]))

    return dataset._in_batches(int(batch_size), drop_remainder, join, 0)


def _ragged(values: list[Any]) -> Any:
    if getattr(values[0], "ndim", 0):
        return RaggedTensor.joined(values)
    return Stream(lambda: iter(values), len(values)).batch(len(values)).get_single_element()


def sparse_batch(dataset: Stream, batch_size: int, row_shape: Any, **kwargs: Any) -> Stream:
    """Batches of items of different sizes, as sparse tensors."""
    from lamella.tensorflow_stand_in.sparse_tensor import SparseTensor

    def sparse(item: torch.Tensor) -> SparseTensor:
        places = torch.cartesian_prod(*map(torch.arange, item.shape)).reshape(-1, item.ndim)
        sizes = [own if size in (None, -1) else size for own, size in zip(item.shape, row_shape, strict=True)]
        return SparseTensor(places, item.reshape(-1), sizes)

    return dataset.map(sparse).batch(batch_size)


class TFRecordWriter:
    """Writes the items of a data set, which are bytes, as the records of a file.

    Args:
        filename: The file.
        compression_type: `"GZIP"`, `"ZLIB"`, or None.
    """

    def __init__(self, filename: Any, compression_type: str | None = None) -> None:
        self.filename, self.compression_type = filename, compression_type

    def write(self, dataset: Stream) -> None:
        """Writes all items."""
        with RecordFile(self.filename, self.compression_type) as file:
            for record in dataset:
                file.write(record)


def make_batched_features_dataset(
    file_pattern: Any,
    batch_size: int,
    features: dict[str, Any],
    reader: Any = None,
    label_key: str | None = None,
    num_epochs: int | None = None,
    shuffle: bool = True,
    shuffle_buffer_size: int = 10000,
    shuffle_seed: int | None = None,
    drop_final_batch: bool = False,
    **kwargs: Any,
) -> Stream:
    """Batches of the features of examples in TFRecord files, or pairs of them and the labels.

    Args:
        file_pattern: A path or a pattern, or several.
        batch_size: How many examples a batch has.
        features: As of `tf.io.parse_example`.
        reader: Makes a data set of records of paths; `TFRecordDataset` by default.
        label_key: The feature that is the label.
        num_epochs: How often the examples are gone through; without end by default.
        shuffle: Whether they come in a random order.
        shuffle_buffer_size: From among how many each is drawn.
        shuffle_seed: Of that order.
        drop_final_batch: Whether a last batch with fewer examples is left out.
        **kwargs: tf.data's further arguments: they change nothing here.
    """
    from lamella.tensorflow_stand_in.io import fitting_files
    from lamella.tensorflow_stand_in.records import TFRecordDataset

    paths = fitting_files(file_pattern, "make_batched_features_dataset: no file fits")
    records = (reader or TFRecordDataset)(paths)
    if shuffle:
        records = records.shuffle(shuffle_buffer_size, shuffle_seed)

    def parse(batch: Any) -> Any:
        found = parse_example(batch, features)
        return found if label_key is None else (found, found.pop(label_key))

    return records.repeat(num_epochs).batch(batch_size, drop_final_batch).map(parse)


def parse_example_dataset(features: dict[str, Any], *args: Any, **kwargs: Any) -> Callable[[Stream], Stream]:
    """For `apply`: the features of each batch of examples."""
    return lambda dataset: dataset.map(lambda batch: parse_example(batch, features))


def _applied(method: str) -> Callable[..., Callable[[Stream], Any]]:
    """For `apply`: the method of a data set that has the same name."""

    def of(*args: Any, **kwargs: Any) -> Callable[[Stream], Any]:
        return lambda dataset: getattr(dataset, method)(*args, **kwargs)

    return of


def _counted(start: Any = 0, step: Any = 1, **kwargs: Any) -> Stream:
    """The whole numbers from `start` on."""
    return Stream(lambda: (torch.tensor(each, dtype=torch.int64) for each in itertools.count(start, step)))


Counter = _counted
bucket_by_sequence_length, group_by_window = _applied("bucket_by_sequence_length"), _applied("group_by_window")
rejection_resample, scan, take_while = _applied("rejection_resample"), _applied("scan"), _applied("take_while")
unbatch, unique, snapshot = _applied("unbatch"), _applied("unique"), _applied("snapshot")
ignore_errors, enumerate_dataset = _applied("ignore_errors"), _applied("enumerate")
prefetch_to_device, copy_to_device = _applied("prefetch"), _applied("prefetch")
parallel_interleave = _applied("interleave")


def dense_to_ragged_batch(*args: Any, **kwargs: Any) -> Callable[[Stream], Stream]:
    """For `apply`: `ragged_batch`."""
    return lambda dataset: ragged_batch(dataset, *args, **kwargs)


def dense_to_sparse_batch(*args: Any, **kwargs: Any) -> Callable[[Stream], Stream]:
    """For `apply`: batches as sparse tensors."""
    return lambda dataset: sparse_batch(dataset, *args, **kwargs)


def shuffle_and_repeat(
    buffer_size: int, count: int | None = None, seed: int | None = None
) -> Callable[[Stream], Stream]:
    """For `apply`: shuffled anew each time, and repeated."""
    return lambda dataset: dataset.shuffle(buffer_size, seed).repeat(count)


def map_and_batch(map_func: Any, batch_size: int, *args: Any, **kwargs: Any) -> Callable[[Stream], Stream]:
    """For `apply`: `map`, then `batch`."""
    return lambda dataset: dataset.map(map_func).batch(batch_size, bool(kwargs.get("drop_remainder", False)))


def get_single_element(dataset: Stream) -> Any:
    """The only item of a data set."""
    return dataset.get_single_element()


def save(dataset: Stream, path: Any, compression: str | None = None, **kwargs: Any) -> None:
    """Writes all items into a folder."""
    dataset.save(path, compression)


def load(path: Any, *args: Any, **kwargs: Any) -> Stream:
    """The items of a folder that `save` wrote."""
    return load_stream(path)


def get_structure(dataset: Stream) -> Any:
    """The shapes and types of the items."""
    return dataset.element_spec
