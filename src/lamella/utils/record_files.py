"""TFRecord files: one record after the other, each with its length and checksums, perhaps compressed.

A record is its length (uint64, little-endian), the masked CRC-32C of these 8 bytes, its bytes, and theirs.
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from lamella.errors import ArgumentError, DataError

_COMPRESSIONS = ("", "GZIP", "ZLIB")
_PIECE = 1 << 20


class RecordWriter:
    """Writes the records of one file, anew; a context manager that closes it.

    Args:
        path: The file.
        compression: `"GZIP"`, `"ZLIB"`, or None.
        level: From 0 (quick) to 9 (small); -1 for the usual.

    Raises:
        ArgumentError: Another compression.
        ImportError: google-crc32c is missing.
        FileNotFoundError: There is no such folder.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "two.tfrecord")
        >>> with RecordWriter(path) as writer:
        ...     writer.write(b"one")
        ...     writer.write(b"another")
        >>> list(read_records(path))
        [b'one', b'another']
    """

    def __init__(self, path: Any, compression: str | None = None, level: int = -1) -> None:
        kind, self._checksum = _checked(compression), _masked(_crc32c())
        self._raw = Path(path).open("wb")  # noqa: SIM115  (close() closes it)
        self._file: Any = self._raw
        if kind == "GZIP":
            self._file = gzip.GzipFile(mode="wb", fileobj=self._raw, compresslevel=level if level >= 0 else 6)
        self._pack = zlib.compressobj(level) if kind == "ZLIB" else None

    def write(self, record: bytes) -> None:
        """Adds a record.

        Raises:
            TypeError: It is not of bytes.
        """
        if not isinstance(record, bytes):
            raise TypeError(f"A record is of bytes; got {type(record).__name__}.")
        length = struct.pack("<Q", len(record))
        framed = b"".join((length, self._checksum(length), record, self._checksum(record)))
        self._file.write(framed if self._pack is None else self._pack.compress(framed))

    def flush(self) -> None:
        """Hands what was written to the operating system."""
        if self._pack is not None:
            self._file.write(self._pack.flush(zlib.Z_SYNC_FLUSH))
        self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        if self._file.closed:
            return
        if self._pack is not None:
            self._file.write(self._pack.flush())
        self._file.close()
        self._raw.close()

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def read_records(path: Any, compression: str | None = None) -> Iterator[bytes]:
    """The records of a file, of which each is checked as it is read.

    Args:
        path: The file.
        compression: `"GZIP"`, `"ZLIB"`, or None.

    Raises:
        ArgumentError: Another compression.
        ImportError: google-crc32c is missing.
        FileNotFoundError: There is no such file.
        DataError: It is damaged, cut off or no such file; the message names the file and the record.
    """
    kind, checksum = _checked(compression), _masked(_crc32c())
    with open(path, "rb") as raw:
        file: Any = gzip.GzipFile(fileobj=raw) if kind == "GZIP" else _Unpacked(raw) if kind == "ZLIB" else raw
        number = 0
        while True:
            try:
                record = _next(file.read, checksum)
            except _Damaged as found:
                raise DataError(_told(path, number, str(found), kind)) from None
            except (OSError, EOFError, zlib.error) as error:
                raise DataError(_told(path, number, f"it cannot be decompressed ({error})", kind)) from error
            if record is None:
                return
            yield record
            number += 1


class _Damaged(Exception):
    """What is wrong with a record."""


def _next(read: Callable[[int], bytes], checksum: Callable[[bytes], bytes]) -> bytes | None:
    head = read(12)
    if not head:
        return None
    if len(head) < 12:
        raise _Damaged("it is cut off")
    if checksum(head[:8]) != head[8:]:
        raise _Damaged("the checksum of its length is wrong")
    size = struct.unpack("<Q", head[:8])[0]
    try:
        body = read(size + 4)
    except (MemoryError, OverflowError):
        raise _Damaged(f"it says that it has {size:,} bytes, more than memory holds") from None
    if len(body) < size + 4:
        raise _Damaged(f"it is cut off: {len(body)} of {size + 4} bytes are there")
    record = body[:size]
    if checksum(record) != body[size:]:
        raise _Damaged("its checksum is wrong")
    return record


def _told(path: Any, number: int, what: str, kind: str) -> str:
    mend = "Write or copy the file anew."
    if number == 0:
        read_as = f"as compressed by {kind}" if kind else "as not compressed"
        mend = (
            f"If the file is a TFRecord file at all, see whether the compression is right: it was read {read_as}, and "
            f"may be one of {_COMPRESSIONS}."
        )
    return f"{os.fspath(path)}: record {number} (from 0) cannot be read: {what}. {mend}"


class _Unpacked:
    """What a file that zlib compressed holds."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self._unpack, self._ready = raw, zlib.decompressobj(), bytearray()

    def read(self, size: int) -> bytes:
        while len(self._ready) < size and (piece := self._raw.read(_PIECE)):
            self._ready += self._unpack.decompress(piece)
        found = bytes(self._ready[:size])
        del self._ready[:size]
        return found


def _checked(compression: str | None) -> str:
    kind = (compression or "").upper()
    if kind == "NONE":
        return ""
    if kind not in _COMPRESSIONS:
        raise ArgumentError(f"The compression of records is one of {_COMPRESSIONS} or None; got {compression!r}.")
    return kind


def _crc32c() -> ModuleType:
    try:
        import google_crc32c
    except ImportError as error:
        raise ImportError("TFRecord files need google-crc32c: pip install 'lamella[data]'.") from error
    return google_crc32c


def _masked(crc32c: ModuleType) -> Callable[[bytes], bytes]:
    """The checksum as TFRecord files have it: turned by 15 bits, plus a constant, so that a file's own can be in it."""
    value = crc32c.value

    def checksum(content: bytes) -> bytes:
        crc = value(content)
        return ((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")

    return checksum


def as_path(name: Any) -> Path:
    """A path that is given as text, or as bytes that encode one."""
    return Path(os.fsdecode(name.item() if hasattr(name, "item") else name))
