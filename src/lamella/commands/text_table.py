"""Columns of text from a table (CSV, TSV) or from files with a text a line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lamella.errors import DataError
from lamella.language import read_texts

_TABLES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}


def read_columns(file: str | Path, names: Sequence[str]) -> list[list[str]]:
    """The columns of these names, or, if the first line names none of them, the first ones, and all lines are data.

    Raises:
        DataError: No such file, another kind of file, a column that is not there, a line that is too short.
    """
    file = Path(file)
    if not file.is_file():
        raise DataError(f"{file}: there is no such file.")
    delimiter = _TABLES.get(file.suffix.lower().removesuffix(".gz") or Path(file.stem).suffix.lower())
    if delimiter is None:
        raise DataError(f"{file}: a table ends with {', '.join(_TABLES)}; got {file.suffix or 'no ending'}.")
    rows = list(csv.reader(read_texts(file, fallback="cp1252"), delimiter=delimiter))
    rows = [row for row in rows if row]
    if not rows:
        raise DataError(f"{file}: the table is empty.")
    head = [name.strip() for name in rows[0]]
    missing = [name for name in names if name not in head]
    if len(missing) == len(names):
        places = list(range(len(names)))
    elif missing:
        raise DataError(f"{file}: there is no column {missing[0]!r}; its first line has {head}. Use --columns.")
    else:
        places, rows = [head.index(name) for name in names], rows[1:]
    for number, row in enumerate(rows, 1):
        if len(row) <= max(places):
            raise DataError(f"{file}, row {number}: {len(row)} columns, but {max(places) + 1} are needed: {row}.")
    return [[row[place] for row in rows] for place in places]


def held_out(columns: Sequence[Sequence[str]], share: float, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """The columns' rows in two parts, drawn at random: most of them, and a share."""
    order = np.random.default_rng(seed).permutation(len(columns[0])).tolist()
    count = max(1, round(share * len(order)))
    if count >= len(order):
        raise DataError(f"{len(order)} rows are too few: some are kept to test on.")
    parts = [[[column[i] for i in rows] for column in columns] for rows in (order[count:], order[:count])]
    return parts[0], parts[1]
