"""`tf.data`: data sets that are made of arrays, functions and files, and read as streams."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from lamella.engine.strings import Text
from lamella.engine.tensor_spec import TensorSpec
from lamella.errors import ArgumentError
from lamella.tensorflow_stand_in import data_experimental as experimental
from lamella.tensorflow_stand_in.csv_data import CsvDataset, make_csv_dataset
from lamella.tensorflow_stand_in.data_experimental import (
    AUTOTUNE,
    INFINITE_CARDINALITY,
    UNKNOWN_CARDINALITY,
    Options,
    ragged_batch,
    sparse_batch,
)
from lamella.tensorflow_stand_in.io import fitting_files
from lamella.tensorflow_stand_in.iterators import iterate
from lamella.tensorflow_stand_in.records import FixedLengthRecordDataset, TFRecordDataset
from lamella.tensorflow_stand_in.tensors import constant
from lamella.utils.slices import Slices
from lamella.utils.stream import Stream
from lamella.utils.stream_files import load_stream

__all__ = [
    "AUTOTUNE",
    "INFINITE_CARDINALITY",
    "UNKNOWN_CARDINALITY",
    "Dataset",
    "FixedLengthRecordDataset",
    "Options",
    "TFRecordDataset",
    "TextLineDataset",
    "experimental",
]

experimental.CsvDataset, experimental.make_csv_dataset = CsvDataset, make_csv_dataset  # type: ignore[attr-defined]
# What only scripts for TensorFlow know: streams of Lamella itself have no ragged and sparse tensors.
Stream.ragged_batch, Stream.sparse_batch = ragged_batch, sparse_batch  # type: ignore[attr-defined]
Stream.__iter__ = iterate  # type: ignore[method-assign, assignment]


class _Typed(Stream):
    """Items whose shapes and types were told."""

    spec: Any = None

    @property
    def element_spec(self) -> Any:
        """The shape and type of each part of an item."""
        return super().element_spec if self.spec is None else self.spec


def _specs(types: Any, shapes: Any) -> Any:
    """A `TensorSpec` for each type and shape, in their nesting; None if nothing is told."""
    if types is None:
        return None
    if isinstance(types, (tuple, list)):
        several = shapes if shapes is not None else [None] * len(types)
        return tuple(_specs(kind, shape) for kind, shape in zip(types, several, strict=True))
    if isinstance(types, dict):
        return {key: _specs(kind, None if shapes is None else shapes[key]) for key, kind in types.items()}
    return TensorSpec(shapes, types)


class _IsStream(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Stream)

    def __getattr__(cls, name: str) -> Any:
        return getattr(Stream, name)  # Dataset.concatenate(a, b)


class Dataset(metaclass=_IsStream):
    """Where data sets come from. Each is a `lamella.utils.stream.Stream`, which has the methods."""

    @staticmethod
    def from_tensor_slices(tensors: Any, name: str | None = None) -> Stream:
        """The samples of arrays, in any nesting of tuples and dicts; lists are arrays too."""
        return Slices(tensors)

    @staticmethod
    def from_tensors(tensors: Any, name: str | None = None) -> Stream:
        """One item: all of it."""
        item = _typed(tensors, None)
        return Stream(lambda: iter([item]), 1)

    @staticmethod
    def from_generator(
        generator: Callable[..., Any],
        output_types: Any = None,
        output_shapes: Any = None,
        args: Any = (),
        output_signature: Any = None,
        name: str | None = None,
    ) -> Stream:
        """What a function that yields gives, called anew for each time, as tensors.

        Args:
            generator: A function that gives an iterator. Lists are tensors; tuples and dicts have several.
            output_types: The type of each tensor, nested as the items are.
            output_shapes: The shape of each tensor, which `element_spec` then tells.
            args: What the function is called with.
            output_signature: A `TensorSpec` for each tensor, in the place of `output_types`.
            name: TensorFlow's argument: it changes nothing here.

        Raises:
            ArgumentError: An iterator in the place of the function.
        """
        if not callable(generator):
            raise ArgumentError(
                "Dataset.from_generator takes a function that gives an iterator, not the iterator itself."
            )
        types = output_types if output_signature is None else output_signature
        stream = _Typed(lambda: (_typed(item, types) for item in generator(*args)))
        stream.spec = output_signature if output_signature is not None else _specs(output_types, output_shapes)
        return stream

    @staticmethod
    def range(*args: int, **kwargs: Any) -> Stream:
        """The whole numbers of Python's `range`."""
        numbers, kind = range(*map(int, args)), kwargs.get("output_type", torch.int64)
        return Stream(lambda: (torch.tensor(number, dtype=kind) for number in numbers), len(numbers))

    @staticmethod
    def counter(start: int = 0, step: int = 1, dtype: Any = torch.int64, name: str | None = None) -> Stream:
        """The whole numbers from `start` on, without end."""
        return experimental.Counter(start, step).map(lambda number: number.to(dtype))

    @staticmethod
    def random(seed: int | None = None, rerandomize_each_iteration: bool | None = None, **kwargs: Any) -> Stream:
        """Random whole numbers from 0 to 2**32 - 1 without end, the same each time; others than TensorFlow draws."""
        begin = int(torch.randint(2**31, ())) if seed is None else seed

        def numbers() -> Iterator[Any]:
            draw = torch.Generator().manual_seed(begin)
            while True:
                yield torch.randint(2**32, (), generator=draw)

        return Stream(numbers)

    @staticmethod
    def load(path: Any, *args: Any, **kwargs: Any) -> Stream:
        """The items that `save` wrote into a folder.

        Raises:
            DataError: The folder holds none, or a data set that TensorFlow saved.
        """
        return load_stream(path)

    @staticmethod
    def choose_from_datasets(
        datasets: Sequence[Stream], choice_dataset: Stream, stop_on_empty_dataset: bool = True
    ) -> Stream:
        """Items of the data sets whose numbers `choice_dataset` gives.

        Args:
            datasets: The data sets.
            choice_dataset: Numbers of them.
            stop_on_empty_dataset: Whether the first that is at its end ends it all; else it is passed over.
        """

        def items() -> Iterator[Any]:
            going = [iter(dataset) for dataset in datasets]
            for choice in choice_dataset:
                found = list(itertools.islice(going[int(choice)], 1))
                if not found and stop_on_empty_dataset:
                    return
                yield from found

        return Stream(items)

    @staticmethod
    def zip(*datasets: Any, **kwargs: Any) -> Stream:
        """Tuples of one item of each data set, as long as all have one; data sets may lie in tuples themselves."""
        streams = datasets[0] if len(datasets) == 1 and isinstance(datasets[0], (tuple, list)) else datasets
        streams = [Dataset.zip(*each) if isinstance(each, (tuple, list)) else each for each in streams]
        lengths = [stream.cardinality() for stream in streams]
        known = min((n for n in lengths if n >= 0), default=None) if UNKNOWN_CARDINALITY not in lengths else None
        return Stream(lambda: zip(*streams, strict=False), known)

    @staticmethod
    def sample_from_datasets(
        datasets: Sequence[Stream],
        weights: Any = None,
        seed: int | None = None,
        stop_on_empty_dataset: bool = False,
        **kwargs: Any,
    ) -> Stream:
        """Items of data sets of which each is drawn at random, by its weight.

        Args:
            datasets: The data sets.
            weights: How often each is drawn; all alike by default.
            seed: Of the drawing.
            stop_on_empty_dataset: Whether the first that is at its end ends it all.
            **kwargs: tf.data's further arguments: they change nothing here.
        """
        shares = [1.0] * len(datasets) if weights is None else [float(each) for each in weights]
        if len(shares) != len(datasets):
            raise ArgumentError(f"sample_from_datasets: {len(datasets)} data sets, but {len(shares)} weights.")

        def items() -> Iterator[Any]:
            draw = random.Random(int(torch.randint(2**31, ())) if seed is None else seed)
            going = {i: iter(dataset) for i, dataset in enumerate(datasets) if shares[i] > 0}
            while going:
                i = draw.choices(list(going), [shares[each] for each in going])[0]
                try:
                    yield next(going[i])
                except StopIteration:
                    if stop_on_empty_dataset:
                        return
                    del going[i]

        return Stream(items)

    @staticmethod
    def list_files(file_pattern: Any, shuffle: bool = True, seed: int | None = None, **kwargs: Any) -> Stream:
        """The paths that fit a pattern, or several, in a random order.

        Raises:
            ArgumentError: There is no such file.
        """
        paths = fitting_files(file_pattern, "No file fits")
        stream = Stream(lambda: map(Text, paths), len(paths))
        return stream.shuffle(len(paths), seed) if shuffle else stream


experimental.sample_from_datasets = Dataset.sample_from_datasets  # type: ignore[attr-defined]
experimental.choose_from_datasets = Dataset.choose_from_datasets  # type: ignore[attr-defined]
experimental.RandomDataset = Dataset.random  # type: ignore[attr-defined]


def TextLineDataset(filenames: Any, **kwargs: Any) -> Stream:
    """The lines of text files, without their ends."""
    paths = [filenames] if isinstance(filenames, (str, bytes)) else list(filenames)

    def lines() -> Iterator[str]:
        for path in paths:
            with open(path, encoding="utf-8") as file:
                yield from (Text(line.rstrip("\r\n")) for line in file)

    return Stream(lines)


def _typed(item: Any, types: Any) -> Any:
    """The item with its lists, arrays and numbers as tensors of these types (None for their own)."""
    if isinstance(item, tuple):
        several = types if isinstance(types, (tuple, list)) else [types] * len(item)
        return tuple(_typed(part, kind) for part, kind in zip(item, several, strict=True))
    if isinstance(item, dict):
        return {key: _typed(part, types.get(key) if isinstance(types, dict) else types) for key, part in item.items()}
    return constant(item, types.dtype if isinstance(types, TensorSpec) else types)
