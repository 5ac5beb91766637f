"""`tf.io.TFRecordWriter`, `tf.data.TFRecordDataset`: files of records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lamella.engine.strings import Bytes
from lamella.errors import ArgumentError, DataError
from lamella.utils.record_files import RecordWriter, as_path, read_records
from lamella.utils.stream import Stream

__all__ = ["FixedLengthRecordDataset", "TFRecordDataset", "TFRecordOptions", "TFRecordWriter"]

_KINDS = ("", "GZIP", "ZLIB")


class TFRecordOptions:
    """How the records of a file are compressed.

    Args:
        compression_type: `"GZIP"`, `"ZLIB"`, or None.
        compression_level: From 0 (quick) to 9 (small).
        **kwargs: TensorFlow's further arguments: they change nothing here.

    Raises:
        ArgumentError: Another compression.
    """

    def __init__(
        self, compression_type: str | None = None, compression_level: int | None = None, **kwargs: Any
    ) -> None:
        if (compression_type or "") not in _KINDS:
            raise ArgumentError(f"`compression_type` must be one of {_KINDS} or None; got {compression_type!r}.")
        self.compression_type = compression_type or ""
        self.compression_level = -1 if compression_level is None else compression_level


class TFRecordWriter(RecordWriter):
    """Writes the records of one file, anew.

    Args:
        path: The file.
        options: A compression, or `TFRecordOptions`.
    """

    def __init__(self, path: Any, options: str | TFRecordOptions | None = None) -> None:
        if not isinstance(options, TFRecordOptions):
            options = TFRecordOptions(options)
        super().__init__(as_path(path), options.compression_type, options.compression_level)


def TFRecordDataset(
    filenames: Any,
    compression_type: str | None = None,
    buffer_size: int | None = None,
    num_parallel_reads: int | None = None,
    name: str | None = None,
) -> Stream:
    """The records of files, as bytes.

    Args:
        filenames: A path, several, or a data set of them.
        compression_type: `"GZIP"`, `"ZLIB"`, or None.
        buffer_size: tf.data's argument: it changes nothing here.
        num_parallel_reads: From how many files at a time records are taken in turns; one after the other by default.
        name: tf.data's argument: it changes nothing here.
    """

    def of_file(path: Any) -> Stream:
        return Stream(lambda: map(Bytes, read_records(as_path(path), compression_type)))

    paths = filenames if isinstance(filenames, Stream) else _stream_of(filenames)
    if num_parallel_reads is None:
        return paths.flat_map(of_file)
    return paths.interleave(of_file, num_parallel_reads)


def FixedLengthRecordDataset(
    filenames: Any, record_bytes: int, header_bytes: int = 0, footer_bytes: int = 0, *args: Any, **kwargs: Any
) -> Stream:
    """The pieces of files, each of so many bytes.

    Args:
        filenames: A path, several, or a data set of them.
        record_bytes: The size of a piece.
        header_bytes: What is left out at the beginning of a file.
        footer_bytes: What is left out at its end.
        *args: tf.data's further arguments: they change nothing here.
        **kwargs: tf.data's further arguments: they change nothing here.

    Raises:
        DataError: While reading: a file that is not a whole number of pieces.
    """

    def of_file(path: Any) -> Iterator[Bytes]:
        room = as_path(path).stat().st_size - header_bytes - footer_bytes
        if room < 0 or room % record_bytes:
            raise DataError(f"{as_path(path)}: {room} bytes are not a whole number of records of {record_bytes}.")
        with as_path(path).open("rb") as file:
            file.seek(header_bytes)
            for _ in range(room // record_bytes):
                yield Bytes(file.read(record_bytes))

    paths = filenames if isinstance(filenames, Stream) else _stream_of(filenames)
    return paths.flat_map(of_file)


def _stream_of(filenames: Any) -> Stream:
    several = [filenames] if np.ndim(filenames) == 0 else [*filenames]

    def paths() -> Iterator[Any]:
        return iter(several)

    return Stream(paths, len(several))
