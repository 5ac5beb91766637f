"""Functions without a name as text, in the form that Keras gives them. Loading one is running a program."""

from __future__ import annotations

import base64
import builtins
import marshal
import sys
from types import CellType, FunctionType
from typing import Any

import numpy
import torch

from lamella.engine import config_values


def dump(function: Any) -> list[Any]:
    """The byte code (base64), the defaults and the closure of a function."""
    cells = None if function.__closure__ is None else [_written(cell.cell_contents) for cell in function.__closure__]
    defaults = None if function.__defaults__ is None else [_written(value) for value in function.__defaults__]
    return [base64.encodebytes(marshal.dumps(function.__code__)).decode("ascii"), defaults, cells]


def load(value: Any) -> FunctionType:
    """The function that `dump` (here or in Keras) wrote; it sees `torch`, `np`, `keras` and `lamella` as globals.

    Never call this on what comes from a stranger: byte code does what it likes.
    """
    text, defaults, cells = (value, None, None) if isinstance(value, str) else value
    code = marshal.loads(base64.decodebytes(text.encode("ascii")))
    lamella = sys.modules["lamella"]
    names = {"torch": torch, "np": numpy, "numpy": numpy, "keras": lamella, "lamella": lamella}
    closure = None if cells is None else tuple(CellType(_read(cell)) for cell in cells)
    given = None if defaults is None else tuple(map(_read, defaults))
    return FunctionType(code, {"__builtins__": builtins, **names}, code.co_name, given, closure)


def _written(value: Any) -> Any:
    """An array or tensor that the function holds, as its config; anything else as it is."""
    config = config_values.to_config(value)
    return value if config is None else config


def _read(value: Any) -> Any:
    return config_values.from_config(value) if isinstance(value, dict) and config_values.is_value(value) else value
