"""`write`: a report as one HTML file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lamella.callbacks import History
from lamella.errors import ArgumentError
from lamella.report.record import Record
from lamella.report.recording import record_of, record_of_study
from lamella.study import Study


def write(
    path: str | os.PathLike[str],
    of: History | Study | Record | Sequence[History | Study | Record],
    language: str | None = None,
    data: Any = None,
) -> None:
    """Writes one HTML file that shows and explains a training, or several side by side; it opens without a network.

    Args:
        path: The file.
        of: What `fit` returned, a study, or what `lamella.report.read` gives of a run folder; or a list of these.
        language: `"en"` or `"zh"`; by default `LAMELLA_LANG`, else the system's.
        data: With a history or a study: `(x, y)` to look at the trained model with; by default at most 2,000 samples
            of what `fit` validated on, or else trained on.

    Raises:
        ArgumentError: Nothing to report, something else, or a language that there are no texts in.
        DataError: `data` that are no `(x, y)`.

    Example:
        >>> import pathlib, tempfile
        >>> from lamella.report import Record, write
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(f"{folder}/report.html", Record(name="first", history={"loss": [2.0, 1.0]}), "en")
        ...     "first" in pathlib.Path(folder, "report.html").read_text(encoding="utf-8")
        True
    """
    from lamella.report.page import html

    records = [_record(each, data) for each in (of if isinstance(of, (list, tuple)) else [of])]
    if not records:
        raise ArgumentError("There is nothing to report: the list is empty.")
    Path(path).write_text(html(records, language), encoding="utf-8")


def _record(of: Any, data: Any) -> Record:
    if isinstance(of, Record):
        return of
    if isinstance(of, (History, Study)):
        return record_of(of, data) if isinstance(of, History) else record_of_study(of, data)
    raise ArgumentError(
        f"A report is made of what fit() returned, of a study, or of what lamella.report.read(folder) gives; "
        f"got {of!r}."
    )
