"""Where a data set's file is: in the folder of `LAMELLA_DATA`, in the cache, or on the web."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lamella.errors import DataError
from lamella.utils.files import get_file, home

STORE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


def present(*names: str) -> Path | None:
    """The first of the names that is a file (or folder) under the folder in `LAMELLA_DATA`; None without one."""
    folder = os.environ.get("LAMELLA_DATA")
    if not folder:
        return None
    for name in names:
        path = Path(folder) / name
        if path.exists():
            return path
    return None


def find(dataset: str, name: str, origin: str, file_hash: str | None = None) -> Path:
    """The path of a file of a data set: already present, cached, or downloaded."""
    return present(f"{dataset}/{name}", name) or Path(get_file(name, origin, file_hash=file_hash))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns whatever a damaged file makes the readers raise into a DataError; a file of the cache is deleted.

    Raises:
        DataError: The file is damaged.
    """
    try:
        yield
    except DataError:
        raise
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        zlib.error,
        zipfile.BadZipFile,
        tarfile.TarError,
        pickle.UnpicklingError,
    ) as error:
        if path.is_relative_to(home()):
            path.unlink(missing_ok=True)
            mend = "It was deleted from the cache: load the data again to download it."
        else:
            mend = "Replace it."
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error}). {mend}") from error


def read_idx(path: Path) -> np.ndarray:
    """An array in the IDX format of MNIST, gzipped.

    Raises:
        DataError: Another format, or a file that was cut off.
    """
    with reading(path), gzip.open(path, "rb") as file:
        data = file.read()
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise DataError(f"{path} is no IDX file of bytes.")
    rank = data[3]
    shape = np.frombuffer(data, ">i4", rank, 4)
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * rank)
    if values.size != int(np.prod(shape)):
        raise DataError(f"{path} was cut off: it has {values.size} values, not {int(np.prod(shape))}.")
    return values.reshape(shape).copy()


def read_idx_pairs(folder: Path, train: tuple[str, ...] = ("train", "train10k"), test: str = "t10k") -> Any:
    """`(x_train, y_train), (x_test, y_test)` from the four gzipped files of MNIST's kind."""
    prefix = next((name for name in train if (folder / f"{name}-images-idx3-ubyte.gz").exists()), train[0])
    pairs = [
        (read_idx(folder / f"{name}-images-idx3-ubyte.gz"), read_idx(folder / f"{name}-labels-idx1-ubyte.gz"))
        for name in (prefix, test)
    ]
    for images, labels in pairs:
        if len(images) != len(labels):
            raise DataError(f"{folder}: there are {len(images)} pictures and {len(labels)} labels.")
    return pairs[0], pairs[1]


class SafeUnpickler(pickle.Unpickler):
    """Reads the old data sets that are pickles: arrays, numbers, strings and lists; nothing that could run code.

    A pickle may name any function and have it called on loading, so a changed file could run anything. The
    reviews of IMDB (an array of lists) and the batches of CIFAR-10 (dicts of arrays) were stored as pickles; what
    arrays are rebuilt with is all that they need.
    """

    _ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy.core.multiarray", "scalar"),
            ("numpy._core.multiarray", "scalar"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        """Refuses everything but what arrays are rebuilt with."""
        if (module, name) not in self._ALLOWED:
            raise DataError(f"The file wants to load {module}.{name}, which a data set has no use for: it was refused.")
        return super().find_class(module, name)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file; arrays of lists (ragged) are read without running code."""
    arrays = {}
    with reading(path), zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            data = io.BytesIO(archive.read(member))
            version = np.lib.format.read_magic(data)
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read_header(data)
            if dtype.hasobject:
                array = np.asarray(SafeUnpickler(data).load(), dtype=object).reshape(shape)
            else:
                data.seek(0)
                array = np.lib.format.read_array(data, allow_pickle=False)
            arrays[member.removesuffix(".npy")] = array
    return arrays
