"""Tensors as bytes: the message `TensorProto`, as TensorFlow writes and reads it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from lamella.engine.strings import Bytes, Strings, holds_strings, one_string
from lamella.errors import DataError
from lamella.utils.example_messages import messages, parsed

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


def tensor_as_bytes(tensor: Any) -> Bytes:
    """The bytes of a tensor, or of a text or an array of texts: type, sizes and values.

    Raises:
        ImportError: protobuf is missing.

    Example:
        >>> tensor_of_bytes(tensor_as_bytes(torch.tensor([[1, 2]])))
        tensor([[1, 2]])
    """
    known = messages()
    shape = known.TensorShapeProto(dim=[known.TensorShapeProto.Dim(size=size) for size in np.shape(tensor)])
    if holds_strings(tensor) or isinstance(tensor, np.ndarray):
        texts = np.ravel(np.asarray(tensor, object)).tolist()
        raw = [each.encode("utf-8") if isinstance(each, str) else bytes(each) for each in texts]
        return Bytes(known.TensorProto(dtype=_STRING, tensor_shape=shape, string_val=raw).SerializeToString())
    content = tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
    number = _NUMBERS[tensor.dtype]
    return Bytes(known.TensorProto(dtype=number, tensor_shape=shape, tensor_content=content).SerializeToString())


def tensor_of_bytes(content: bytes) -> Any:
    """The tensor, text or array of texts that `tensor_as_bytes`, or TensorFlow, made bytes of.

    Raises:
        DataError: The bytes are no such.
        ImportError: protobuf is missing.
    """
    found = parsed("TensorProto", content)
    shape = [each.size for each in found.tensor_shape.dim]
    if found.dtype == _STRING:
        texts = np.empty(len(found.string_val), object)
        texts[:] = list(found.string_val)
        return one_string(_filled(texts, shape).reshape(shape).view(Strings)[()])
    kind = _KINDS.get(found.dtype)
    if kind is None or not (found.tensor_content or found.dtype in _PLAIN or not math.prod(shape)):
        raise DataError(f"A tensor of TensorFlow's type {found.dtype} cannot be read.")
    if not math.prod(shape):
        return torch.empty(shape, dtype=kind)
    if found.tensor_content:
        raw = bytearray(found.tensor_content)
        if len(raw) != math.prod(shape) * kind.itemsize:
            raise DataError(f"A tensor of shape {shape} and type {kind} cannot have {len(raw)} bytes.")
        return torch.frombuffer(raw, dtype=torch.uint8).view(kind).reshape(shape)
    values = np.array(getattr(found, _PLAIN[found.dtype]))
    return torch.as_tensor(_filled(values, shape).copy()).to(kind).reshape(shape)


def _filled(values: np.ndarray, shape: list[int]) -> np.ndarray:
    """The values, of which the last one stands for all that are left out, as `TensorProto` has it."""
    missing = math.prod(shape) - len(values)
    if missing and not len(values):
        raise DataError(f"A tensor of shape {shape} has no values.")
    return np.concatenate([values, np.repeat(values[-1:], missing)]) if missing > 0 else values
