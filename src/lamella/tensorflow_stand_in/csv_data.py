"""Data sets of tables in CSV files: `make_csv_dataset` by columns and batches, `CsvDataset` row by row."""

from __future__ import annotations

import csv
import gzip
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError, DataError
from lamella.tensorflow_stand_in.io import field_values, fitting_files
from lamella.utils.stream import Stream

Row = list[str]


def make_csv_dataset(
    file_pattern: Any,
    batch_size: int,
    column_names: Sequence[str] | None = None,
    column_defaults: Sequence[Any] | None = None,
    label_name: str | None = None,
    select_columns: Sequence[Any] | None = None,
    field_delim: str = ",",
    use_quote_delim: bool = True,
    na_value: str = "",
    header: bool = True,
    num_epochs: int | None = None,
    shuffle: bool = True,
    shuffle_buffer_size: int = 10000,
    shuffle_seed: int | None = None,
    num_rows_for_inference: int = 100,
    compression_type: str | None = None,
    **kwargs: Any,
) -> Stream:
    """Batches of the rows of CSV files: dicts of columns, or pairs of such a dict and the column of labels.

    A column is of int32, int64, float32, float64 or text, whichever holds its first values; a missing value is 0 or "".

    Args:
        file_pattern: A path or a pattern such as `data/*.csv`, or several.
        batch_size: How many rows a batch has.
        column_names: The names; those of the first line by default.
        column_defaults: A value for missing ones, or a type, for each column that is read.
        label_name: The column of labels.
        select_columns: The names or numbers of the columns that are read; all by default.
        field_delim: What stands between fields.
        use_quote_delim: Whether quotation marks enclose fields.
        na_value: What stands for a missing value, besides nothing.
        header: Whether files begin with a line of names.
        num_epochs: How often the rows are gone through; without end by default.
        shuffle: Whether the rows come in a random order.
        shuffle_buffer_size: From among how many rows each is drawn.
        shuffle_seed: Of that order.
        num_rows_for_inference: How many rows the types are found by; None for all.
        compression_type: `"GZIP"` or None.
        **kwargs: tf.data's further arguments: they change nothing here.

    Raises:
        ArgumentError: No file fits, or a column is not there.
    """
    paths = fitting_files(file_pattern, "make_csv_dataset: no file fits")
    table = _Table(paths, field_delim, use_quote_delim, header, compression_type)
    names = list(column_names) if column_names is not None else table.first_line()
    numbers = _numbers(names, select_columns)
    wanted = [names[number] for number in numbers]
    if label_name is not None and label_name not in wanted:
        raise ArgumentError(f"make_csv_dataset: there is no column {label_name!r} for the labels; there are {wanted}.")
    if column_defaults is None:
        first = list(itertools.islice(table.rows(), num_rows_for_inference))
        defaults = [_default([row[number] for row in first], na_value) for number in numbers]
    else:
        defaults = list(column_defaults)
    rows: Stream = Stream(table.rows)
    if shuffle:
        rows = rows.shuffle(shuffle_buffer_size, shuffle_seed)
    rows = rows.repeat(num_epochs)

    def batches() -> Iterator[Any]:
        going = iter(rows)
        while group := list(itertools.islice(going, batch_size)):
            if num_epochs is None and len(group) < batch_size:
                return
            columns = {
                name: _column([row[number] for row in group], default, na_value)
                for name, number, default in zip(wanted, numbers, defaults, strict=True)
            }
            yield columns if label_name is None else (columns, columns.pop(label_name))

    return Stream(batches)


def CsvDataset(
    filenames: Any,
    record_defaults: Sequence[Any],
    compression_type: str | None = None,
    buffer_size: int | None = None,
    header: bool = False,
    field_delim: str = ",",
    use_quote_delim: bool = True,
    na_value: str = "",
    select_cols: Sequence[int] | None = None,
    **kwargs: Any,
) -> Stream:
    """The rows of CSV files, each a tuple of its fields.

    Args:
        filenames: A path, or several.
        record_defaults: For each field a value for a missing one, or a type: then it must be there.
        compression_type: `"GZIP"` or None.
        buffer_size: tf.data's argument: it changes nothing here.
        header: Whether the first line of a file is left out.
        field_delim: What stands between fields.
        use_quote_delim: Whether quotation marks enclose fields.
        na_value: What stands for a missing value, besides nothing.
        select_cols: The numbers of the fields that are read; all by default.
        **kwargs: tf.data's further arguments: they change nothing here.
    """
    paths = list(filenames) if isinstance(filenames, (list, tuple)) else [filenames]
    table = _Table(paths, field_delim, use_quote_delim, header, compression_type)

    def items() -> Iterator[Any]:
        for row in table.rows():
            fields = row if select_cols is None else [row[number] for number in select_cols]
            if len(fields) != len(record_defaults):
                raise DataError(
                    f"CsvDataset: there are {len(record_defaults)} defaults, but a row of {len(fields)} fields."
                )
            yield tuple(
                field_values([field], default, na_value)[0]
                for field, default in zip(fields, record_defaults, strict=True)
            )

    return Stream(items)


class _Table:
    """The rows of CSV files, one file after the other."""

    def __init__(self, paths: list[Any], delimiter: str, quotes: bool, header: bool, compression: str | None) -> None:
        if compression not in (None, "", "GZIP"):
            raise ArgumentError(f"`compression_type` must be 'GZIP' or None; got {compression!r}.")
        self.paths, self.header, self.compressed = [str(path) for path in paths], header, compression == "GZIP"
        self.options: dict[str, Any] = {
            "delimiter": delimiter,
            "quoting": csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        }

    def _lines(self, path: str) -> Iterator[Row]:
        read = gzip.open if self.compressed else open
        with read(path, "rt", encoding="utf-8", newline="") as file:
            yield from (row for row in csv.reader(file, **self.options) if row)

    def first_line(self) -> Row:
        """The names of the columns."""
        if not self.header:
            raise ArgumentError("make_csv_dataset: without a header the columns need `column_names`.")
        return next(self._lines(self.paths[0]))

    def rows(self) -> Iterator[Row]:
        """Each row as texts."""
        for path in self.paths:
            yield from itertools.islice(self._lines(path), int(self.header), None)


def _numbers(names: list[str], selected: Sequence[Any] | None) -> list[int]:
    if selected is None:
        return list(range(len(names)))
    unknown = [each for each in selected if isinstance(each, str) and each not in names]
    if unknown:
        raise ArgumentError(f"make_csv_dataset: there is no column {unknown[0]!r}; there are {names}.")
    return sorted(names.index(each) if isinstance(each, str) else int(each) for each in selected)


def _default(texts: list[str], na_value: str) -> Any:
    """0 in the narrowest type that holds the values, or an empty text."""
    kinds = [torch.int32, torch.int64, torch.float32, torch.float64]
    narrowest = 0
    for text in texts:
        if text not in ("", na_value):
            while narrowest < len(kinds) and not _fits(text, kinds[narrowest]):
                narrowest += 1
    return torch.zeros((), dtype=kinds[narrowest]) if narrowest < len(kinds) else ""


def _fits(text: str, kind: torch.dtype) -> bool:
    try:
        if kind.is_floating_point:
            return torch.finfo(kind).min < float(text) < torch.finfo(kind).max
        return torch.iinfo(kind).min <= int(text) <= torch.iinfo(kind).max
    except ValueError:
        return False


def _column(texts: list[str], default: Any, na_value: str) -> Any:
    found = field_values(texts, default, na_value)
    return found if isinstance(found, torch.Tensor) else np.array(found, object)
