"""Files in folders as data: which there are, what their classes are, and batches of what is in them."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella.data.division import Drawn, Rows, Where
from lamella.engine import cluster
from lamella.errors import ArgumentError, DataError
from lamella.utils.stream import Stream, joined

_AHEAD = 2  # batches that are read while another one trains


class DirectoryDataset(Stream):
    """Batches of files, read by several threads ahead of the one that trains.

    Args:
        file_paths: The files.
        labels: Their class numbers, or None.
        label_mode: `"int"`, `"categorical"`, `"binary"` or None.
        class_names: The names of the classes, or None.
        load: From a path to a sample.
        batch_size: Samples in a batch; None for samples one by one.
        shuffle: Whether each epoch has a new order.
        seed: A seed for these orders.
        join: From samples to a batch.

    Attributes:
        class_names: The names of the classes.
        file_paths: The files, in the order of `labels`.
        labels: The class numbers.
    """

    def __init__(
        self,
        file_paths: Sequence[str],
        labels: Sequence[int] | None,
        label_mode: str | None,
        class_names: list[str] | None,
        load: Callable[[str], Any],
        batch_size: int | None,
        shuffle: bool,
        seed: int | None,
        join: Callable[[list[Any]], Any] = joined,
    ) -> None:
        super().__init__(self._items, math.ceil(len(file_paths) / (batch_size or 1)))
        self.paths = list(file_paths)
        self.labels = None if labels is None else list(map(int, labels))
        self.label_mode = label_mode
        self.load = load
        self.batch_size = batch_size
        self.reshuffles = shuffle
        self.seed = seed
        self.join = join
        self.epoch = 0
        self.class_names, self.file_paths = class_names, self.paths

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def order(self) -> list[int]:
        """The files' numbers in the order of the next epoch."""
        if not self.reshuffles:
            return list(range(len(self.paths)))
        source = None if self.seed is None else torch.Generator().manual_seed(self.seed + self.epoch)
        self.epoch += 1
        return torch.randperm(len(self.paths), generator=source).tolist()

    def own_rows(self, where: Where, drawn: Drawn) -> DirectoryRows:
        """The same batches for one of several processes: it reads only its own files of each."""
        return DirectoryRows(self, where, drawn)

    def _items(self) -> Iterator[Any]:
        size = self.batch_size or 1
        order = self.order()
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        for samples in self.read(batches):
            yield samples[0] if self.batch_size is None else self.joined(samples)

    def read(self, batches: Iterable[list[int]]) -> Iterator[list[Any]]:
        """The samples of batches of file numbers, read ahead by threads."""
        pool = ThreadPoolExecutor(min(8, max(2, os.cpu_count() or 2)))
        waiting: deque[list[Any]] = deque()
        coming = iter(batches)
        try:
            while True:
                while len(waiting) <= _AHEAD and (numbers := next(coming, None)) is not None:
                    waiting.append([pool.submit(self._sample, i) for i in numbers])
                if not waiting:
                    return
                yield [future.result() for future in waiting.popleft()]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _sample(self, i: int) -> Any:
        path = self.paths[i]
        try:
            content = self.load(path)
        except (DataError, ImportError):
            raise
        except Exception as error:
            raise DataError(
                f"The file {path} cannot be read: {error}. It is damaged or of another kind: mend it or take it out."
            ) from error
        return content if self.labels is None else (content, self._label(self.labels[i]))

    def _label(self, label: int) -> torch.Tensor:
        if self.label_mode == "binary":
            return torch.tensor([float(label)])
        if self.label_mode == "categorical":
            return torch.nn.functional.one_hot(torch.tensor(label), len(self.class_names or ())).float()
        return torch.tensor(label, dtype=torch.int32)

    def joined(self, samples: list[Any]) -> Any:
        """Samples, with labels if there are any, as a batch."""
        if self.labels is None:
            return self.join(samples)
        return self.join([x for x, _ in samples]), torch.stack([y for _, y in samples])


class DirectoryRows:
    """The batches of a `DirectoryDataset`, of which this process reads the rows `where` says.

    Args:
        whole: The dataset.
        where: From the length of a batch to the rows.
        drawn: Calls a function that draws the order of samples.
    """

    def __init__(self, whole: DirectoryDataset, where: Where, drawn: Drawn) -> None:
        self.whole, self.where, self.drawn = whole, where, drawn

    def set_epoch(self, epoch: int) -> None:
        """As the dataset's."""
        self.whole.set_epoch(epoch)

    def __iter__(self) -> Iterator[Rows]:
        whole, size = self.whole, self.whole.batch_size or 1
        order = self.drawn(whole.order)
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        own = whole.read(numbers[self.where(len(numbers))] for numbers in batches)
        for samples, numbers in zip(own, batches, strict=True):
            yield Rows(whole.joined(samples), len(numbers))


