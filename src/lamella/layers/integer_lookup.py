"""`IntegerLookup`: whole numbers to their places in a vocabulary, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError
from lamella.layers.base import registry
from lamella.layers.data_layer import as_numbers
from lamella.layers.hashing import hash_bins
from lamella.layers.index_lookup import NOWHERE, IndexLookup, in_rows


@registry.register()
class IntegerLookup(IndexLookup):
    """Maps whole numbers to their indices in a vocabulary, which is given or learnt by `adapt`.

    Takes numbers of any shape; gives int64 indices of that shape, or vectors. Runs on any device.

    Args:
        max_tokens: The most terms that `adapt` keeps, special ones included.
        num_oov_indices: How many indices stand for unknown numbers.
        mask_token: A number that stands for missing values: index 0, or no trace in a vector.
        oov_token: What an unknown index becomes with `invert`.
        vocabulary: The terms, or the path of a file with one a line.
        vocabulary_dtype: Must be `"int64"`.
        idf_weights: Weights of the terms, with output_mode `"tf_idf"`.
        invert: Whether to map indices to numbers instead.
        output_mode: `"int"`, `"one_hot"`, `"multi_hot"`, `"count"` or `"tf_idf"`.
        sparse: Must be False.
        pad_to_max_tokens: Whether vectors are as long as `max_tokens`.
        oov_method: With several `num_oov_indices`: unknown numbers go by `"floormod"` (the remainder) or by
            `"farmhash"` (a hash of their digits).
        salt: A number or two, with `"farmhash"`: the hash is SipHash under this key.
        name: A unique name.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that do not go together, or a vocabulary that cannot be used.

    Example:
        >>> from lamella.layers import IntegerLookup
        >>> IntegerLookup(vocabulary=[12, 36])([[36, 7, 12]])
        tensor([[2, 0, 1]])
    """

    vocabulary_dtype = "int64"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int | None = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if vocabulary_dtype != "int64":
            raise ArgumentError(f"IntegerLookup: `vocabulary_dtype` must be 'int64'; got {vocabulary_dtype!r}.")
        if salt is not None and oov_method != "farmhash":
            raise ArgumentError(f"IntegerLookup: `salt` goes with oov_method='farmhash', not {oov_method!r}.")
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
            oov_method,
            salt,
            name,
            **kwargs,
        )

    def _key(self, token: Any) -> int:
        return int(token)

    def _word(self, key: int) -> int:
        return key

    def _rows(self, data: Any) -> list[list[int]]:
        numbers = as_numbers(data).cpu().numpy().astype(np.int64)
        return in_rows(numbers.ravel().tolist(), numbers.shape)

    def _make_table(self) -> None:
        """Two rows: all known numbers, rising, and the index of each; with `invert`, each index and its number."""
        indices = range(self._token_start, self._token_start + len(self._tokens))
        table = dict(
            zip(indices, self._tokens, strict=True) if self.invert else zip(self._tokens, indices, strict=True)
        )
        if self.mask_token is not None:
            key, value = (0, self.mask_token) if self.invert else (self.mask_token, self._mask_index)
            table[key] = value
        keys = torch.tensor(sorted(table), dtype=torch.int64)
        values = torch.tensor([table[key] for key in sorted(table)], dtype=torch.int64)
        self.register_buffer("_table", torch.stack([keys, values]), persistent=False)

    @property
    def _mask_index(self) -> int:
        return 0 if self.output_mode == "int" else NOWHERE

    def call(self, inputs: Any) -> torch.Tensor:
        inputs = as_numbers(inputs)
        inputs = inputs.to(torch.int64)
        return self._encode(inputs if inputs.is_meta else self._looked_up(inputs))

    def _looked_up(self, inputs: torch.Tensor) -> torch.Tensor:
        keys, values = self._table.to(inputs.device)  # type: ignore[misc]
        if not len(keys):
            found, known = inputs, torch.zeros_like(inputs, dtype=torch.bool)
        else:
            places = torch.searchsorted(keys, inputs).clamp_(max=len(keys) - 1)
            found, known = values[places], keys[places] == inputs
        if self.invert:
            return torch.where(known, found, -1 if self.oov_token is None else self.oov_token)
        if self.num_oov_indices == 0:
            if not bool(known.all()):
                raise self._refuse_oov(inputs[~known].tolist())
            return found
        return torch.where(known, found, self._unknown(inputs) + self._oov_start)

    def _unknown(self, inputs: torch.Tensor) -> torch.Tensor:
        """Which of the out-of-vocabulary indices each number would get."""
        if self.num_oov_indices == 1:
            return torch.zeros_like(inputs)
        if self.oov_method == "floormod":
            return torch.remainder(inputs, self.num_oov_indices)
        digits = [b"%d" % number for number in inputs.flatten().tolist()]
        bins = hash_bins(digits, self.num_oov_indices, self._salt)
        return torch.from_numpy(bins).reshape(inputs.shape).to(inputs.device)
