"""`tf.strings`: functions of texts: one, or lists and arrays of them. Bytes stay bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lamella.engine.strings import Bytes, Strings, one_string

__all__ = [
    "join",
    "length",
    "lower",
    "regex_full_match",
    "regex_replace",
    "split",
    "strip",
    "substr",
    "to_number",
    "unicode_split",
    "upper",
]


def _mapped(function: Callable[[str], Any], texts: Any, dtype: Any = object) -> Any:
    """The function of each text, in the nesting of the texts."""
    if isinstance(texts, bytes):
        found = function(texts.decode("utf-8"))
        return Bytes(found.encode("utf-8")) if isinstance(found, str) else found
    if isinstance(texts, str):
        return one_string(function(texts))
    flat = [_mapped(function, each) for each in np.asarray(texts, object).reshape(-1)]
    result = np.empty(len(flat), dtype)
    result[:] = flat
    return Strings.of(result.reshape(np.shape(np.asarray(texts, object))))


def lower(input: Any, encoding: str = "", name: str | None = None) -> Any:
    """The texts in small letters."""
    return _mapped(str.lower, input)


def upper(input: Any, encoding: str = "", name: str | None = None) -> Any:
    """The texts in capitals."""
    return _mapped(str.upper, input)


def strip(input: Any, name: str | None = None) -> Any:
    """The texts without white space at their ends."""
    return _mapped(str.strip, input)


def regex_replace(input: Any, pattern: str, rewrite: str, replace_global: bool = True, name: str | None = None) -> Any:
    """The texts with what fits the pattern replaced: everywhere, or only the first time."""
    return _mapped(lambda text: re.sub(pattern, rewrite, text, count=0 if replace_global else 1), input)


def regex_full_match(input: Any, pattern: str, name: str | None = None) -> Any:
    """Whether the whole text fits the pattern."""
    return _numbers(lambda text: re.fullmatch(pattern, text) is not None, input)


def length(input: Any, unit: str = "BYTE", name: str | None = None) -> Any:
    """The number of bytes, or of characters for `unit="UTF8_CHAR"`."""
    return _numbers(lambda text: len(text) if unit == "UTF8_CHAR" else len(text.encode("utf-8")), input, torch.int32)


def to_number(input: Any, out_type: Any = torch.float32, name: str | None = None) -> Any:
    """The numbers that the texts write."""
    return _numbers(float, input, out_type)


def _numbers(function: Callable[[str], Any], texts: Any, dtype: torch.dtype | None = None) -> torch.Tensor:
    found = _mapped(function, texts)
    return torch.as_tensor(found.tolist() if isinstance(found, np.ndarray) else found, dtype=dtype)


def substr(input: Any, pos: int, len: int, unit: str = "BYTE", name: str | None = None) -> Any:
    """So many characters from a place on."""
    return _mapped(lambda text: text[pos:][:len], input)


def split(input: Any, sep: str | None = None, maxsplit: int = -1, name: str | None = None) -> Any:
    """The parts of a text between separators (white space by default); of several texts a list of such lists."""
    if isinstance(input, bytes):
        return [part.encode("utf-8") for part in input.decode("utf-8").split(sep or None, maxsplit)]
    if isinstance(input, str):
        return input.split(sep or None, maxsplit)
    if isinstance(input, np.ndarray) and input.ndim == 0:
        return split(input.item(), sep, maxsplit)
    return [split(each, sep, maxsplit) for each in input]


def unicode_split(input: Any, input_encoding: str = "UTF-8", name: str | None = None, **kwargs: Any) -> Any:
    """The characters of a text; of several texts a list of such lists."""
    if isinstance(input, bytes):
        return [character.encode("utf-8") for character in input.decode("utf-8")]
    if isinstance(input, str):
        return list(input)
    if isinstance(input, np.ndarray) and input.ndim == 0:
        return unicode_split(input.item())
    return [unicode_split(each) for each in input]


def join(inputs: Any, separator: str = "", name: str | None = None) -> Any:
    """Texts one after the other, place by place where they are arrays."""
    arrays = np.broadcast_arrays(*(np.asarray(each, object) for each in inputs))
    joined = [separator.join(parts) for parts in zip(*(array.reshape(-1) for array in arrays), strict=True)]
    return one_string(joined[0]) if arrays[0].ndim == 0 else Strings.of(joined).reshape(arrays[0].shape)
