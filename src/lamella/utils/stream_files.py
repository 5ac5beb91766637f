"""The items of a stream in a folder: records of tensors, and how each item is nested. Nothing in it can run code."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from lamella.errors import DataError
from lamella.utils.record_files import RecordWriter, as_path, read_records
from lamella.utils.stream import Stream
from lamella.utils.tensor_messages import tensor_as_bytes, tensor_of_bytes

_ITEMS, _NESTING = "items.tfrecord", "nesting.json"


def save_stream(stream: Stream, path: Any, compression: str | None = None) -> None:
    """Writes all items (tensors, numbers and texts in tuples, lists and dicts) into a folder.

    Args:
        stream: The stream; it must end.
        path: The folder, whose items are replaced.
        compression: `"GZIP"`, `"ZLIB"`, or None.

    Raises:
        DataError: Items that are not all nested in the same way.
        ImportError: protobuf or google-crc32c is missing.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> save_stream(Stream(lambda: iter([{"x": torch.ones(2), "name": "a"}])), folder)
        >>> list(load_stream(folder))
        [{'x': tensor([1., 1.]), 'name': b'a'}]
    """
    for _ in _written(stream, path, compression):
        pass


def _written(stream: Stream, path: Any, compression: str | None) -> Iterator[Any]:
    """The items, of which each is written when it is given; the folder counts when all are."""
    folder = as_path(path)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _NESTING).unlink(missing_ok=True)
    nesting, count = None, 0
    with RecordWriter(folder / _ITEMS, compression) as writer:
        for item in stream:
            leaves, own = pytree.tree_flatten(item)
            if nesting is not None and own != nesting:
                raise DataError(f"Stream.save: item {count} is nested as {own}, those before as {nesting}.")
            nesting, count = own, count + 1
            for leaf in leaves:
                writer.write(tensor_as_bytes(_as_tensor(leaf)))
            yield item
    told = {
        "items": count,
        "compression": compression,
        "nesting": None if nesting is None else pytree.treespec_dumps(nesting),
    }
    (folder / _NESTING).write_text(json.dumps(told), encoding="utf-8")


def _as_tensor(leaf: Any) -> Any:
    return torch.tensor(leaf) if isinstance(leaf, (bool, int, float)) else leaf


def load_stream(path: Any) -> Stream:
    """The stream that was saved in a folder.

    Raises:
        DataError: The folder holds none, one that is not whole, or one of TensorFlow's own.
    """
    folder = as_path(path)
    told = _told(folder)
    if told["nesting"] is None:
        return Stream(lambda: iter(()), 0)
    nesting = pytree.treespec_loads(told["nesting"])

    def items() -> Iterator[Any]:
        records = read_records(folder / _ITEMS, told["compression"])
        for number in range(told["items"]):
            leaves = [tensor_of_bytes(record) for record in itertools.islice(records, nesting.num_leaves)]
            if len(leaves) < nesting.num_leaves:
                raise DataError(f"{folder}: item {number} of {told['items']} is missing. Save the stream anew.")
            yield pytree.tree_unflatten(leaves, nesting)

    return Stream(items, told["items"])


def _told(folder: Path) -> dict[str, Any]:
    if (folder / "dataset_spec.pb").exists():
        raise DataError(
            f"{folder} holds a data set that TensorFlow saved in a format of its own. Write TFRecord files with "
            f"TensorFlow (tf.io.TFRecordWriter): those are read here."
        )
    try:
        told = json.loads((folder / _NESTING).read_text(encoding="utf-8"))
        whole = isinstance(told["items"], int) and isinstance(told["nesting"], str | None) and "compression" in told
    except FileNotFoundError:
        raise DataError(f"{folder} holds no stream that was saved as a whole: there is no {_NESTING}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / _NESTING} is damaged ({error}). Save the stream anew.") from error
    if not whole:
        raise DataError(f"{folder / _NESTING} is damaged. Save the stream anew.")
    return dict(told)


def snapshot_of(stream: Stream, path: Any, compression: str | None) -> Stream:
    """The items of a folder; the first time those of the stream, which are written there."""

    def items() -> Iterator[Any]:
        if (as_path(path) / _NESTING).exists():
            return iter(load_stream(path))
        return _written(stream, path, compression)

    return Stream(items, stream._length, stream)
