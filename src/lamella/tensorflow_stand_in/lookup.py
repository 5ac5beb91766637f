"""`tf.lookup`: tables of texts or whole numbers, and what they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lamella.engine.dtypes import torch_dtype
from lamella.engine.strings import Strings, one_string
from lamella.errors import ArgumentError, DataError
from lamella.layers.hashing import hash_bins
from lamella.tensorflow_stand_in.ragged_tensor import RaggedTensor
from lamella.tensorflow_stand_in.sparse_tensor import SparseTensor
from lamella.tensorflow_stand_in.tensors import constant
from lamella.utils.record_files import as_path

__all__ = [
    "KeyValueTensorInitializer",
    "StaticHashTable",
    "StaticVocabularyTable",
    "TextFileIndex",
    "TextFileInitializer",
    "experimental",
]


class TextFileIndex:
    """What a key or a value is of a line of a file: the line, its number, or (0, 1, ...) one of its fields."""

    WHOLE_LINE = -2
    LINE_NUMBER = -1


class KeyValueTensorInitializer:
    """Keys and what they stand for, given as two lists or arrays.

    Args:
        keys: Texts or whole numbers.
        values: As many texts or numbers.
        key_dtype: The type of the keys; by default that which they have.
        value_dtype: The type of the values; by default that which they have.
        name: TensorFlow's argument: it changes nothing here.

    Raises:
        ArgumentError: Other numbers of keys and values.
    """

    def __init__(
        self, keys: Any, values: Any, key_dtype: Any = None, value_dtype: Any = None, name: str | None = None
    ) -> None:
        self.keys, self.values = constant(keys, key_dtype), constant(values, value_dtype)
        self.key_dtype, self.value_dtype = _type(self.keys), _type(self.values)
        if len(self.keys) != len(self.values):
            raise ArgumentError(f"A table of {len(self.keys)} keys has {len(self.values)} values.")


class TextFileInitializer(KeyValueTensorInitializer):
    """Keys and what they stand for, read from the lines of a file.

    Args:
        filename: The file, in UTF-8.
        key_dtype: The type of the keys: `tf.string` or a whole number.
        key_index: What the key is: see `TextFileIndex`.
        value_dtype: The type of the values.
        value_index: What the value is.
        vocab_size: How many lines are read; all by default.
        delimiter: What stands between fields.
        name: TensorFlow's argument: it changes nothing here.
        value_index_offset: What is added to line numbers.

    Raises:
        DataError: A line without the field, or a field that is no number.
    """

    def __init__(
        self,
        filename: Any,
        key_dtype: Any,
        key_index: int,
        value_dtype: Any,
        value_index: int,
        vocab_size: int | None = None,
        delimiter: str = "\t",
        name: str | None = None,
        value_index_offset: int = 0,
    ) -> None:
        lines = as_path(filename).read_text(encoding="utf-8").splitlines()[:vocab_size]

        def column(index: int, dtype: Any, offset: int) -> Any:
            if index == TextFileIndex.LINE_NUMBER:
                return torch.arange(len(lines), dtype=torch_dtype(dtype)) + offset
            try:
                texts = lines if index == TextFileIndex.WHOLE_LINE else [each.split(delimiter)[index] for each in lines]
                if dtype == "string":
                    return Strings.of(texts)
                return torch.tensor(list(map(int, texts)), dtype=torch_dtype(dtype))
            except (IndexError, ValueError) as error:
                raise DataError(
                    f"{as_path(filename)}: a line has no field {index} of type {dtype}: {error}."
                ) from error

        super().__init__(column(key_index, key_dtype, 0), column(value_index, value_dtype, value_index_offset))


class _Table:
    """Looks up what keys stand for."""

    key_dtype: Any
    value_dtype: Any

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def size(self, name: str | None = None) -> torch.Tensor:
        """How many keys are known."""
        return torch.tensor(len(self._known))

    def _missing(self, key: Any) -> Any:
        raise NotImplementedError

    def lookup(self, keys: Any, name: str | None = None) -> Any:
        """What each key stands for, in the shape of the keys; of ragged and sparse tensors in theirs.

        Raises:
            ArgumentError: Keys of another type.
        """
        if isinstance(keys, RaggedTensor):
            return keys.mapped(self.lookup)
        if isinstance(keys, SparseTensor):
            return keys.with_values(self.lookup(keys.values))
        keys = constant(keys)
        if (_type(keys) == "string") != (self.key_dtype == "string"):
            raise ArgumentError(f"The table has keys of {self.key_dtype}; got keys of {_type(keys)}.")
        shape = tuple(np.shape(keys))
        found = [self._known[key] if key in self._known else self._missing(key) for key in _plain(keys)]
        return _as_values(found, self.value_dtype, shape)

    __getitem__ = lookup


class StaticHashTable(_Table):
    """A table that stays as it is.

    Args:
        initializer: The keys and values.
        default_value: What a key that is not known stands for.
        name: TensorFlow's argument: it changes nothing here.
        experimental_is_anonymous: TensorFlow's argument: it changes nothing here.

    Raises:
        DataError: A key twice, with other values.

    Example:
        >>> table = StaticHashTable(KeyValueTensorInitializer(["cat", "dog"], [0, 1]), default_value=-1)
        >>> table.lookup(["dog", "cow"])
        tensor([ 1, -1], dtype=torch.int32)
    """

    def __init__(
        self, initializer: Any, default_value: Any, name: str | None = None, experimental_is_anonymous: bool = False
    ) -> None:
        super().__init__()
        self.key_dtype, self.value_dtype = initializer.key_dtype, initializer.value_dtype
        self.default_value = constant(default_value)
        self._default = _plain(self.default_value)[0]
        _fill(self._known, initializer)

    def _missing(self, key: Any) -> Any:
        return self._default


class StaticVocabularyTable(_Table):
    """Numbers of known keys, and of `num_oov_buckets` further numbers one for each that is not known: by its hash.

    Args:
        initializer: The keys and their numbers, from 0 on; None for none.
        num_oov_buckets: How many numbers there are for other keys.
        lookup_key_dtype: The type of the keys, where there is no initializer.
        name: TensorFlow's argument: it changes nothing here.
        experimental_is_anonymous: TensorFlow's argument: it changes nothing here.

    Raises:
        ArgumentError: No further number.
    """

    value_dtype = torch.int64

    def __init__(
        self,
        initializer: Any,
        num_oov_buckets: int,
        lookup_key_dtype: Any = None,
        name: str | None = None,
        experimental_is_anonymous: bool = False,
    ) -> None:
        super().__init__()
        if num_oov_buckets < 1:
            raise ArgumentError(f"StaticVocabularyTable: `num_oov_buckets` must be 1 or more; got {num_oov_buckets}.")
        self.key_dtype = lookup_key_dtype if initializer is None else initializer.key_dtype
        self._buckets = num_oov_buckets
        if initializer is not None:
            _fill(self._known, initializer)

    def size(self, name: str | None = None) -> torch.Tensor:
        """How many numbers there are."""
        return torch.tensor(len(self._known) + self._buckets)

    def _missing(self, key: Any) -> int:
        text = key if isinstance(key, bytes) else str(key).encode()
        return len(self._known) + int(hash_bins([text], self._buckets, None)[0])


class MutableHashTable(_Table):
    """A table that can be changed.

    Args:
        key_dtype: The type of the keys.
        value_dtype: The type of the values.
        default_value: What a key that is not known stands for.
        name: TensorFlow's argument: it changes nothing here.
        **kwargs: TensorFlow's further arguments: they change nothing here.
    """

    def __init__(
        self, key_dtype: Any, value_dtype: Any, default_value: Any, name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__()
        self.key_dtype, self.value_dtype = key_dtype, value_dtype
        self._default = _row(constant(default_value))

    def insert(self, keys: Any, values: Any, name: str | None = None) -> None:
        """Sets what keys stand for."""
        keys, values = constant(keys), constant(values)
        several = values if np.ndim(keys) else [values]
        self._known.update(zip(_plain(keys), map(_row, several), strict=True))

    def remove(self, keys: Any, name: str | None = None) -> None:
        """Takes keys out, those that are known."""
        for key in _plain(constant(keys)):
            self._known.pop(key, None)

    def export(self, name: str | None = None) -> tuple[Any, Any]:
        """All keys, and all values."""
        count = (len(self._known),)
        return _as_values(list(self._known), self.key_dtype, count), _as_values(
            list(self._known.values()), self.value_dtype, count
        )

    def _missing(self, key: Any) -> Any:
        return self._default


class experimental:
    """`tf.lookup.experimental`."""

    MutableHashTable = DenseHashTable = MutableHashTable


def _fill(known: dict[Any, Any], initializer: Any) -> None:
    for key, value in zip(_plain(initializer.keys), _plain(initializer.values), strict=True):
        if known.setdefault(key, value) != value:
            raise DataError(f"The key {key!r} is in the table twice, as {known[key]!r} and as {value!r}.")


def _type(values: Any) -> Any:
    return values.dtype if isinstance(values, torch.Tensor) else "string"


def _plain(values: Any) -> list[Any]:
    """The values one by one: numbers, or bytes."""
    if isinstance(values, torch.Tensor):
        return values.reshape(-1).tolist()  # type: ignore[no-any-return]
    texts = np.asarray(values, object).reshape(-1).tolist()
    return [each.encode("utf-8") if isinstance(each, str) else bytes(each) for each in texts]


def _row(value: Any) -> Any:
    """One value: a number or bytes, or a tensor where a value has several."""
    return value if getattr(value, "ndim", 0) else _plain(value)[0]


def _as_values(found: list[Any], dtype: Any, shape: tuple[int, ...]) -> Any:
    if dtype == "string":
        texts = np.empty(len(found), object)
        texts[:] = found
        return one_string(texts.reshape(shape).view(Strings)[()])
    if found and isinstance(found[0], torch.Tensor):
        return torch.stack(found).reshape(*shape, *found[0].shape).to(torch_dtype(dtype))
    return torch.tensor(found, dtype=torch_dtype(dtype)).reshape(shape)
