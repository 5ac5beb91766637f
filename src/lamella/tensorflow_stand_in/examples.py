"""`tf.io.parse_example` and what says how: `Example` messages as dicts of tensors."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch

from lamella.engine.strings import Strings, one_string
from lamella.errors import ArgumentError, DataError
from lamella.tensorflow_stand_in.ragged_tensor import RaggedTensor
from lamella.tensorflow_stand_in.sparse_tensor import SparseTensor
from lamella.tensorflow_stand_in.tensors import constant, sizes
from lamella.utils.example_messages import parsed, values_of

__all__ = [
    "FixedLenFeature",
    "FixedLenSequenceFeature",
    "RaggedFeature",
    "VarLenFeature",
    "parse_example",
    "parse_sequence_example",
    "parse_single_example",
    "parse_single_sequence_example",
]

_TYPES = (torch.float32, torch.int64, "string")


class FixedLenFeature(NamedTuple):
    """A feature of always the same shape: a tensor; without a default it must be there."""

    shape: Any
    dtype: Any
    default_value: Any = None


class FixedLenSequenceFeature(NamedTuple):
    """Any number of values of a shape: a tensor, which in a batch is filled up with `default_value` (0)."""

    shape: Any
    dtype: Any
    allow_missing: bool = False
    default_value: Any = None


class VarLenFeature(NamedTuple):
    """Any number of values: a sparse tensor."""

    dtype: Any


class RaggedFeature(NamedTuple):
    """Any number of values: a tensor, in a batch a ragged one. It has no `partitions` here."""

    dtype: Any
    value_key: str | None = None
    partitions: Any = ()
    row_splits_dtype: Any = torch.int32


def parse_single_example(
    serialized: Any, features: dict[str, Any], example_names: Any = None, name: str | None = None
) -> dict[str, Any]:
    """The features of one `Example` that is encoded in bytes.

    Args:
        serialized: The bytes.
        features: For each name a `FixedLenFeature`, `VarLenFeature`, ...
        example_names: TensorFlow's argument: it changes nothing here.
        name: TensorFlow's argument: it changes nothing here.

    Raises:
        DataError: The bytes are no `Example`, or a feature is missing, of another type or of another number of values.
        ArgumentError: A type other than float32, int64 and string.
        ImportError: protobuf is missing.
    """
    found = parsed("Example", _content(serialized)).features.feature
    return {key: _single(key, _values(found, key, each), each) for key, each in _checked(features).items()}


def parse_example(
    serialized: Any, features: dict[str, Any], example_names: Any = None, name: str | None = None
) -> dict[str, Any]:
    """The features of several `Example`s (n,) as batches; of one as `parse_single_example` gives them.

    Args:
        serialized: The bytes of each.
        features: For each name a `FixedLenFeature`, `VarLenFeature`, ...
        example_names: TensorFlow's argument: it changes nothing here.
        name: TensorFlow's argument: it changes nothing here.

    Raises:
        DataError: As of `parse_single_example`.
        ArgumentError: As of `parse_single_example`.
        ImportError: protobuf is missing.
    """
    if isinstance(serialized, (str, bytes)) or np.ndim(serialized) == 0:
        return parse_single_example(serialized, features)
    found = [parsed("Example", _content(each)).features.feature for each in serialized]
    return {
        key: _batch([_single(key, _values(each, key, spec), spec) for each in found], spec)
        for key, spec in _checked(features).items()
    }


def parse_single_sequence_example(
    serialized: Any,
    context_features: dict[str, Any] | None = None,
    sequence_features: dict[str, Any] | None = None,
    example_name: str | None = None,
    name: str | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The features of one `SequenceExample`: those of the whole, and those with one for each step.

    Args:
        serialized: The bytes.
        context_features: As for `parse_single_example`.
        sequence_features: A `FixedLenSequenceFeature` (steps, ...), `VarLenFeature` (a sparse tensor) or
            `RaggedFeature` for each name.
        example_name: TensorFlow's argument: it changes nothing here.
        name: TensorFlow's argument: it changes nothing here.

    Raises:
        DataError: The bytes are no `SequenceExample`, or a feature is not as it was said.
        ArgumentError: As of `parse_single_example`.
        ImportError: protobuf is missing.
    """
    found = parsed("SequenceExample", _content(serialized))
    whole, lists = found.context.feature, found.feature_lists.feature_list
    context = {
        key: _single(key, _values(whole, key, each), each) for key, each in _checked(context_features or {}).items()
    }
    return context, {key: _steps(lists, key, each) for key, each in _checked(sequence_features or {}).items()}


