"""Batches of pictures, changed at random, that never end: the base, and those from arrays.

`fit` takes them as `PyDataset`s, epoch by epoch; `next` gives batch after batch.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Generator, Iterable
from typing import Any

import numpy as np
import torch

from lamella.backend import image_data_format
from lamella.data.py_dataset import PyDataset
from lamella.engine.dtypes import floatx
from lamella.errors import ArgumentError, DataError, DTypeError, ShapeError
from lamella.utils.image import save_img


class Iterator(PyDataset):
    """The base of iterators over pictures: which of them are in a batch, and in which order.

    The order is drawn from NumPy's global generator, anew for each epoch.

    Args:
        n: How many pictures there are.
        batch_size: Pictures in a batch.
        shuffle: Whether each epoch has a new order.
        seed: A seed for the order and the changes: it is set, a new number for each batch, before the batch is made.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size`, as for `PyDataset`.

    Attributes:
        n: How many pictures there are.
        batch_index: The number of the batch that `next` gives.
        total_batches_seen: How many batches were made.
        index_array: The order of this epoch.

    Subclasses write `_get_batches_of_transformed_samples(index_array)`.

    Raises:
        DataError: There are no pictures.
        ArgumentError: A `batch_size` that is not a whole number above 0.

    Example:
        >>> class Numbers(Iterator):
        ...     def _get_batches_of_transformed_samples(self, index_array):
        ...         return index_array * 10
        >>> numbers = Numbers(3, batch_size=2, shuffle=False, seed=None)
        >>> [next(numbers).tolist() for _ in range(3)], numbers[1].tolist()
        ([[0, 10], [20], [0, 10]], [20])
    """

    white_list_formats = ("png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff")

    def __init__(self, n: int, batch_size: int, shuffle: bool, seed: int | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if n < 1:
            raise DataError(f"{type(self).__name__}: there are no pictures (n={n}).")
        if isinstance(batch_size, bool) or not hasattr(batch_size, "__index__") or batch_size < 1:
            raise ArgumentError(f"`batch_size` must be a whole number, 1 or more; got {batch_size!r}.")
        self.n = n
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.batch_index = 0
        self.total_batches_seen = 0
        self.index_array: np.ndarray | None = None
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __getitem__(self, idx: int) -> Any:
        """Batch number `idx` of this epoch."""
        if not -len(self) <= idx < len(self):
            raise ArgumentError(f"There are {len(self)} batches, numbers 0 to {len(self) - 1}; got {idx}.")
        idx %= len(self)
        if torch.utils.data.get_worker_info() is None:
            self._seed(self.total_batches_seen)
            self.total_batches_seen += 1
        else:  # each worker sees some of the batches only
            self._seed(self.total_batches_seen + idx)
        order = self._order()
        return self._get_batches_of_transformed_samples(order[idx * self.batch_size : (idx + 1) * self.batch_size])

    def __iter__(self) -> Iterator:
        """Itself: it goes on where it is, and never ends."""
        return self

    def __next__(self) -> Any:
        with self.lock:
            index_array = self._next_indices()
        return self._get_batches_of_transformed_samples(index_array)

    @property
    def index_generator(self) -> Generator[np.ndarray]:
        """The numbers of the pictures in the batches to come."""
        while True:
            yield self._next_indices()

    def reset(self) -> None:
        """Lets `next` begin a new epoch."""
        self.batch_index = 0

    def on_epoch_begin(self) -> None:
        """Draws the order where several workers are to agree on it."""
        if self._has_workers():
            self._order()

    def on_epoch_end(self) -> None:
        """Draws the order of the next epoch."""
        if self._has_workers():  # they have counted copies of this
            self.total_batches_seen += len(self)
        self._draw_order()

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on from here."""
        order = self.index_array
        return {
            "batch_index": self.batch_index,
            "total_batches_seen": self.total_batches_seen,
            "index_array": None if order is None else torch.from_numpy(order.copy()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where the iterator was that gave this state, or the changes in it."""
        for name, value in state.items():
            setattr(self, name, value.numpy().copy() if isinstance(value, torch.Tensor) else value)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, lock=threading.Lock())

    def _has_workers(self) -> bool:
        return self.workers > 1 or (self.workers == 1 and self.use_multiprocessing)

    def _seed(self, number: int) -> None:
        if self.seed is not None:
            np.random.seed(self.seed + number)

    def _draw_order(self) -> np.ndarray:
        self.index_array = np.random.permutation(self.n) if self.shuffle else np.arange(self.n)
        return self.index_array

    def _order(self) -> np.ndarray:
        return self._draw_order() if self.index_array is None else self.index_array

    def _next_indices(self) -> np.ndarray:
        self._seed(self.total_batches_seen)
        order = self._draw_order() if self.batch_index == 0 else self._order()
        start = self.batch_index * self.batch_size % self.n
        end = start + self.batch_size
        self.batch_index = self.batch_index + 1 if end < self.n else 0
        self.total_batches_seen += 1
        return order[start:end]

    def _get_batches_of_transformed_samples(self, index_array: np.ndarray) -> Any:
        """The batch of the pictures with these numbers."""
        raise NotImplementedError(f"{type(self).__name__} has no _get_batches_of_transformed_samples(index_array).")


class PictureIterator(Iterator):
    """The base of iterators that change pictures by an `ImageDataGenerator`, and can write them to files.

    Args:
        n: How many pictures there are.
        batch_size: Pictures in a batch.
        shuffle: Whether each epoch has a new order.
        seed: A seed for the order and the changes.
        image_data_generator: The `ImageDataGenerator`; None to leave the pictures as they are.
        data_format: `"channels_last"` or `"channels_first"`; that of the configuration by default.
        dtype: The type of the batches; `floatx()` by default.
        save_to_dir: A folder to write the changed pictures to.
        save_prefix: What their names begin with.
        save_format: The format, as their ending.
    """

    name_numbers = 10**7

    def __init__(
        self,
        n: int,
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
        super().__init__(n, batch_size, shuffle, seed)
        self.image_data_generator = image_data_generator
        self.data_format = data_format or image_data_format()
        self.dtype = dtype or floatx()
        self.save_to_dir = save_to_dir
        self.save_prefix = save_prefix
        self.save_format = save_format

    def _changed(self, pictures: Iterable[np.ndarray], index_array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """A batch of the pictures, each changed at random and standardized; written to files if that is wanted."""
        whole = np.dtype(self.dtype).kind != "f"  # what is standardized has fractions
        batch = np.empty((len(index_array), *shape), floatx() if whole else self.dtype)
        if self.image_data_generator is None:
            for own, picture in zip(batch, pictures, strict=True):
                own[:] = picture
        else:
            self.image_data_generator.fill_batch(batch, pictures)
        batch = batch.astype(self.dtype, copy=False)
        if self.save_to_dir:
            self._save(batch, index_array)
        return batch

    def _save(self, batch: np.ndarray, index_array: np.ndarray) -> None:
        assert self.save_to_dir is not None
        os.makedirs(self.save_to_dir, exist_ok=True)
        for picture, number in zip(batch, index_array, strict=True):
            name = f"{self.save_prefix}_{number}_{np.random.randint(self.name_numbers)}.{self.save_format}"
            save_img(os.path.join(self.save_to_dir, name), picture, self.data_format, scale=True)


class NumpyArrayIterator(PictureIterator):
    """Batches of pictures from an array, as `ImageDataGenerator.flow` gives them.

    Args:
        x: Pictures (pictures, rows, columns, channels), or a pair of them and another array, or a list of other arrays,
            that goes into the batches as it is.
        y: Targets, or None.
        image_data_generator: The `ImageDataGenerator` that changes them.
        batch_size: Pictures in a batch.
        shuffle: Whether each epoch has a new order.
        sample_weight: A weight for each picture.
        seed: A seed for the order and the changes.
        data_format: `"channels_last"` or `"channels_first"`.
        save_to_dir: A folder to write the changed pictures to.
        save_prefix: What their names begin with.
        save_format: The format, as their ending.
        subset: `"validation"` (the first pictures, as many as the generator's `validation_split` says) or
            `"training"` (the others).
        ignore_class_split: Whether one of the two may lack a class.
        dtype: The type of the batches; `floatx()` by default.

    Raises:
        DataError: Arrays of other lengths, no pictures, or a subset that lacks a class.
        ShapeError: Not four axes.
        DTypeError: Pictures that are not numbers.
        ArgumentError: Another `subset`.

    Example:
        >>> batches = NumpyArrayIterator(np.ones((5, 4, 4, 3)), np.arange(5), None, batch_size=2)
        >>> x, y = next(batches)
        >>> x.shape, y.tolist()
        ((2, 4, 4, 3), [0, 1])
    """

    name_numbers = 10**4

    def __init__(
        self,
        x: Any,
        y: Any,
        image_data_generator: Any,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        ignore_class_split: bool = False,
        dtype: Any = None,
    ) -> None:
        others: list[Any] = []
        if isinstance(x, (tuple, list)):
            if len(x) != 2:
                raise ArgumentError(
                    f"`x` must be an array of pictures, or a pair (pictures, other arrays); got a {type(x).__name__} "
                    f"of {len(x)}. A list of pictures is made an array by numpy.stack."
                )
            x, others = x[0], (x[1] if isinstance(x[1], list) else [x[1]])
        self.x = as_pictures(x)
        self.x_misc = [as_array(each) for each in others]
        self.y = None if y is None else as_array(y)
        self.sample_weight = None if sample_weight is None else as_array(sample_weight)
        for name, values in [("y", self.y), ("sample_weight", self.sample_weight), *(("x[1]", m) for m in self.x_misc)]:
            if values is not None and len(values) != len(self.x):
                raise DataError(f"There are {len(self.x)} pictures in `x`, but {len(values)} rows in `{name}`.")
        if subset is not None:
            self._take(subset, image_data_generator, ignore_class_split)
        super().__init__(
            len(self.x),
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
        warn_of_channels(self.x.shape, self.data_format)

    def _take(self, subset: str, image_data_generator: Any, ignore_class_split: bool) -> None:
        """Keeps the rows of the subset only."""
        start, end = (int(part * len(self.x)) for part in parts_of(subset, image_data_generator))
        if start == end:
            raise no_such_subset(subset, image_data_generator, f"the {len(self.x)} pictures")
        if self.y is not None and not ignore_class_split:
            inside, outside = self.y[start:end], np.concatenate([self.y[:start], self.y[end:]])
            if len(outside) and not np.array_equal(np.unique(inside), np.unique(outside)):
                raise DataError(
                    "One of the two subsets lacks classes that the other one has: the first pictures are for "
                    "validation, so shuffle pictures that are sorted by class, or pass ignore_class_split=True if `y` "
                    "are no classes."
                )
        self.x = self.x[start:end]
        self.x_misc = [each[start:end] for each in self.x_misc]
        self.y = None if self.y is None else self.y[start:end]
        self.sample_weight = None if self.sample_weight is None else self.sample_weight[start:end]

    def _get_batches_of_transformed_samples(self, index_array: np.ndarray) -> Any:
        pictures = self._changed((self.x[i] for i in index_array), index_array, self.x.shape[1:])
        x = [pictures, *(each[index_array] for each in self.x_misc)] if self.x_misc else pictures
        if self.y is None:
            return x
        if self.sample_weight is None:
            return x, self.y[index_array]
        return x, self.y[index_array], self.sample_weight[index_array]


def as_array(values: Any) -> np.ndarray:
    """Lists and tensors as arrays."""
    return np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values)


def as_pictures(x: Any) -> np.ndarray:
    """Pictures as an array of numbers with four axes.

    Raises:
        DataError: They are of several sizes.
        DTypeError: They are not numbers.
        ShapeError: Another number of axes.
    """
    try:
        pictures = as_array(x)
    except ValueError as error:
        raise DataError(f"`x` cannot be made one array: all pictures must have the same size ({error}).") from error
    if pictures.dtype.kind not in "fiub":
        raise DTypeError(f"`x` must be pictures, as numbers; got values of type {pictures.dtype}.")
    if pictures.ndim != 4:
        raise ShapeError(
            f"`x` must have four axes (pictures, rows, columns, channels); got shape {pictures.shape}. x[..., None] "
            f"gives grey pictures an axis for channels, x[None] makes a single picture many."
        )
    return pictures


def warn_of_channels(shape: tuple[int, ...], data_format: str) -> None:
    """A warning where the channels seem to be on another axis."""
    axis = 3 if data_format == "channels_last" else 1
    if shape[axis] not in (1, 3, 4):
        warnings.warn(
            f"Pictures have 1, 3 or 4 channels, but with data_format={data_format!r} those of shape {shape} have "
            f"{shape[axis]} (axis {axis})."
        )


def parts_of(subset: str, image_data_generator: Any) -> tuple[float, float]:
    """Where a subset begins and ends, as parts of the whole.

    Raises:
        ArgumentError: There is no such subset.
    """
    split = getattr(image_data_generator, "_validation_split", 0.0) or 0.0
    parts = {"validation": (0.0, split), "training": (split, 1.0)}
    if subset not in parts:
        raise ArgumentError(f"`subset` must be 'training', 'validation' or None; got {subset!r}.")
    return parts[subset]


def no_such_subset(subset: str, image_data_generator: Any, whole: str) -> DataError:
    """The error for a subset without pictures."""
    split = getattr(image_data_generator, "_validation_split", 0.0) or 0.0
    mend = "use a larger one" if split else "pass ImageDataGenerator(validation_split=0.2), say"
    return DataError(f"subset={subset!r} has none of {whole}: the generator's `validation_split` is {split}; {mend}.")