def check_arguments(
    labels: Any,
    label_mode: str | None,
    class_names: Any,
    validation_split: float | None,
    subset: str | None,
    shuffle: bool,
    seed: int | None,
) -> None:
    """Raises ArgumentError for arguments that no reader of folders takes."""
    if labels not in ("inferred", None) and not isinstance(labels, (list, tuple)):
        raise ArgumentError(
            f"`labels` must be 'inferred' (from the folders' names), None, or a list of class numbers, one for each "
            f"file; got {labels!r}."
        )
    if class_names and labels != "inferred":
        raise ArgumentError(f"`class_names` goes with labels='inferred' only; got labels={labels!r}.")
    if label_mode not in ("int", "categorical", "binary", None):
        raise ArgumentError(f"`label_mode` must be 'int', 'categorical', 'binary' or None; got {label_mode!r}.")
    if validation_split and not 0 < validation_split < 1:
        raise ArgumentError(f"`validation_split` must lie between 0 and 1; got {validation_split}.")
    if bool(validation_split) != bool(subset):
        raise ArgumentError("`validation_split` and `subset` go together: give both or neither.")
    if subset not in ("training", "validation", "both", None):
        raise ArgumentError(f"`subset` must be 'training', 'validation' or 'both'; got {subset!r}.")
    if validation_split and shuffle and seed is None:
        raise ArgumentError("`validation_split` with shuffle=True needs a `seed`: else the two parts would overlap.")


def index_directory(
    directory: str | os.PathLike[str],
    labels: Any,
    formats: tuple[str, ...],
    class_names: Sequence[str] | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> tuple[list[str], list[int] | None, list[str] | None]:
    """The files below a folder, their class numbers, and the names of the classes.

    Raises:
        DataError: There is no such folder.
        ArgumentError: Classes that are no folders, or another number of labels than files.
    """
    root = Path(directory)
    if not root.is_dir():
        raise DataError(f"There is no folder {str(root)!r}.")
    folders = [""]
    if labels == "inferred":
        folders = sorted(each.name for each in root.iterdir() if each.is_dir() and not each.name.startswith("."))
        if class_names is not None:
            if not set(class_names) <= set(folders):
                raise ArgumentError(
                    f"`class_names` must be folders in {str(root)!r}: {folders}; got {list(class_names)}."
                )
            folders = list(class_names)
    files: list[str] = []
    numbers: list[int] = []
    for number, folder in enumerate(folders):
        found = _files_below(root / folder, formats, follow_links)
        files += found
        numbers += [number] * len(found)
    names: list[str] | None = folders
    found_labels: list[int] | None = numbers
    if labels is None:
        names = found_labels = None
    elif labels != "inferred":
        if len(labels) != len(files):
            raise ArgumentError(f"There are {len(labels)} labels, but {len(files)} files in {str(root)!r}.")
        names, found_labels = [str(label) for label in sorted(set(labels))], list(labels)
    if verbose:
        classes = "" if names is None else f" belonging to {len(names)} classes"
        print(f"Found {len(files)} files{classes}.")
    if shuffle:  # as Keras does, so that a split by the same seed is the same split
        order = np.arange(len(files))
        np.random.RandomState(seed).shuffle(order)
        files = [files[i] for i in order]
        found_labels = None if found_labels is None else [found_labels[i] for i in order]
    return files, found_labels, names


def _files_below(folder: Path, formats: tuple[str, ...], follow_links: bool) -> list[str]:
    return [
        os.path.join(place, name)
        for place, _, names in sorted(os.walk(folder, followlinks=follow_links), key=lambda found: found[0])
        for name in sorted(names)
        if name.lower().endswith(formats)
    ]


def dataset_from_directory(
    kind: str,
    formats: tuple[str, ...],
    load: Callable[[str], Any],
    directory: str | os.PathLike[str],
    labels: Any,
    label_mode: str | None,
    class_names: Sequence[str] | None,
    batch_size: int | None,
    shuffle: bool,
    seed: int | None,
    validation_split: float | None,
    subset: str | None,
    follow_links: bool,
    verbose: bool,
    join: Callable[[list[Any]], Any] = joined,
) -> Any:
    """What the readers of folders share: one dataset, or with `subset="both"` the two parts.

    Raises:
        ArgumentError: Arguments that do not go together.
        DataError: No such folder, or no files in it.
    """
    check_arguments(labels, label_mode, class_names, validation_split, subset, shuffle, seed)
    if labels is None or label_mode is None:
        labels = label_mode = None
    given = seed
    if seed is None:
        seed = int(np.random.randint(1_000_000))
        if cluster.active is not None:  # file 7 is to be the same one in all processes
            seed = int(cluster.active.agreed(torch.tensor(seed)))
    files, numbers, names = index_directory(
        directory, labels, formats, class_names, shuffle, seed, follow_links, verbose
    )
    if label_mode == "binary" and len(names or ()) != 2:
        raise ArgumentError(f"label_mode='binary' needs exactly two classes; there are {names}.")
    held_back = int((validation_split or 0) * len(files))
    parts = {"training": slice(0, len(files) - held_back), "validation": slice(len(files) - held_back, None)}

    def dataset(which: str | None) -> DirectoryDataset:
        part = parts[which] if which else slice(None)
        own = files[part]
        if not own:
            place = f" for {which}" if which else ""
            raise DataError(f"No {kind} files found{place} in {str(directory)!r}; they end in {', '.join(formats)}.")
        if which and verbose:
            print(f"Using {len(own)} files for {which}.")
        # The part that is held back by subset="both" keeps its order, as in Keras.
        reshuffles = shuffle and not (subset == "both" and which == "validation")
        own_labels = None if numbers is None else numbers[part]
        return DirectoryDataset(own, own_labels, label_mode, names, load, batch_size, reshuffles, given, join)

    if subset == "both":
        return [dataset("training"), dataset("validation")]
    return dataset(subset)
