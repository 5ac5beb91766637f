"""`TextVectorization`: texts to token indices or vectors."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella.engine.device import default_device
from lamella.engine.registry import deserialize, serialize
from lamella.engine.strings import holds_strings
from lamella.layers.base import Layer, registry
from lamella.layers.data_layer import (
    ENCODING_ERRORS,
    DataLayer,
    as_bytes,
    each_batch,
    is_meta,
    one_of,
    refuse,
    refuse_sparse,
)
from lamella.layers.index_lookup import NOWHERE
from lamella.layers.string_lookup import StringLookup

_PUNCTUATION = string.punctuation.encode()
_LOWER = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
_STANDARDIZE = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
_SPLIT = ("whitespace", "character")


@registry.register()
class TextVectorization(DataLayer):
    """Maps texts to sequences of token indices, or to one vector a text.

    Each text is standardized, split into tokens, joined to n-grams, and looked up in a vocabulary, which is given or
    learnt by `adapt`. Index 0 is padding and 1 the unknown token `[UNK]`; in a vector there is no padding, and the
    unknown token comes first. Texts are lists or NumPy arrays of strings or bytes, of shape (batch,) or (batch, 1).
    As in Keras, lower case, punctuation and white space are those of ASCII.

    Args:
        max_tokens: The most terms in the vocabulary, special ones included.
        standardize: `"lower_and_strip_punctuation"`, `"lower"`, `"strip_punctuation"`, None, or a function of a NumPy
            array of strings that gives one of equal shape.
        split: `"whitespace"`, `"character"`, None (each string is a token), or a function of an array of strings that
            gives a list of tokens for each.
        ngrams: n for all n-grams up to n, or a tuple of the wanted n.
        output_mode: `"int"`, `"multi_hot"`, `"count"`, `"tf_idf"` or `"one_hot"` (one vector for each token).
        output_sequence_length: In `"int"` mode, texts are cut or padded to this length; by default to the longest.
        pad_to_max_tokens: Whether vectors are as long as `max_tokens`.
        vocabulary: The terms, or the path of a file with one a line.
        idf_weights: Weights of the terms, with output_mode `"tf_idf"`.
        sparse: Must be False.
        ragged: Must be False.
        encoding: How strings are written as bytes.
        name: A unique name.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that do not go together, or a vocabulary that cannot be used.

    Example:
        >>> from lamella.layers import TextVectorization
        >>> layer = TextVectorization(output_sequence_length=4)
        >>> layer.adapt(["foo bar", "bar baz", "baz bada boom"])
        >>> layer(["Foo, qux: bar!", "baz"])
        tensor([[4, 1, 3, 0],
                [2, 0, 0, 0]])
    """

    wants_strings = True

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | Callable[..., Any] | None = "lower_and_strip_punctuation",
        split: str | Callable[..., Any] | None = "whitespace",
        ngrams: int | Sequence[int] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        hidden: dict[str, Any] = {key: kwargs.pop(key, None) for key in ("vocabulary_size", "has_input_vocabulary")}
        super().__init__(name=name, **kwargs)
        for argument, value, allowed in (("standardize", standardize, _STANDARDIZE), ("split", split, _SPLIT)):
            if value is not None and not callable(value):
                one_of(self, argument, value, allowed)
        if ngrams is not None and not isinstance(ngrams, int):
            if not isinstance(ngrams, (tuple, list)) or not all(isinstance(n, int) for n in ngrams):
                raise refuse(self, f"`ngrams` must be a whole number, a tuple of them, or None; got {ngrams!r}.")
            ngrams = tuple(ngrams)
        refuse_sparse(self, sparse)
        if ragged:
            raise refuse(self, "ragged=True is not supported: the output is padded with 0. Leave it out.")
        if output_sequence_length is not None and (output_mode != "int" or not isinstance(output_sequence_length, int)):
            raise refuse(
                self,
                f"`output_sequence_length` is a whole number and goes with output_mode='int'; got "
                f"{output_sequence_length!r} with {output_mode!r}.",
            )
        self.standardize = standardize
        self.split = split
        self.ngrams = ngrams
        self.output_sequence_length = output_sequence_length
        self.ragged = False
        self.encoding = encoding
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            pad_to_max_tokens=pad_to_max_tokens,
            mask_token="",
            output_mode=output_mode,
            encoding=encoding,
            **hidden,
        )
        self.output_mode = self._lookup_layer.output_mode
        self._build_at_init()

    # -- the vocabulary ---------------------------------------------------------------------------------

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learns the vocabulary from texts: the most frequent tokens first, of equals the largest.

        Args:
            data: A list or an array of texts, or an iterable of batches of them (a generator, a DataLoader).
            batch_size: Kept for Keras's signature.
            steps: At most so many batches of an iterable.
        """
        self._lookup_layer._refuse_if_given()
        self.reset_state()
        for batch in each_batch(data, steps, holds_strings_now):
            if holds_strings_now(data) and np.ndim(batch) == 1 and self.split is None:
                batch = np.asarray(batch, dtype=object)[:, None]
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Counts the tokens of one batch of texts."""
        self._lookup_layer._refuse_if_given()
        self._lookup_layer._count(self._tokens(data)[0])

    def finalize_state(self) -> None:
        """Makes the vocabulary from all counts so far."""
        self._lookup_layer.finalize_state()

    def reset_state(self) -> None:
        """Forgets the counts."""
        self._lookup_layer.reset_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The terms in the order of their indices; without padding and `[UNK]` if asked to."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Takes a known vocabulary: terms, or the path of a file with one a line; see `StringLookup`."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    def vocabulary_size(self) -> int:
        """The number of terms, special ones included."""
        return self._lookup_layer.vocabulary_size()

    # -- texts to tokens --------------------------------------------------------------------------------

    def _tokens(self, inputs: Any) -> tuple[list[list[bytes]], tuple[int, ...]]:
        """A list of tokens for each text, and the shape that the texts had."""
        texts, shape = as_bytes(inputs, self.encoding, self)
        texts = self._standardized(texts, shape)
        if self.split is None:
            width = shape[-1] if shape else 1
            rows, shape = [texts[start : start + width] for start in range(0, len(texts), width or 1)], shape[:-1]
        else:
            if len(shape) > 1:
                if shape[-1] != 1:
                    raise refuse(
                        self, f"texts to be split must have shape (batch,) or (batch, 1); got {shape}. Use split=None."
                    )
                shape = shape[:-1]
            rows = self._split_texts(texts, shape)
        return (rows if self.ngrams is None else [self._with_ngrams(row) for row in rows]), shape

    def _standardized(self, texts: list[bytes], shape: tuple[int, ...]) -> list[bytes]:
        rule = self.standardize
        if rule is None:
            return texts
        if callable(rule):
            return as_bytes(np.asarray(rule(self._as_strings(texts, shape))), self.encoding, self)[0]
        table = _LOWER if rule != "strip_punctuation" else None
        delete = _PUNCTUATION if rule != "lower" else b""
        return [text.translate(table, delete) for text in texts]

    def _split_texts(self, texts: list[bytes], shape: tuple[int, ...]) -> list[list[bytes]]:
        if self.split == "whitespace":
            return [text.split() for text in texts]
        if self.split == "character":
            return [[c.encode("utf-8") for c in text.decode("utf-8", "replace")] for text in texts]
        assert callable(self.split)
        rows = self.split(self._as_strings(texts, shape))
        rows = [rows] if shape == () else list(rows)
        return [as_bytes(row if isinstance(row, (list, tuple)) else list(row), self.encoding, self)[0] for row in rows]

    def _as_strings(self, texts: list[bytes], shape: tuple[int, ...]) -> np.ndarray:
        return np.array([text.decode(self.encoding, ENCODING_ERRORS) for text in texts], dtype=np.str_).reshape(shape)

    def _with_ngrams(self, tokens: list[bytes]) -> list[bytes]:
        sizes: Iterable[int] = range(1, self.ngrams + 1) if isinstance(self.ngrams, int) else self.ngrams or ()
        return [b" ".join(tokens[i : i + n]) for n in sizes for i in range(len(tokens) - n + 1)]

    # -- tokens to numbers ------------------------------------------------------------------------------

    def call(self, inputs: Any) -> torch.Tensor:
        if is_meta(inputs):
            return self._lookup_layer._encode(self._symbolic(inputs))
        rows, shape = self._tokens(inputs)
        length = self.output_sequence_length
        if length is not None:
            rows = [row[:length] for row in rows]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        longest = int(lengths.max(initial=0)) if length is None else length
        padded = np.full((len(rows), longest), 0 if self.output_mode == "int" else NOWHERE, np.int64)
        padded[np.arange(longest) < lengths[:, None]] = self._lookup_layer.indices(list(chain.from_iterable(rows)))
        scalar = self.split is None and holds_one_string(inputs) and self.output_mode == "int" and longest == 1
        padded = padded.reshape(() if scalar else (*shape, longest))
        return self._lookup_layer._encode(torch.from_numpy(padded).to(default_device()))

    def _symbolic(self, inputs: torch.Tensor) -> torch.Tensor:
        """Indices of the right shape; the number of tokens, unknown, is that of another unknown axis."""
        shape = tuple(inputs.shape)
        if self.split is None:
            length = shape[-1] if self.output_sequence_length is None else self.output_sequence_length
            shape = (*shape[:-1], length)
        else:
            lead = shape[:-1] if len(shape) > 1 else shape
            shape = (*lead, self.output_sequence_length or (shape[0] if shape else 1))
        return torch.empty(shape, dtype=torch.int64, device="meta")

    # -- configuration and files ------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        config = {key: value for key, value in super().get_config().items() if key in ("name", "trainable", "dtype")}
        lookup = self._lookup_layer
        return config | {
            "max_tokens": lookup.max_tokens,
            "standardize": serialize(self.standardize),
            "split": serialize(self.split),
            "ngrams": self.ngrams,
            "output_mode": self.output_mode,
            "output_sequence_length": self.output_sequence_length,
            "pad_to_max_tokens": lookup.pad_to_max_tokens,
            "sparse": False,
            "ragged": False,
            "vocabulary": lookup.input_vocabulary,
            "idf_weights": lookup.input_idf_weights,
            "encoding": self.encoding,
            "vocabulary_size": lookup._frozen_size or self.vocabulary_size(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """The layer that `get_config` (here or in Keras) described."""
        functions: dict[str, Any] = {key: deserialize(config[key]) for key in ("standardize", "split") if key in config}
        return cls(**(config | functions))

    def save_own_variables(self, store: Any) -> None:
        """Writes the weights that belong into a `.keras` file: those of tf_idf."""
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        """Reads what `save_own_variables` wrote, here or in Keras."""
        self._lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path: str | Path) -> None:
        """Writes a learnt vocabulary to `vocabulary.txt` in a folder, one term a line (as in a `.keras` file)."""
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: str | Path) -> None:
        """Reads what `save_assets` wrote, here or in Keras."""
        self._lookup_layer.load_assets(dir_path)


def holds_one_string(inputs: Any) -> bool:
    """Whether `inputs` is one string rather than an array of them."""
    return isinstance(inputs, (str, bytes)) or (isinstance(inputs, np.ndarray) and inputs.ndim == 0)


def holds_strings_now(data: Any) -> bool:
    """Whether `data` are texts, rather than an iterable that will give some."""
    return isinstance(data, (list, tuple, np.ndarray, str, bytes)) or hasattr(data, "to_numpy") or holds_strings(data)
