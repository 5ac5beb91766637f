"""Tensors as bytes: `tf.io.serialize_tensor`, `parse_tensor`, `decode_raw`, and bytes as text in base64."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import torch

from lamella.engine.dtypes import torch_dtype
from lamella.engine.strings import Bytes
from lamella.errors import DataError, DTypeError
from lamella.tensorflow_stand_in.tensors import constant
from lamella.utils.tensor_messages import tensor_as_bytes, tensor_of_bytes

__all__ = ["decode_base64", "decode_raw", "encode_base64", "parse_tensor", "serialize_tensor"]


def serialize_tensor(tensor: Any, name: str | None = None) -> Bytes:
    """The bytes of a `TensorProto`: type, sizes and numbers (or texts), as TensorFlow reads them.

    Raises:
        ImportError: protobuf is missing.
    """
    return tensor_as_bytes(constant(tensor))


def parse_tensor(serialized: Any, out_type: Any, name: str | None = None) -> Any:
    """The tensor that `serialize_tensor` made bytes of.

    Raises:
        DataError: The bytes are no such, or of a tensor of another type than `out_type`.
        ImportError: protobuf is missing.
    """
    found = tensor_of_bytes(_bytes(serialized))
    kind = found.dtype if isinstance(found, torch.Tensor) else "string"
    wanted = "string" if out_type in ("string", str) else torch_dtype(out_type)
    if kind != wanted:
        raise DataError(f"parse_tensor: the bytes are of a tensor of {kind}, not of {wanted}, as `out_type` says.")
    return found


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
