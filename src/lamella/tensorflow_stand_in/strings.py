"""`tf.strings`: functions of texts: one, or arrays and ragged tensors of them. Bytes stay bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lamella.engine.strings import Bytes, Strings, one_string
from lamella.errors import ArgumentError
from lamella.layers.hashing import hash_bins
from lamella.tensorflow_stand_in.ragged_operators import elementwise
from lamella.tensorflow_stand_in.ragged_tensor import RaggedTensor
from lamella.tensorflow_stand_in.tensors import constant

__all__ = [
    "as_string",
    "bytes_split",
    "format",
    "join",
    "length",
    "lower",
    "ngrams",
    "reduce_join",
    "regex_full_match",
    "regex_replace",
    "split",
    "strip",
    "substr",
    "to_hash_bucket_fast",
    "to_hash_bucket_strong",
    "to_number",
    "unicode_decode",
    "unicode_decode_with_offsets",
    "unicode_encode",
    "unicode_split",
    "unicode_split_with_offsets",
    "unicode_transcode",
    "unsorted_segment_join",
    "upper",
]


def mapped(function: Callable[[str], Any], texts: Any) -> Any:
    """The function of each text, in the nesting of the texts."""
    if isinstance(texts, RaggedTensor):
        return texts.mapped(lambda flat: mapped(function, flat))
    if isinstance(texts, bytes):
        found = function(texts.decode("utf-8"))
        return Bytes(found.encode("utf-8")) if isinstance(found, str) else found
    if isinstance(texts, str):
        return one_string(function(texts))
    array = np.asarray(texts, object)
    result = np.empty(array.size, object)
    result[:] = [mapped(function, each) for each in array.reshape(-1)]
    return Strings.of(result.reshape(array.shape))


def lower(input: Any, encoding: str = "", name: str | None = None) -> Any:
    """The texts in small letters."""
    return mapped(str.lower, input)


def upper(input: Any, encoding: str = "", name: str | None = None) -> Any:
    """The texts in capitals."""
    return mapped(str.upper, input)


def strip(input: Any, name: str | None = None) -> Any:
    """The texts without white space at their ends."""
    return mapped(str.strip, input)


def regex_replace(input: Any, pattern: str, rewrite: str, replace_global: bool = True, name: str | None = None) -> Any:
    """The texts with what fits the pattern replaced: everywhere, or only the first time."""
    return mapped(lambda text: re.sub(pattern, rewrite, text, count=0 if replace_global else 1), input)


def regex_full_match(input: Any, pattern: str, name: str | None = None) -> Any:
    """Whether the whole text fits the pattern."""
    return _numbers(lambda text: re.fullmatch(pattern, text) is not None, input)


def length(input: Any, unit: str = "BYTE", name: str | None = None) -> Any:
    """The number of bytes, or of characters for `unit="UTF8_CHAR"`."""
    return _numbers(lambda text: len(text) if unit == "UTF8_CHAR" else len(text.encode("utf-8")), input, torch.int32)


def to_number(input: Any, out_type: Any = torch.float32, name: str | None = None) -> Any:
    """The numbers that the texts write."""
    return _numbers(float, input, out_type)


def _numbers(function: Callable[[str], Any], texts: Any, dtype: torch.dtype | None = None) -> Any:
    if isinstance(texts, RaggedTensor):
        return texts.mapped(lambda flat: _numbers(function, flat, dtype))
    found = mapped(function, texts)
    return torch.as_tensor(found.tolist() if isinstance(found, np.ndarray) else found, dtype=dtype)


def to_hash_bucket_fast(input: Any, num_buckets: int, name: str | None = None) -> Any:
    """A number below `num_buckets` for each text, by FarmHash's fingerprint."""
    return _hashed(input, num_buckets, None)


def to_hash_bucket_strong(input: Any, num_buckets: int, key: Any, name: str | None = None) -> Any:
    """A number below `num_buckets` for each text, by SipHash with a key of two numbers."""
    return _hashed(input, num_buckets, (int(key[0]), int(key[1])))


