"""Data types by their names: `"float32"` <-> `torch.float32`, and the default float type."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import DTypeError, unknown_name

_TORCH_DTYPES: dict[str, torch.dtype] = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
    "uint8": torch.uint8,
    "uint16": torch.uint16,
    "uint32": torch.uint32,
    "uint64": torch.uint64,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "bool": torch.bool,
    "complex64": torch.complex64,
    "complex128": torch.complex128,
    "float8_e4m3fn": torch.float8_e4m3fn,
    "float8_e5m2": torch.float8_e5m2,
}
WIDER = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}
"""Types that torch holds and hardly computes with, and the next ones that it computes with, as Keras takes them."""
STRING = torch.bits16
"""The data type of symbolic strings, `"string"`: a type of torch's that no operation computes with."""
_ALIASES = {"half": "float16", "float": "float32", "double": "float64", "int": "int64", "long": "int64"}
_FLOATX = "float32"


def floatx() -> str:
    """The default float type, as a string.

    Example:
        >>> floatx()
        'float32'
    """
    return _FLOATX


def set_floatx(value: str) -> None:
    """Sets the default float type: `"float16"`, `"bfloat16"`, `"float32"` or `"float64"`.

    Raises:
        DTypeError: Any other value.
    """
    global _FLOATX
    if value not in ("float16", "bfloat16", "float32", "float64"):
        raise DTypeError(f"floatx must be float16, bfloat16, float32 or float64; got {value!r}.")
    _FLOATX = value


def dtype_name(dtype: Any) -> str:
    """The name of a data type given as a name, a torch or NumPy type, a config, or None (the default).

    Example:
        >>> dtype_name(torch.float64), dtype_name(None), dtype_name(float)
        ('float64', 'float32', 'float32')
    """
    if dtype is None:
        return _FLOATX
    if isinstance(dtype, torch.dtype):
        return "string" if dtype is STRING else str(dtype).removeprefix("torch.")
    if isinstance(dtype, dict):  # Keras writes {"class_name": "DTypePolicy", "config": {"name": "float32"}}
        dtype = dtype["config"]["name"]
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
    name = _ALIASES.get(name, name)
    if name not in _TORCH_DTYPES:
        raise unknown_name("dtype", name, _TORCH_DTYPES)
    return name


def torch_dtype(dtype: Any) -> torch.dtype:
    """The torch data type for anything that `dtype_name` takes.

    Example:
        >>> torch_dtype("int32")
        torch.int32
    """
    return dtype if isinstance(dtype, torch.dtype) else _TORCH_DTYPES[dtype_name(dtype)]
