"""`StringLookup`: strings to their places in a vocabulary, and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
import torch

from lamella.engine.device import default_device
from lamella.layers.base import registry
from lamella.layers.data_layer import ENCODING_ERRORS, as_bytes, as_numbers, is_meta, refuse
from lamella.layers.hashing import hash_bins
from lamella.layers.index_lookup import NOWHERE, IndexLookup, in_rows


@registry.register()
class StringLookup(IndexLookup):
    """Maps strings to their indices in a vocabulary, which is given or learnt by `adapt`.

    Takes strings or bytes as lists or NumPy arrays of any shape; gives int64 indices of that shape, or vectors.

    Args:
        max_tokens: The most terms that `adapt` keeps, special ones included.
        num_oov_indices: How many indices stand for unknown strings; with more than one they are hashed.
        mask_token: A string that stands for missing values: index 0, or no trace in a vector.
        oov_token: What an unknown index becomes with `invert`.
        vocabulary: The terms, or the path of a file with one a line.
        idf_weights: Weights of the terms, with output_mode `"tf_idf"`.
        invert: Whether to map indices to strings instead (a list, nested as the indices are).
        output_mode: `"int"`, `"one_hot"`, `"multi_hot"`, `"count"` or `"tf_idf"`.
        pad_to_max_tokens: Whether vectors are as long as `max_tokens`.
        sparse: Must be False.
        encoding: How strings are written as bytes.
        name: A unique name.
        salt: A number or two: unknown strings are hashed with SipHash under this key.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that do not go together, or a vocabulary that cannot be used.

    Example:
        >>> from lamella.layers import StringLookup
        >>> layer = StringLookup()
        >>> layer.adapt(["cat", "dog", "cat"])
        >>> layer.get_vocabulary()
        ['[UNK]', 'cat', 'dog']
        >>> layer([["dog", "cow"]])
        tensor([[2, 0]])
    """

    vocabulary_dtype = "string"

    @property
    def wants_strings(self) -> bool:  # type: ignore[override]
        """Not where it gives the strings of indices."""
        return not self.invert

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str | None = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        self.encoding = encoding  # first of all: the vocabulary is encoded with it
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            sparse,
            pad_to_max_tokens,
            kwargs.pop("oov_method", "floormod"),
            salt,
            name,
            **kwargs,
        )

    def _key(self, token: Any) -> bytes:
        return token if isinstance(token, bytes) else str(token).encode(self.encoding, ENCODING_ERRORS)

    def _word(self, key: bytes) -> str:
        return key.decode(self.encoding, ENCODING_ERRORS)

    def _make_table(self) -> None:
        table = {key: index for index, key in enumerate(self._tokens, self._token_start)}
        if self.mask_token is not None:
            table[self._key(self.mask_token)] = 0 if self.output_mode == "int" else NOWHERE
        self._table = table

    def _rows(self, data: Any) -> list[list[bytes]]:
        keys, shape = as_bytes(data, self.encoding, self)
        return in_rows(keys, shape)

    def call(self, inputs: Any) -> Any:
        if self.invert:
            return self._strings(inputs)
        if is_meta(inputs):
            return self._encode(torch.empty(inputs.shape, dtype=torch.int64, device="meta"))
        keys, shape = as_bytes(inputs, self.encoding, self)
        return self._encode(torch.from_numpy(self.indices(keys).reshape(shape)).to(default_device()))

    def indices(self, keys: Sequence[bytes]) -> np.ndarray:
        """The index of each of many encoded strings; -1 for masked ones where the output is a vector."""
        unknown = -2 if self.num_oov_indices != 1 else self._oov_start
        found = np.fromiter(map(self._table.get, keys, repeat(unknown)), np.int64, len(keys))
        if self.num_oov_indices == 1:
            return found
        where = np.flatnonzero(found == unknown)
        if where.size and self.num_oov_indices == 0:
            raise self._refuse_oov(self._word(keys[i]) for i in where[:10])
        if where.size:
            hashed = hash_bins([keys[i] for i in where], self.num_oov_indices, self._salt)  # type: ignore[call-overload]
            found[where] = hashed + self._oov_start
        return found

    def _strings(self, inputs: Any) -> Any:
        if is_meta(inputs):
            raise refuse(self, "invert=True gives strings, which a functional model cannot hold. Call it on data.")
        words = np.array([*self.get_vocabulary(), self.oov_token], dtype=object)
        places = as_numbers(inputs).cpu().numpy().astype(np.int64)
        known = (places >= 0) & (places < len(words) - 1)
        return (
            words[np.where(known, places, len(words) - 1)].tolist() if places.ndim else words[places if known else -1]
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["vocabulary_dtype"]
        return {**config, "encoding": self.encoding}
