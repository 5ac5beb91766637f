"""Tables of any size as batches: Parquet, Arrow and CSV files, read by pyarrow piece by piece."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError, DataError
from lamella.utils.stream import Stream

_FORMATS = {".parquet": "parquet", ".csv": "csv", ".arrow": "ipc", ".feather": "ipc"}
_PIECE = 16_384
"""Rows that are read at a time."""


def table_dataset_from_files(
    files: Any,
    target: str | None = None,
    features: Sequence[str] | None = None,
    batch_size: int = 32,
    shuffle: bool = True,
    buffer_size: int = 100_000,
    seed: int | None = None,
    as_dict: bool = False,
) -> Stream:
    """Batches of the rows of Parquet, Arrow or CSV files, which may be larger than memory.

    Args:
        files: A path, a pattern (`"part-*.parquet"`), a list of paths, or a Hugging Face `datasets.Dataset`.
        target: The column of the targets; none by default.
        features: The columns of the inputs; all others by default.
        batch_size: Rows in a batch.
        shuffle: Whether each epoch has a new order: pieces of the files in random order, and rows at random within
            `buffer_size` of them.
        buffer_size: Rows in memory at a time when shuffling.
        seed: A seed for these orders.
        as_dict: Whether inputs are a dict of columns (texts allowed), as `FeatureSpace` and models with several inputs
            take, rather than one matrix (batch, columns) of float32.

    Returns:
        A stream of `(inputs, targets)`, or of inputs; `fit` takes it.

    Raises:
        ArgumentError: No files, files of several kinds, or a column that is not there.
        DataError: While reading: an empty cell, or a text where numbers are needed; with column, row and mend.
        ImportError: pyarrow is missing.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "rows.csv")
        >>> _ = path.write_text("a,b,label\\n1,2,0\\n3,4,1\\n")
        >>> for x, y in table_dataset_from_files(path, "label", shuffle=False):
        ...     print(x.shape, y)
        torch.Size([2, 2]) tensor([0, 1])
    """
    try:
        import pyarrow.dataset as arrow
    except ImportError as error:
        raise ImportError("Tables are read by pyarrow: pip install 'lamella[data]'.") from error
    if hasattr(files, "with_format"):  # a Hugging Face data set: a table, and perhaps the rows of it that count
        table = arrow.dataset(files.with_format("arrow")[:] if files._indices is not None else files.data.table)
    else:
        paths = paths_of(files)
        table = arrow.dataset(paths, format=_format(paths))
    names = list(table.schema.names)
    wanted = [target] if target is not None else []
    features = [name for name in names if name not in wanted] if features is None else list(features)
    for name in (*features, *wanted):
        if name not in names:
            raise ArgumentError(f"There is no column {name!r}; the columns are {names}.")
    return _Rows(table, features, target, batch_size, buffer_size if shuffle else 0, seed, as_dict)


class _Rows(Stream):
    def __init__(
        self,
        table: Any,
        features: list[str],
        target: str | None,
        batch_size: int,
        buffer_size: int,
        seed: int | None,
        as_dict: bool,
    ) -> None:
        tells = "Csv" not in type(getattr(table, "format", None)).__name__  # a CSV file would have to be read to count
        super().__init__(self._batches, -(-table.count_rows() // batch_size) if tells else None)
        self.table = table
        self.features, self.target, self.as_dict = features, target, as_dict
        self.batch_size, self.buffer_size, self.seed = batch_size, buffer_size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def _batches(self) -> Iterator[Any]:
        source = None if self.seed is None else torch.Generator().manual_seed(self.seed + self.epoch)
        self.epoch += 1
        held: list[dict[str, np.ndarray]] = []
        count = 0
        for piece in self._pieces(source):
            held.append(piece)
            count += len(piece[next(iter(piece))])
            if count >= max(self.buffer_size, self.batch_size):
                rest = yield from self._cut(held, count, source, last=False)
                held, count = rest
        yield from self._cut(held, count, source, last=True)

    def _pieces(self, source: torch.Generator | None) -> Iterator[dict[str, np.ndarray]]:
        columns = [*self.features, *([self.target] if self.target else [])]
        fragments = list(self.table.get_fragments())
        if self.buffer_size:
            parts = [part for each in fragments for part in _row_groups(each)]
            fragments = [parts[i] for i in torch.randperm(len(parts), generator=source).tolist()]
        row = 0
        for fragment in fragments:
            for piece in fragment.to_batches(columns=columns, batch_size=_PIECE, schema=self.table.schema):
                if piece.num_rows:
                    yield {name: self._values(piece, name, row) for name in columns}
                row += piece.num_rows

    def _values(self, piece: Any, name: str, row: int) -> np.ndarray:
        column = piece.column(name)
        values = column.to_numpy(zero_copy_only=False)
        empty = column.is_null(nan_is_null=True)
        if column.null_count or (values.dtype.kind == "f" and np.isnan(values).any()):
            where = row + int(np.flatnonzero(empty.to_numpy(zero_copy_only=False))[0])
            raise DataError(
                f"Column {name!r} is empty in row {where} (in reading order, from 0). Fill it in, or drop such rows, "
                f"before training: pyarrow, pandas and polars do both."
            )
        if values.dtype.kind == "O" and not (self.as_dict and name != self.target):
            raise DataError(
                f"Column {name!r} holds {type(values[0]).__name__} values such as {values[0]!r:.40}, not numbers. "
                f"Leave it out with `features`, encode it, or pass as_dict=True and use a FeatureSpace."
            )
        return values

    def _cut(self, held: list[dict[str, np.ndarray]], count: int, source: torch.Generator | None, last: bool) -> Any:
        """Yields whole batches of what is held, and returns the rest."""
        if not held:
            return [], 0
        columns = {name: np.concatenate([piece[name] for piece in held]) for name in held[0]}
        if self.buffer_size:
            order = torch.randperm(count, generator=source).numpy()
            columns = {name: values[order] for name, values in columns.items()}
        end = count if last else count - count % self.batch_size
        for start in range(0, end, self.batch_size):
            part = slice(start, min(start + self.batch_size, end))
            yield self._batch({name: values[part] for name, values in columns.items()})
        return ([{name: values[end:] for name, values in columns.items()}], count - end) if end < count else ([], 0)

    def _batch(self, columns: dict[str, np.ndarray]) -> Any:
        if self.as_dict:
            inputs: Any = {
                name: columns[name] if columns[name].dtype.kind == "O" else torch.as_tensor(np.array(columns[name]))
                for name in self.features
            }
        else:
            inputs = torch.as_tensor(np.stack([columns[name] for name in self.features], 1).astype("float32"))
        return inputs if self.target is None else (inputs, torch.as_tensor(np.array(columns[self.target])))


def _row_groups(fragment: Any) -> list[Any]:
    return fragment.split_by_row_group() if hasattr(fragment, "split_by_row_group") else [fragment]


def paths_of(files: Any) -> list[str]:
    """The paths of files that are given as a path, a pattern, or several.

    Raises:
        ArgumentError: There is no such file.
    """
    given = [files] if isinstance(files, (str, os.PathLike)) else list(files)
    paths = [path for each in given for path in (sorted(glob.glob(os.fspath(each))) or [os.fspath(each)])]
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing or not paths:
        raise ArgumentError(f"There is no file {missing[0]}." if missing else "No files were given.")
    return paths


def _format(paths: list[str]) -> str:
    kinds = {os.path.splitext(path)[1].lower() for path in paths}
    if len(kinds) > 1 or not kinds <= set(_FORMATS):
        raise ArgumentError(
            f"The files must be of one of the kinds {', '.join(_FORMATS)}; found {', '.join(sorted(kinds))}."
        )
    return _FORMATS[kinds.pop()]