def _hashed(texts: Any, buckets: int, key: tuple[int, int] | None) -> Any:
    if isinstance(texts, RaggedTensor):
        return texts.mapped(lambda flat: _hashed(flat, buckets, key))
    array = np.asarray(texts, object)
    raw = [each.encode("utf-8") if isinstance(each, str) else each for each in array.reshape(-1).tolist()]
    return torch.as_tensor(hash_bins(raw, int(buckets), key)).long().reshape(array.shape)


def substr(input: Any, pos: int, len: int, unit: str = "BYTE", name: str | None = None) -> Any:
    """So many bytes (characters for `unit="UTF8_CHAR"`) from a place on, which counts from the end if below 0."""
    start, count = int(pos), int(len)

    def part(text: Any) -> Any:
        return text[start:][:count]

    if unit == "UTF8_CHAR":
        return mapped(part, input)

    def bytes_of(text: str) -> Any:
        found = part(text.encode("utf-8"))
        try:
            return found.decode("utf-8")
        except UnicodeDecodeError:  # a character was cut
            return Bytes(found)

    return mapped(bytes_of, input)


def join(inputs: Any, separator: str = "", name: str | None = None) -> Any:
    """Texts one after the other, place by place where they are arrays."""
    if any(isinstance(each, RaggedTensor) for each in inputs):
        return elementwise(lambda *parts: join(parts, separator), *inputs)
    as_bytes = all(isinstance(text, bytes) for each in inputs for text in np.asarray(each, object).flat)
    between: Any = separator.encode("utf-8") if as_bytes else separator
    arrays = np.broadcast_arrays(*(np.asarray(each, object) for each in inputs))
    columns = zip(*(array.reshape(-1) for array in arrays), strict=True)
    joined = [between.join(parts if as_bytes else map(_text, parts)) for parts in columns]
    return one_string(joined[0]) if arrays[0].ndim == 0 else Strings.of(joined).reshape(arrays[0].shape)


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else value


def reduce_join(
    inputs: Any, axis: int | None = None, keepdims: bool = False, separator: str = "", name: str | None = None
) -> Any:
    """All texts, or those along an axis, as one."""
    if isinstance(inputs, RaggedTensor):
        return _joined_rows(inputs, axis, separator)
    array = np.asarray(inputs, object)
    if axis is None:
        whole = join(list(array.reshape(-1)), separator) if array.size else one_string("")
        return Strings.of(whole).reshape((1,) * array.ndim) if keepdims else whole
    parts = np.moveaxis(array, axis, 0)
    found = join(list(parts), separator)
    return np.expand_dims(found, axis).view(Strings) if keepdims else found


def _joined_rows(ragged: RaggedTensor, axis: int | None, separator: str) -> Any:
    if axis is None:
        return reduce_join(ragged.flat_values, None, False, separator)
    if axis in (ragged.ndim - 1, -1):
        if isinstance(ragged.values, RaggedTensor):
            return ragged.with_values(_joined_rows(ragged.values, -1, separator))
        return Strings.of([reduce_join(row, None, False, separator) for row in ragged])
    raise ArgumentError(f"tf.strings.reduce_join of a ragged tensor is along its last axis, or all; got axis={axis}.")


def unsorted_segment_join(
    inputs: Any, segment_ids: Any, num_segments: int, separator: str = "", name: str | None = None
) -> Strings:
    """The texts with the same number as one each."""
    found: list[list[Any]] = [[] for _ in range(int(num_segments))]
    for text, number in zip(np.asarray(inputs, object).flat, np.asarray(segment_ids).flat, strict=True):
        if number >= 0:
            found[number].append(text)
    return Strings.of([join(each, separator) if each else "" for each in found])


