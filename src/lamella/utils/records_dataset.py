"""TFRecord files of `Example`s as batches, and such files written, as TensorFlow's tools do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from lamella.engine.strings import Bytes, Strings
from lamella.errors import ArgumentError, DataError
from lamella.utils.example_messages import feature_of, messages, parsed, values_of
from lamella.utils.record_files import RecordWriter, read_records
from lamella.utils.stream import Stream
from lamella.utils.table_dataset import paths_of


def records_dataset_from_files(
    files: Any,
    features: Mapping[str, tuple[int, ...] | None],
    target: str | None = None,
    batch_size: int | None = 32,
    shuffle: bool = True,
    buffer_size: int = 10_000,
    seed: int | None = None,
    compression: str | None = None,
) -> Stream:
    """Batches of the examples of TFRecord files, which may be larger than memory.

    Args:
        files: A path, a pattern (`"train-*.tfrecord"`), or a list of paths.
        features: For each feature that is read its shape; `()` for a single value, None for any number of values,
            which a batch fills up with 0. Numbers are float32 or int64, as the file has them; texts and pictures bytes.
        target: The feature of the targets; none by default.
        batch_size: Examples in a batch; None for one example after the other, to be decoded by `map` and batched
            afterwards.
        shuffle: Whether each epoch has a new order: files in random order, and examples at random within
            `buffer_size` of them.
        buffer_size: Examples in memory, as bytes, when shuffling.
        seed: A seed for these orders.
        compression: `"GZIP"`, `"ZLIB"`, or None.

    Returns:
        A stream of `(inputs, targets)`, or of inputs; `fit` takes it. Inputs are a dict of the features, or the tensor
        itself where there is only one.

    Raises:
        ArgumentError: No files, or a target that is none of the features.
        DataError: While reading: a damaged file, with its name and the record, or a feature that is missing or of
            another shape.
        ImportError: protobuf or google-crc32c is missing.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "two.tfrecord")
        >>> write_records(path, [{"x": [1.0, 2.0], "y": 0}, {"x": [3.0, 4.0], "y": 1}])
        >>> for x, y in records_dataset_from_files(path, {"x": (2,), "y": ()}, target="y", shuffle=False):
        ...     print(x.tolist(), y.tolist())
        [[1.0, 2.0], [3.0, 4.0]] [0, 1]
    """
    if target is not None and target not in features:
        raise ArgumentError(f"The target {target!r} is none of the features {list(features)}.")
    paths = paths_of(files)
    names = Stream(lambda: iter(paths), len(paths))
    if shuffle:
        names = names.shuffle(len(paths), seed)
    records = names.flat_map(lambda path: read_records(path, compression))
    if shuffle:
        records = records.shuffle(buffer_size, seed)

    def example(record: bytes) -> Any:
        found = parsed("Example", record).features.feature
        return _divided({name: _value(found, name, shape) for name, shape in features.items()}, target)

    examples = records.map(example)
    if batch_size is None:
        return examples
    return examples.padded_batch(batch_size) if None in features.values() else examples.batch(batch_size)


def _value(features: Any, name: str, shape: tuple[int, ...] | None) -> Any:
    values = values_of(features[name]) if name in features else None
    if values is None and shape is not None:
        raise DataError(f"The feature {name!r} is not in an example, which has {sorted(features)}.")
    if values is None:
        return torch.zeros(0)
    if shape is not None and len(values) != math.prod(shape):
        raise DataError(
            f"The feature {name!r} has {len(values)} values, but shape {shape} has {math.prod(shape)}. None stands for "
            f"any number of values."
        )
    if isinstance(values, list):
        return Bytes(values[0]) if shape == () else Strings.of(values).reshape(shape or (-1,))
    return torch.from_numpy(values).reshape((-1,) if shape is None else shape)


def _divided(example: dict[str, Any], target: str | None) -> Any:
    targets = example.pop(target) if target is not None else None
    inputs = next(iter(example.values())) if len(example) == 1 else example
    return inputs if target is None else (inputs, targets)


def write_records(path: Any, examples: Iterable[Mapping[str, Any]], compression: str | None = None) -> None:
    """Writes a TFRecord file of examples, which TensorFlow's tools read as well.

    Args:
        path: The file.
        examples: For each a dict of its features: numbers (kept as float32 or int64), texts or bytes, single or in
            arrays, whose shapes are not kept.
        compression: `"GZIP"`, `"ZLIB"`, or None.

    Raises:
        DataError: A feature that is neither numbers nor texts.
        ImportError: protobuf or google-crc32c is missing.
    """
    known = messages()
    with RecordWriter(path, compression) as writer:
        for example in examples:
            features = known.Features(feature={name: feature_of(values) for name, values in example.items()})
            writer.write(known.Example(features=features).SerializeToString())
