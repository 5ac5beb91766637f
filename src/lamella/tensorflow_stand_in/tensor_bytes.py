"""Tensors as bytes: `tf.io.serialize_tensor`, `parse_tensor`, `decode_raw`, and bytes as text in base64."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import torch

from lamella.engine.dtypes import torch_dtype
from lamella.engine.strings import Bytes, Strings, holds_strings, one_string
from lamella.errors import DataError, DTypeError
from lamella.tensorflow_stand_in.tensors import constant
from lamella.utils.example_messages import messages, parsed

__all__ = ["decode_base64", "decode_raw", "encode_base64", "parse_tensor", "serialize_tensor"]

_STRING = 7
_KINDS = {
    1: torch.float32,
    2: torch.float64,
    3: torch.int32,
    4: torch.uint8,
    5: torch.int16,
    6: torch.int8,
    8: torch.complex64,
    9: torch.int64,
    10: torch.bool,
    14: torch.bfloat16,
    17: torch.uint16,
    18: torch.complex128,
    19: torch.float16,
    22: torch.uint32,
    23: torch.uint64,
}
_NUMBERS = {kind: number for number, kind in _KINDS.items()}
_PLAIN = {1: "float_val", 2: "double_val", 3: "int_val", 4: "int_val", 5: "int_val", 6: "int_val", 9: "int64_val"}
_PLAIN |= {10: "bool_val", 17: "int_val"}


def serialize_tensor(tensor: Any, name: str | None = None) -> Bytes:
    """The bytes of a `TensorProto`: type, sizes and numbers (or texts), as TensorFlow reads them.

    Raises:
        ImportError: protobuf is missing.
    """
    tensor = constant(tensor)
    known = messages()
    shape = known.TensorShapeProto(dim=[known.TensorShapeProto.Dim(size=size) for size in np.shape(tensor)])
    if holds_strings(tensor):
        texts = [each.encode("utf-8") if isinstance(each, str) else bytes(each) for each in np.ravel(tensor).tolist()]
        return Bytes(known.TensorProto(dtype=_STRING, tensor_shape=shape, string_val=texts).SerializeToString())
    content = tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
    number = _NUMBERS[tensor.dtype]
    return Bytes(known.TensorProto(dtype=number, tensor_shape=shape, tensor_content=content).SerializeToString())


def parse_tensor(serialized: Any, out_type: Any, name: str | None = None) -> Any:
    """The tensor that `serialize_tensor` made bytes of.

    Raises:
        DataError: The bytes are no such, or of a tensor of another type than `out_type`.
        ImportError: protobuf is missing.
    """
    found = parsed("TensorProto", _bytes(serialized))
    shape = [each.size for each in found.tensor_shape.dim]
    kind = "string" if found.dtype == _STRING else _KINDS.get(found.dtype)
    wanted = "string" if out_type in ("string", str) else torch_dtype(out_type)
    if kind != wanted:
        raise DataError(f"parse_tensor: the bytes are of a tensor of {kind}, not of {wanted}, as `out_type` says.")
    if found.dtype == _STRING:
        texts = np.empty(len(found.string_val), object)
        texts[:] = list(found.string_val)
        return one_string(_filled(texts, shape).reshape(shape).view(Strings)[()])
    if not math.prod(shape):
        return torch.empty(shape, dtype=kind)  # type: ignore[arg-type]
    if found.tensor_content:
        return decode_raw(found.tensor_content, kind).reshape(shape)
    if found.dtype not in _PLAIN:
        raise DataError(f"parse_tensor: a tensor of {kind} whose numbers are not in one piece cannot be read.")
    values = np.array(getattr(found, _PLAIN[found.dtype]))
    return torch.as_tensor(_filled(values, shape).copy()).to(kind).reshape(shape)  # type: ignore[arg-type]


def _filled(values: np.ndarray, shape: list[int]) -> np.ndarray:
    """The values, of which the last one stands for all that are left out, as `TensorProto` has it."""
    missing = math.prod(shape) - len(values)
    return np.concatenate([values, np.repeat(values[-1:], missing)]) if missing > 0 and len(values) else values


def decode_raw(
    input_bytes: Any,
    out_type: Any,
    little_endian: bool = True,
    fixed_length: int | None = None,
    name: str | None = None,
) -> torch.Tensor:
    """The numbers (n,) that bytes are; of an array of bytes (..., n).

    Args:
        input_bytes: The bytes.
        out_type: The type of the numbers.
        little_endian: Whether the lowest byte of a number comes first.
        fixed_length: So many bytes are read of each: longer ones are cut, shorter ones filled with 0.
        name: TensorFlow's argument: it changes nothing here.

    Raises:
        DataError: The bytes are not a whole number of numbers.
    """
    kind = torch_dtype(out_type)
    if isinstance(input_bytes, (np.ndarray, list, tuple)):
        texts = np.asarray(input_bytes, object)
        rows = [decode_raw(each, kind, little_endian, fixed_length) for each in texts.ravel().tolist()]
        return torch.stack(rows).reshape(*texts.shape, -1)
    content, size = _bytes(input_bytes), kind.itemsize
    if fixed_length is not None:
        content = content[:fixed_length].ljust(fixed_length, b"\0")
    if len(content) % size:
        raise DataError(f"decode_raw: {len(content)} bytes are not a whole number of {kind}, of {size} bytes each.")
    if not content:
        return torch.empty(0, dtype=kind)
    raw = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    if not little_endian:
        raw = raw.reshape(-1, size).flip(1).reshape(-1)
    return raw.view(kind)


def _bytes(value: Any) -> bytes:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, str):
        return value.encode("utf-8")
    if not isinstance(value, bytes):
        raise DTypeError(f"Bytes are needed; got {type(value).__name__}.")
    return value


def encode_base64(input: Any, pad: bool = False, name: str | None = None) -> Bytes:
    """Bytes in base64 for addresses, without `=` at the end unless `pad`."""
    found = base64.urlsafe_b64encode(_bytes(input))
    return Bytes(found if pad else found.rstrip(b"="))


def decode_base64(input: Any, name: str | None = None) -> Bytes:
    """The bytes of `encode_base64`."""
    content = _bytes(input)
    return Bytes(base64.urlsafe_b64decode(content + b"=" * (-len(content) % 4)))