def as_string(
    input: Any,
    precision: int = -1,
    scientific: bool = False,
    shortest: bool = False,
    width: int = -1,
    fill: str = "",
    name: str | None = None,
) -> Any:
    """The numbers as texts.

    Args:
        input: Numbers or truth values.
        precision: How many digits stand after the point; 6 by default.
        scientific: Whether with an exponent.
        shortest: Whether as short as they can be.
        width: How long a text is at least.
        fill: What stands before shorter ones; blanks by default.
        name: TensorFlow's argument: it changes nothing here.
    """
    if isinstance(input, RaggedTensor):
        return input.mapped(lambda flat: as_string(flat, precision, scientific, shortest, width, fill))
    numbers = constant(input)
    digits = "" if precision < 0 else f".{precision}"
    kind = f"{digits}{'e' if scientific else 'g' if shortest else 'f'}" if numbers.is_floating_point() else "d"
    rule = (fill + str(width) if width > 0 else "") + kind

    def written(number: Any) -> str:
        return str(number).lower() if isinstance(number, bool) else f"{number:{rule}}"

    found = Strings.of([written(each) for each in numbers.reshape(-1).tolist()])
    return found.reshape(tuple(numbers.shape))[()]


def format(template: str, inputs: Any, placeholder: str = "{}", summarize: int = 3, name: str | None = None) -> Any:
    """The template, with a tensor's values in the place of each placeholder."""
    several = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    parts = template.split(placeholder)
    if len(parts) != len(several) + 1:
        raise ArgumentError(f"tf.strings.format: {len(several)} inputs, but {len(parts) - 1} places {placeholder!r}.")
    written = [parts[0]]
    for each, rest in zip(several, parts[1:], strict=True):
        value = constant(each)
        written += [np.array2string(np.asarray(value), threshold=2 * summarize, edgeitems=summarize), rest]
    return one_string("".join(written))


# Texts as their parts


def _parts(function: Callable[[Any], Any], texts: Any) -> Any:
    """The parts of a text; of several texts a ragged tensor of them."""
    if isinstance(texts, RaggedTensor):
        return texts.mapped(lambda flat: _parts(function, flat))
    array = np.asarray(texts, object)
    if array.ndim == 0:
        return constant(function(array.item()))
    rows = RaggedTensor.joined([_filled(function(each)) for each in array.reshape(-1)])
    for axis in range(array.ndim - 1, 0, -1):
        rows = RaggedTensor.from_uniform_row_length(rows, array.shape[axis])
    return rows


def _filled(parts: Any) -> Any:
    return parts if len(parts) or not isinstance(parts, list) else Strings.of([""])[:0]


def split(input: Any, sep: Any = None, maxsplit: int = -1, name: str | None = None) -> Any:
    """The parts of a text between separators (white space by default); of several a ragged tensor of them."""
    between = _text(sep) or None if sep is not None else None

    def parts(text: Any) -> list[Any]:
        if isinstance(text, bytes):
            return text.split(None if between is None else between.encode("utf-8"), maxsplit)
        return text.split(between, maxsplit)  # type: ignore[no-any-return]

    return _parts(parts, input)


def bytes_split(input: Any, name: str | None = None) -> Any:
    """The bytes of a text, one by one; of several a ragged tensor of them."""

    def parts(text: Any) -> list[bytes]:
        raw = text.encode("utf-8") if isinstance(text, str) else text
        return [raw[place : place + 1] for place in range(len(raw))]

    return _parts(parts, input)


def unicode_split(
    input: Any, input_encoding: str = "UTF-8", errors: str = "replace", name: str | None = None, **kwargs: Any
) -> Any:
    """The characters of a text; of several a ragged tensor of them."""

    def parts(text: Any) -> list[Any]:
        if isinstance(text, bytes):
            return [each.encode("utf-8") for each in text.decode(input_encoding, errors)]
        return list(text)

    return _parts(parts, input)


def unicode_decode(
    input: Any, input_encoding: str = "UTF-8", errors: str = "replace", name: str | None = None, **kwargs: Any
) -> Any:
    """The numbers of the characters of a text; of several a ragged tensor of them."""

    def numbers(text: Any) -> torch.Tensor:
        found = text.decode(input_encoding, errors) if isinstance(text, bytes) else text
        return torch.tensor([ord(each) for each in found], dtype=torch.int32)

    return _parts(numbers, input)


