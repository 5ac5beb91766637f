"""Batches of pictures from files: those in folders, a folder for each class, and those that a data frame names."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from lamella.errors import ArgumentError, DataError, DTypeError, nearest
from lamella.preprocessing.image_iterators import PictureIterator, no_such_subset, parts_of
from lamella.utils.image import img_to_array, load_img
from lamella.utils.logging import say

_CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
_WITHOUT_CLASSES = ("input", "multi_output", "raw", None)


class FileIterator(PictureIterator):
    """The base of iterators over files: it reads them, by several threads, and makes the targets.

    Subclasses call `_set_up`, set `filenames`, `filepaths` and what the class mode needs (`classes` and
    `class_indices`, or `labels`), then call `_ready`.

    Args:
        image_data_generator: The `ImageDataGenerator` that changes the pictures; None to leave them as they are.
        target_size: (height, width) that all are resized to.
        color_mode: `"grayscale"`, `"rgb"` or `"rgba"`: 1, 3 or 4 channels.
        data_format: `"channels_last"` or `"channels_first"`.
        subset: `"training"`, `"validation"`, or None for all.
        interpolation: How pictures are resized, as for `load_img`.
        keep_aspect_ratio: Whether what does not fit the target's shape is cut off rather than squeezed.
    """

    allowed_class_modes: tuple[str | None, ...] = ()
    classes: Any
    class_indices: dict[str, int]
    sample_weight: np.ndarray | None
    filenames: list[str]
    filepaths: list[str]

    def _set_up(
        self,
        image_data_generator: Any,
        target_size: Sequence[int],
        color_mode: str,
        class_mode: str | None,
        subset: str | None,
        interpolation: str,
        keep_aspect_ratio: bool,
    ) -> None:
        """Checks and keeps what says how files are read."""
        if not isinstance(target_size, (list, tuple)) or len(target_size) != 2:
            raise ArgumentError(f"`target_size` must be (height, width); got {target_size!r}.")
        if color_mode not in _CHANNELS:
            raise ArgumentError(f"`color_mode` must be one of {', '.join(_CHANNELS)}; got {color_mode!r}.")
        if class_mode not in self.allowed_class_modes:
            allowed = ", ".join(map(repr, self.allowed_class_modes))
            raise ArgumentError(f"`class_mode` must be one of {allowed}; got {class_mode!r}.")
        self.target_size = tuple(target_size)
        self.color_mode = color_mode
        self.class_mode = class_mode
        self.subset = subset
        self.split = None if subset is None else parts_of(subset, image_data_generator)
        self.interpolation = interpolation
        self.keep_aspect_ratio = keep_aspect_ratio
        self.sample_weight = None

    def _ready(
        self,
        batch_size: int,
        shuffle: bool,
        seed: int | None,
        image_data_generator: Any,
        data_format: str | None,
        dtype: Any,
        save_to_dir: str | os.PathLike[str] | None,
        save_prefix: str,
        save_format: str,
    ) -> None:
        """The rest, when the files are known."""
        super().__init__(
            len(self.filenames),
            batch_size,
            shuffle,
            seed,
            image_data_generator,
            data_format,
            dtype,
            save_to_dir,
            save_prefix,
            save_format,
        )
        self.samples = self.n
        channels = (_CHANNELS[self.color_mode],)
        first = self.data_format == "channels_first"
        self.image_shape = (*channels, *self.target_size) if first else (*self.target_size, *channels)

    def _part(self, count: int) -> slice:
        """The rows of the subset, of so many."""
        start, end = self.split or (0, 1)
        return slice(int(start * count), int(end * count))

    def _load(self, path: str) -> np.ndarray:
        try:
            image = load_img(path, self.color_mode, self.target_size, self.interpolation, self.keep_aspect_ratio)
        except (ArgumentError, ImportError):
            raise
        except Exception as error:
            raise DataError(
                f"The file {path} cannot be read: {error}. It is missing, damaged or of another kind: mend it or take "
                f"it out."
            ) from error
        return img_to_array(image, self.data_format)

    def _loaded(self, index_array: np.ndarray) -> Iterator[np.ndarray]:
        """The pictures in their order; while one is used the next ones are read."""
        paths = [self.filepaths[i] for i in index_array]
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1, len(paths))) as pool:
            yield from pool.map(self._load, paths)

    def _get_batches_of_transformed_samples(self, index_array: np.ndarray) -> Any:
        x = self._changed(self._loaded(index_array), index_array, self.image_shape)
        if self.class_mode is None:
            return x
        y = x.copy() if self.class_mode == "input" else self._targets_of(index_array)
        return (x, y) if self.sample_weight is None else (x, y, self.sample_weight[index_array])

    def _targets_of(self, index_array: np.ndarray) -> Any:
        if self.class_mode == "multi_output":
            return [output[index_array] for output in self.labels]
        if self.class_mode == "raw":
            return self.labels[index_array]
        classes = [self.classes[i] for i in index_array]
        if self.class_mode != "categorical":
            return np.array(classes, dtype=self.dtype)
        y = np.zeros((len(classes), len(self.class_indices)), dtype=self.dtype)
        for row, its in zip(y, classes, strict=True):
            row[its] = 1
        return y

    @property
    def labels(self) -> Any:
        """The class number of each picture, or its targets."""
        return self.classes


class DirectoryIterator(FileIterator):
    """Batches of pictures from folders, as `ImageDataGenerator.flow_from_directory` gives them.

    Args:
        directory: The folder, with a folder for each class.
        image_data_generator: The `ImageDataGenerator` that changes the pictures.
        target_size: (height, width) that all are resized to.
        color_mode: `"grayscale"`, `"rgb"` or `"rgba"`: 1, 3 or 4 channels.
        classes: The folders to use, in an order of one's own; by default all, by their names.
        class_mode: `"categorical"` (batch, classes), `"binary"` or `"sparse"` (batch,), `"input"` (the pictures), or
            None for no targets.
        batch_size: Pictures in a batch.
        shuffle: Whether each epoch has a new order; else they are sorted by name.
        seed: A seed for the order and the changes.
        data_format: `"channels_last"` or `"channels_first"`.
        save_to_dir: A folder to write the changed pictures to.
        save_prefix: What their names begin with.
        save_format: The format, as their ending.
        follow_links: Whether to go into linked folders.
        subset: `"validation"` (the first files of each class, as many as the generator's `validation_split` says),
            `"training"` (the others), or None for all.
        interpolation: How pictures are resized, as for `load_img`.
        keep_aspect_ratio: Whether what does not fit the target's shape is cut off rather than squeezed.
        dtype: The type of the batches; `floatx()` by default.

    Attributes:
        samples: How many pictures there are; also `n`.
        num_classes: How many classes.
        class_indices: From the names of the classes to their numbers.
        classes: The class number of each picture; also `labels`.
        filenames: The files, from `directory` on.
        filepaths: The files, with `directory`.
        image_shape: The shape of a picture.

    Raises:
        DataError: No such folder, no pictures in it, or a file that cannot be read.
        ArgumentError: Arguments outside the values that they may have, or `classes` that are no folders.
    """

    allowed_class_modes = ("categorical", "binary", "sparse", "input", None)

    def __init__(
        self,
        directory: str | os.PathLike[str],
        image_data_generator: Any,
        target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: Any = None,
    ) -> None:
        self._set_up(
            image_data_generator, target_size, color_mode, class_mode, subset, interpolation, keep_aspect_ratio
        )
        self.directory = os.fspath(directory)
        if not os.path.isdir(self.directory):
            raise DataError(f"There is no folder {self.directory!r}.")
        names = self._class_names(classes)
        self.num_classes = len(names)
        self.class_indices = {name: number for number, name in enumerate(names)}
        self.filenames = []
        numbers: list[int] = []
        there_are = 0
        for name, number in self.class_indices.items():
            files = self._files_of(name, follow_links)
            there_are += len(files)
            files = files[self._part(len(files))]
            self.filenames += files
            numbers += [number] * len(files)
        self.classes = np.array(numbers, dtype="int32")
        self.filepaths = [os.path.join(self.directory, name) for name in self.filenames]
        say(f"Found {len(self.filenames)} images belonging to {self.num_classes} classes.")
        if subset is not None and there_are and not self.filenames:
            raise no_such_subset(subset, image_data_generator, f"the {there_are} pictures in {self.directory!r}")
        if not self.filenames:
            raise DataError(
                f"There are no pictures in the {len(names)} folders of {self.directory!r}; they must lie in folders, "
                f"one for each class (for pictures without classes, a single one), and end in "
                f"{', '.join(self.white_list_formats)}."
            )
        self._ready(
            batch_size,
            shuffle,
            seed,
            image_data_generator,
            data_format,
            dtype,
            save_to_dir,
            save_prefix,
            save_format,
        )

    def _class_names(self, classes: Sequence[str] | None) -> list[str]:
        folders = sorted(entry.name for entry in os.scandir(self.directory) if entry.is_dir())
        if not classes:
            return folders
        for name in classes:
            if not os.path.isdir(os.path.join(self.directory, name)):
                close = nearest(str(name), folders) or folders
                raise ArgumentError(
                    f"`classes` must be folders in {self.directory!r}, which has no {name!r}; there are "
                    f"{', '.join(map(repr, close)) or 'none'}."
                )
        return list(classes)

    def _files_of(self, name: str, follow_links: bool) -> list[str]:
        """The pictures of a class, from `directory` on, sorted."""
        found = sorted(
            os.walk(os.path.join(self.directory, name), followlinks=follow_links), key=lambda place: place[0]
        )
        files = [
            os.path.relpath(os.path.join(folder, file), self.directory)
            for folder, _, inside in found
            for file in sorted(inside)
            if file.lower().endswith(self.white_list_formats)
        ]
        if any(file.lower().endswith(".tiff") for file in files):
            warnings.warn(f"Of .tiff files with several pictures, as there may be in {name!r}, only the first is read.")
        return files


class DataFrameIterator(FileIterator):
    """Batches of pictures that a data frame names, as `ImageDataGenerator.flow_from_dataframe` gives them.

    Args:
        dataframe: The pandas data frame.
        directory: The folder that the names begin in; None if they are whole paths.
        image_data_generator: The `ImageDataGenerator` that changes the pictures; None to leave them as they are.
        x_col: The column of the files.
        y_col: The column of the targets; a list of columns for `"multi_output"` (and for `"raw"` if there are several).
        weight_col: The column of the samples' weights, or None.
        target_size: (height, width) that all are resized to.
        color_mode: `"grayscale"`, `"rgb"` or `"rgba"`: 1, 3 or 4 channels.
        classes: The classes to use, in an order of one's own; rows of others are left out. By default all, sorted.
        class_mode: `"categorical"` (batch, classes), where a row may have a list of several classes; `"binary"` or
            `"sparse"` (batch,); `"raw"` for the column as it is; `"multi_output"` for a list of columns; `"input"` (the
            pictures); None for no targets.
        batch_size: Pictures in a batch.
        shuffle: Whether each epoch has a new order.
        seed: A seed for the order and the changes.
        data_format: `"channels_last"` or `"channels_first"`.
        save_to_dir: A folder to write the changed pictures to.
        save_prefix: What their names begin with.
        save_format: The format, as their ending.
        subset: `"validation"` (the first rows, as many as the generator's `validation_split` says), `"training"` (the
            others), or None for all.
        interpolation: How pictures are resized, as for `load_img`.
        keep_aspect_ratio: Whether what does not fit the target's shape is cut off rather than squeezed.
        dtype: The type of the batches.
        validate_filenames: Whether rows whose file is missing, or no picture by its ending, are left out; a warning
            tells how many.

    Attributes:
        samples: How many pictures there are; also `n`.
        class_indices: From the classes to their numbers, where there are classes.
        classes: The class number (or numbers) of each picture, where there are classes.
        labels: The same, or the targets.
        filenames: The files, as in the data frame.
        filepaths: The files, with `directory`.
        image_shape: The shape of a picture.

    Raises:
        DataError: No such column, no pictures left, or a file that cannot be read.
        DTypeError: A column of another type than the class mode needs.
        ArgumentError: Arguments outside the values that they may have.
    """

    allowed_class_modes = ("binary", "categorical", "input", "multi_output", "raw", "sparse", None)

    def __init__(
        self,
        dataframe: Any,
        directory: str | os.PathLike[str] | None = None,
        image_data_generator: Any = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str = "channels_last",
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: Any = "float32",
        validate_filenames: bool = True,
    ) -> None:
        self._set_up(
            image_data_generator, target_size, color_mode, class_mode, subset, interpolation, keep_aspect_ratio
        )
        self.directory = os.fspath(directory or "")
        self._check_columns(dataframe, x_col, y_col, weight_col, classes)
        names = dataframe[x_col].tolist()
        rows = self._rows_with_files(names, x_col) if validate_filenames else list(range(len(names)))
        labels: list[Any] = []
        of_classes = ""
        if class_mode not in _WITHOUT_CLASSES:
            labels = dataframe[y_col].tolist()
            rows, labels, kinds = _labelled([(row, labels[row]) for row in rows], classes)
            self.class_indices = {name: number for number, name in enumerate(kinds)}
            of_classes = f" belonging to {len(kinds)} classes"
        there_are = len(rows)
        part = self._part(there_are)
        rows = rows[part]
        if class_mode not in _WITHOUT_CLASSES:
            self.classes = [self._numbers_of(label) for label in labels[part]]
        self.filenames = [names[row] for row in rows]
        self.filepaths = [os.path.join(self.directory, name) for name in self.filenames]
        chosen = dataframe.iloc[rows]
        if weight_col:
            self.sample_weight = chosen[weight_col].to_numpy()
        self._targets: Any = None
        if class_mode == "multi_output":
            self._targets = [np.array(chosen[column].tolist()) for column in y_col]
        elif class_mode == "raw":
            self._targets = chosen[y_col].to_numpy()
        validated = "validated" if validate_filenames else "non-validated"
        say(f"Found {len(rows)} {validated} image filenames{of_classes}.")
        if subset is not None and there_are and not rows:
            raise no_such_subset(subset, image_data_generator, f"the {there_are} rows")
        if not rows:
            raise DataError(
                f"None of the {len(names)} rows names a picture that is there, of a class that is wanted. The files "
                f"are looked for in {self.directory or os.getcwd()!r} (`directory`), the first as "
                f"{names[0] if names else None!r} (column {x_col!r}), and must end in "
                f"{', '.join(self.white_list_formats)}."
            )
        self._ready(
            batch_size,
            shuffle,
            seed,
            image_data_generator,
            data_format,
            dtype,
            save_to_dir,
            save_prefix,
            save_format,
        )

    @property
    def labels(self) -> Any:
        """The class number (or numbers) of each picture, or its targets."""
        return self.classes if self._targets is None else self._targets

    def _rows_with_files(self, names: list[str], x_col: str) -> list[int]:
        rows = [
            row
            for row, name in enumerate(names)
            if name.lower().endswith(self.white_list_formats) and os.path.isfile(os.path.join(self.directory, name))
        ]
        if lost := len(names) - len(rows):
            there = set(rows)
            first = next(name for row, name in enumerate(names) if row not in there)
            warnings.warn(
                f"{lost} of {len(names)} image filename(s) in the column {x_col!r} are missing or no pictures, the "
                f"first of them {os.path.join(self.directory, first)!r}; their rows are left out."
            )
        return rows

    def _numbers_of(self, label: Any) -> Any:
        if isinstance(label, (list, tuple)):
            return [self.class_indices[each] for each in label]
        return self.class_indices[label]

    def _check_columns(self, dataframe: Any, x_col: str, y_col: Any, weight_col: str | None, classes: Any) -> None:
        if not hasattr(dataframe, "iloc") or not hasattr(dataframe, "columns"):
            raise ArgumentError(f"`dataframe` must be a pandas data frame; got a {type(dataframe).__name__}.")
        mode = self.class_mode
        if mode == "multi_output" and not isinstance(y_col, list):
            raise DTypeError(f"class_mode='multi_output' needs a list of columns as `y_col`; got {y_col!r}.")
        columns = [("x_col", x_col)]
        if mode not in ("input", None):
            columns += [("y_col", each) for each in (y_col if isinstance(y_col, list) else [y_col])]
        if weight_col:
            columns.append(("weight_col", weight_col))
        for argument, column in columns:
            if column not in dataframe.columns:
                raise DataError(
                    f"The data frame has no column {column!r}; pass `{argument}`. It has "
                    f"{', '.join(map(repr, dataframe.columns))}."
                )
        _check_types(dataframe[x_col], x_col, str, "paths of files, as strings")
        if mode in ("binary", "sparse"):
            _check_types(dataframe[y_col], y_col, str, f"strings for class_mode={mode!r} (astype(str) makes them)")
        if mode == "categorical":
            wanted = "strings, or lists of them, for class_mode='categorical' (astype(str) makes them)"
            _check_types(dataframe[y_col], y_col, (str, list, tuple), wanted)
        if mode == "binary":
            count = len(set(classes or dataframe[y_col]))
            if count != 2:
                raise ArgumentError(
                    f"class_mode='binary' needs two classes; there are {count}. For more there is 'sparse'."
                )
        if weight_col and not issubclass(dataframe[weight_col].dtype.type, np.number):
            raise DTypeError(
                f"The column {weight_col!r} (`weight_col`) must be numbers; got {dataframe[weight_col].dtype}."
            )
        if classes and mode in _WITHOUT_CLASSES:
            warnings.warn(f"`classes` is not used with class_mode={mode!r}.")


def _check_types(column: Any, name: str, types: Any, wanted: str) -> None:
    for row, value in enumerate(column):
        if not isinstance(value, types):
            raise DTypeError(f"The column {name!r} must be {wanted}; row {row} has {value!r}.")


def _labelled(pairs: list[tuple[int, Any]], classes: Sequence[str] | None) -> tuple[list[int], list[Any], list[str]]:
    """The rows of these classes, their labels without other classes, and the classes."""
    every = {name for _, label in pairs for name in (label if isinstance(label, (list, tuple)) else [label])}
    kinds = list(dict.fromkeys(classes)) if classes else sorted(every)
    wanted = set(kinds)
    rows, labels = [], []
    for row, label in pairs:
        several = isinstance(label, (list, tuple))
        kept: Any = [name for name in label if name in wanted] if several else label
        if kept if several else label in wanted:
            rows.append(row)
            labels.append(kept)
    return rows, labels, kinds
