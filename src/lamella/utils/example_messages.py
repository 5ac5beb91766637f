"""The messages that TFRecord files mostly hold, `Example` and `SequenceExample`, and `TensorProto`, by protobuf.

Their fields are told to protobuf here, in a pool of their own, so that TensorFlow's beside them do not collide.
"""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import numpy as np

from lamella.engine.strings import holds_strings
from lamella.errors import DataError

MESSAGES = (
    "BytesList",
    "Example",
    "Feature",
    "FeatureList",
    "FeatureLists",
    "Features",
    "FloatList",
    "Int64List",
    "SequenceExample",
)
_NUMPY_TYPES = {"float_list": np.float32, "int64_list": np.int64}

# name -> fields: name, number, type (a message where it begins with a capital), and whether there are many
_FIELDS: dict[str, list[tuple[str, int, str, bool]]] = {
    "BytesList": [("value", 1, "bytes", True)],
    "FloatList": [("value", 1, "float", True)],
    "Int64List": [("value", 1, "int64", True)],
    "Feature": [
        ("bytes_list", 1, "BytesList", False),
        ("float_list", 2, "FloatList", False),
        ("int64_list", 3, "Int64List", False),
    ],
    "Features": [("feature", 1, "Features.FeatureEntry", True)],
    "Features.FeatureEntry": [("key", 1, "string", False), ("value", 2, "Feature", False)],
    "FeatureList": [("feature", 1, "Feature", True)],
    "FeatureLists": [("feature_list", 1, "FeatureLists.FeatureListEntry", True)],
    "FeatureLists.FeatureListEntry": [("key", 1, "string", False), ("value", 2, "FeatureList", False)],
    "Example": [("features", 1, "Features", False)],
    "SequenceExample": [("context", 1, "Features", False), ("feature_lists", 2, "FeatureLists", False)],
    "TensorShapeProto": [("dim", 2, "TensorShapeProto.Dim", True)],
    "TensorShapeProto.Dim": [("size", 1, "int64", False), ("name", 2, "string", False)],
    "TensorProto": [
        ("dtype", 1, "int32", False),
        ("tensor_shape", 2, "TensorShapeProto", False),
        ("tensor_content", 4, "bytes", False),
        ("float_val", 5, "float", True),
        ("double_val", 6, "double", True),
        ("int_val", 7, "int32", True),
        ("string_val", 8, "bytes", True),
        ("int64_val", 10, "int64", True),
        ("bool_val", 11, "bool", True),
    ],
}


@functools.cache
def messages() -> SimpleNamespace:
    """The classes of the messages, each by its name.

    Raises:
        ImportError: protobuf is missing.

    Example:
        >>> known = messages()
        >>> age = known.Feature(int64_list=known.Int64List(value=[36]))
        >>> sent = known.Example(features=known.Features(feature={"age": age})).SerializeToString()
        >>> known.Example.FromString(sent).features.feature["age"].int64_list.value[0]
        36
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise ImportError("Examples in TFRecord files need protobuf: pip install 'lamella[data]'.") from error
    file = descriptor_pb2.FileDescriptorProto(name="lamella/records.proto", package="tensorflow", syntax="proto3")
    for name, fields in _FIELDS.items():
        outer, _, inner = name.partition(".")
        if inner:
            holder = next(each for each in file.message_type if each.name == outer)
            message = holder.nested_type.add(name=inner)
            message.options.map_entry = inner.endswith("Entry")
        else:
            message = file.message_type.add(name=name)
        for field in fields:
            _add(message, *field)
    feature = next(each for each in file.message_type if each.name == "Feature")
    feature.oneof_decl.add(name="kind")
    for each in feature.field:
        each.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return SimpleNamespace(
        **{
            name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.{name}"))
            for name in _FIELDS
            if "." not in name
        }
    )


def _add(message: Any, name: str, number: int, kind: str, many: bool) -> None:
    field = message.field.add(name=name, number=number)
    field.label = field.LABEL_REPEATED if many else field.LABEL_OPTIONAL
    if kind[0].isupper():
        field.type, field.type_name = field.TYPE_MESSAGE, f".tensorflow.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")


def parsed(name: str, content: bytes) -> Any:
    """The message that the bytes encode.

    Raises:
        DataError: They encode none.
    """
    from google.protobuf.message import DecodeError

    try:
        return getattr(messages(), name).FromString(bytes(content))
    except (DecodeError, RuntimeError) as error:
        raise DataError(f"These {len(content)} bytes are no {name}: {bytes(content[:40])!r}...") from error


def values_of(feature: Any) -> Any:
    """The values of a `Feature`: an array of float32 or int64, a list of bytes; None where it has none."""
    kind = feature.WhichOneof("kind")
    if kind is None:
        return None
    values = getattr(feature, kind).value
    return list(values) if kind == "bytes_list" else np.array(values, _NUMPY_TYPES[kind])


def feature_of(values: Any) -> Any:
    """A `Feature` of values: floats, whole numbers (or truth values), texts or bytes, one or an array of them.

    Example:
        >>> feature_of([1.5, 2.5]).float_list.value, feature_of("a").bytes_list.value
        ([1.5, 2.5], [b'a'])
    """
    known = messages()
    if isinstance(values, (str, bytes)):
        values = [values]
    of_texts = holds_strings(values)
    array = np.asarray(values, object if of_texts else None)
    if of_texts:
        texts = [each.encode("utf-8") if isinstance(each, str) else each for each in array.reshape(-1).tolist()]
        return known.Feature(bytes_list=known.BytesList(value=texts))
    if array.dtype.kind == "f":
        return known.Feature(float_list=known.FloatList(value=array.reshape(-1).tolist()))
    if array.dtype.kind in "iub":
        return known.Feature(int64_list=known.Int64List(value=array.reshape(-1).astype("int64").tolist()))
    raise DataError(f"A feature is of numbers, texts or bytes; got an array of {array.dtype}.")