def _offsets(input: Any) -> Any:
    """At which byte each character of a text begins."""

    def places(text: Any) -> torch.Tensor:
        sizes = [len(each.encode("utf-8")) for each in _text(text)]
        return torch.tensor([0, *sizes], dtype=torch.int64).cumsum(0)[:-1]

    return _parts(places, input)


def unicode_decode_with_offsets(input: Any, input_encoding: str = "UTF-8", **kwargs: Any) -> tuple[Any, Any]:
    """`unicode_decode`, and at which byte each character begins; the texts are in UTF-8."""
    return unicode_decode(input, input_encoding), _offsets(input)


def unicode_split_with_offsets(input: Any, input_encoding: str = "UTF-8", **kwargs: Any) -> tuple[Any, Any]:
    """`unicode_split`, and at which byte each character begins; the texts are in UTF-8."""
    return unicode_split(input, input_encoding), _offsets(input)


def unicode_encode(
    input: Any, output_encoding: str = "UTF-8", errors: str = "replace", name: str | None = None, **kwargs: Any
) -> Any:
    """The texts of rows of numbers of characters."""
    if isinstance(input, RaggedTensor):
        if isinstance(input.values, RaggedTensor):
            return input.with_values(unicode_encode(input.values, output_encoding))
        return Strings.of([unicode_encode(row, output_encoding) for row in input])
    numbers = constant(input)
    if numbers.ndim > 1:
        return Strings.of([unicode_encode(row, output_encoding) for row in numbers])
    return Bytes("".join(map(chr, numbers.tolist())).encode(output_encoding, errors))


def unicode_transcode(
    input: Any,
    input_encoding: str,
    output_encoding: str,
    errors: str = "replace",
    name: str | None = None,
    **kwargs: Any,
) -> Any:
    """The texts in another encoding, as bytes."""

    def other(text: Any) -> Bytes:
        return Bytes((text.decode(input_encoding, errors) if isinstance(text, bytes) else text).encode(output_encoding))

    array = np.asarray(input, object)
    if array.ndim == 0:
        return other(array.item())
    return Strings.of([other(each) for each in array.reshape(-1)]).reshape(array.shape)


def ngrams(
    data: Any,
    ngram_width: Any,
    separator: str = " ",
    pad_values: Any = None,
    padding_width: int | None = None,
    preserve_short_sequences: bool = False,
    name: str | None = None,
) -> Any:
    """Each `ngram_width` (or each of several widths) neighbouring texts of a row as one.

    Args:
        data: Texts (n,), or rows of them.
        ngram_width: How many are joined.
        separator: What stands between them.
        pad_values: What stands before and after a row, one or two texts; by default nothing does.
        padding_width: How many of these; one less than `ngram_width` by default.
        preserve_short_sequences: Whether a row that is shorter than `ngram_width` is one text itself.
        name: TensorFlow's argument: it changes nothing here.
    """
    widths = list(ngram_width) if isinstance(ngram_width, (list, tuple)) else [int(ngram_width)]
    before, after = (pad_values, pad_values) if isinstance(pad_values, (str, bytes)) else (pad_values or ("", ""))

    def of_row(row: Any) -> list[Any]:
        texts, found = list(row), []
        for width in widths:
            room = 0 if pad_values is None else width - 1 if padding_width is None else min(padding_width, width - 1)
            filled = [before] * room + texts + [after] * room
            found += [join(filled[i : i + width], separator) for i in range(len(filled) - width + 1)]
        return found or ([join(texts, separator)] if preserve_short_sequences and texts else [])

    if isinstance(data, RaggedTensor) and isinstance(data.values, RaggedTensor):
        return data.with_values(
            ngrams(data.values, ngram_width, separator, pad_values, padding_width, preserve_short_sequences)
        )
    if isinstance(data, RaggedTensor):
        return RaggedTensor.joined([_filled(of_row(row)) for row in data])
    texts = constant(data)
    return constant(_filled(of_row(texts))) if texts.ndim == 1 else Strings.of([of_row(row) for row in texts])