def parse_sequence_example(
    serialized: Any,
    context_features: dict[str, Any] | None = None,
    sequence_features: dict[str, Any] | None = None,
    example_names: Any = None,
    name: str | None = None,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The features of several `SequenceExample`s as batches, filled up to the longest, and the numbers of steps.

    Args:
        serialized: The bytes of each (n,).
        context_features: As for `parse_single_sequence_example`.
        sequence_features: As for `parse_single_sequence_example`.
        example_names: TensorFlow's argument: it changes nothing here.
        name: TensorFlow's argument: it changes nothing here.

    Raises:
        DataError: As of `parse_single_sequence_example`.
        ArgumentError: As of `parse_single_example`.
        ImportError: protobuf is missing.
    """
    each = [parse_single_sequence_example(one, context_features, sequence_features) for one in serialized]
    specs = sequence_features or {}
    context = {key: _batch([one[0][key] for one in each], spec) for key, spec in (context_features or {}).items()}
    steps = {key: _batch([one[1][key] for one in each], spec) for key, spec in specs.items()}
    lengths = {
        key: torch.tensor([len(one[1][key]) for one in each])
        for key, spec in specs.items()
        if isinstance(spec, FixedLenSequenceFeature)
    }
    return context, steps, lengths


def _content(serialized: Any) -> bytes:
    if isinstance(serialized, np.ndarray) and serialized.ndim == 0:
        serialized = serialized.item()
    if not isinstance(serialized, bytes):
        raise DataError(f"An example that is encoded is of bytes; got {type(serialized).__name__}.")
    return serialized


def _checked(features: dict[str, Any]) -> dict[str, Any]:
    for key, each in features.items():
        if not hasattr(each, "dtype"):
            raise ArgumentError(f"Feature {key!r} needs tf.io.FixedLenFeature or the like; got {each!r}.")
        if each.dtype not in _TYPES:
            raise ArgumentError(
                f"Feature {key!r}: an Example holds float32, int64 and string; got {each.dtype}. Cast it afterwards."
            )
        if getattr(each, "partitions", ()):
            raise ArgumentError(f"Feature {key!r}: RaggedFeature takes no `partitions` here.")
    return features


def _values(features: Any, key: str, spec: Any) -> Any:
    key = getattr(spec, "value_key", None) or key
    return _of_type(key, values_of(features[key]) if key in features else None, spec.dtype)


def _of_type(key: str, values: Any, dtype: Any) -> Any:
    """The values as a tensor or an array of texts (n,), None if there are none."""
    if values is None:
        return None
    kind = "string" if isinstance(values, list) else torch.float32 if values.dtype == np.float32 else torch.int64
    if kind != dtype:
        raise DataError(f"Feature {key!r} holds values of {kind}, not of {dtype}.")
    return _texts(values) if dtype == "string" else torch.from_numpy(values)


def _texts(values: list[bytes]) -> Strings:
    found = np.empty(len(values), object)
    found[:] = values
    return found.view(Strings)


def _none(dtype: Any) -> Any:
    return _texts([]) if dtype == "string" else torch.empty(0, dtype=dtype)


def _single(key: str, values: Any, spec: Any) -> Any:
    if isinstance(spec, FixedLenFeature):
        return _fixed(key, values, spec)
    values = _none(spec.dtype) if values is None else values
    if isinstance(spec, FixedLenSequenceFeature):
        if not spec.allow_missing:
            raise ArgumentError(f"Feature {key!r}: a FixedLenSequenceFeature of an Example needs allow_missing=True.")
        return _rows(key, values, spec)
    if isinstance(spec, VarLenFeature):
        return SparseTensor(torch.arange(len(values))[:, None], values, [len(values)])
    return values


def _rows(key: str, values: Any, spec: Any) -> Any:
    shape = sizes(spec.shape)
    if len(values) % max(math.prod(shape), 1):
        raise DataError(f"Feature {key!r} holds {len(values)} values, which are not rows of shape {shape}.")
    return values.reshape(-1, *shape)


def _fixed(key: str, values: Any, spec: FixedLenFeature) -> Any:
    shape = tuple(spec.shape) if isinstance(spec.shape, (list, tuple)) else sizes(spec.shape)
    if values is None or not len(values):
        if spec.default_value is None:
            raise DataError(f"Feature {key!r} is not in the example, and has no `default_value`.")
        given = constant(spec.default_value)
        if spec.dtype == "string":
            return one_string(np.broadcast_to(np.asarray(given, object), shape).view(Strings)[()])
        return given.to(spec.dtype).broadcast_to(shape).clone()
    if len(values) != math.prod(shape):
        raise DataError(
            f"Feature {key!r} holds {len(values)} values, but shape {list(shape)} has {math.prod(shape)}. "
            f"For any number of values use tf.io.VarLenFeature or FixedLenSequenceFeature."
        )
    found = values.reshape(shape)
    return found[()] if isinstance(found, Strings) else found


def _steps(lists: Any, key: str, spec: Any) -> Any:
    if key not in lists and not getattr(spec, "allow_missing", True):
        raise DataError(f"The list of features {key!r} is not in the example; allow_missing=True takes none for it.")
    given = lists[key].feature if key in lists else []
    steps = [_of_type(key, values_of(each), spec.dtype) for each in given]
    steps = [_none(spec.dtype) if each is None else each for each in steps]
    if isinstance(spec, VarLenFeature):
        rows = [SparseTensor(torch.arange(len(each))[:, None], each, [len(each)]) for each in steps]
        return SparseTensor.joined(rows) if rows else SparseTensor([], _none(spec.dtype), [0, 0])
    if isinstance(spec, RaggedFeature):
        return _batch(steps, spec)
    as_fixed = FixedLenFeature(spec.shape, spec.dtype)
    if not steps:
        return _none(spec.dtype).reshape(0, *sizes(spec.shape))
    return _stacked([_fixed(key, each, as_fixed) for each in steps])


def _batch(parts: list[Any], spec: Any) -> Any:
    if isinstance(spec, VarLenFeature):
        return SparseTensor.joined(parts)
    if isinstance(spec, FixedLenSequenceFeature):
        longest = max(map(len, parts))
        return _stacked([_filled(each, longest, spec.default_value) for each in parts])
    if isinstance(spec, RaggedFeature):
        return RaggedTensor.joined(parts)
    return _stacked(parts)


def _stacked(parts: list[Any]) -> Any:
    if isinstance(parts[0], torch.Tensor):
        return torch.stack(parts)
    if isinstance(parts[0], np.ndarray):
        return np.stack(parts).view(Strings)
    return _texts(parts)


def _filled(values: Any, length: int, fill: Any) -> Any:
    missing = length - len(values)
    if isinstance(values, torch.Tensor):
        return torch.cat([values, values.new_full((missing, *values.shape[1:]), fill or 0)])
    rest = np.full((missing, *values.shape[1:]), b"" if fill is None else fill, object)
    return np.concatenate([values, rest]).view(Strings)
