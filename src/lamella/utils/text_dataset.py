"""`text_dataset_from_directory`: texts in folders, a folder for each class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lamella.utils.directory import dataset_from_directory


def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str | None = None,
    verbose: bool = True,
) -> Any:
    """Batches of the texts in `.txt` files (UTF-8) with their classes, from a folder with a folder for each class.

    Args:
        directory: The folder.
        labels: `"inferred"` (from the folders), None, or a class number for each file, in the order of their paths.
        label_mode: `"int"` (batch,) int32, `"categorical"` (batch, classes) or `"binary"` (batch, 1) float32; None.
        class_names: The classes to use, in an order of one's own.
        batch_size: Texts in a batch; None for one by one.
        max_length: Longer texts are cut to so many characters.
        shuffle: Whether each epoch has a new order; else they are sorted by name.
        seed: A seed for these orders.
        validation_split: The share of texts to hold back.
        subset: `"training"`, `"validation"` or `"both"` parts of that split.
        follow_links: Whether to go into linked folders.
        format: Kept for Keras's signature.
        verbose: Whether to print what was found.

    Returns:
        A stream of `(texts, labels)`: texts as a NumPy array of `str`, labels as a tensor. It has `class_names` and
        `file_paths`; `.map(function)` turns texts into numbers. With `subset="both"` two of them.

    Raises:
        ArgumentError: Arguments that do not go together.
        DataError: No such folder, no texts in it, or (while iterating) a file that is no UTF-8: the error names it.

    Example:
        >>> import os, tempfile
        >>> from pathlib import Path
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("bad", "good"):
        ...     (folder / name).mkdir()
        ...     _ = (folder / name / "1.txt").write_text(f"a {name} film")
        >>> data = text_dataset_from_directory(folder, shuffle=False, verbose=False)
        >>> texts, labels = next(iter(data))
        >>> list(texts), labels.tolist()
        (['a bad film', 'a good film'], [0, 1])
    """
    return dataset_from_directory(
        "text",
        (".txt",),
        partial(_load, max_length=max_length),
        directory,
        labels,
        label_mode,
        class_names,
        batch_size,
        shuffle,
        seed,
        validation_split,
        subset,
        follow_links,
        verbose,
    )


def _load(path: str, max_length: int | None) -> str:
    return Path(path).read_text(encoding="utf-8")[:max_length]
