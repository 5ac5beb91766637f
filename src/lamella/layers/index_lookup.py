"""What `StringLookup` and `IntegerLookup` share: a vocabulary, how it is learnt, and vectors of indices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella.engine.device import default_device
from lamella.errors import DataError, NotBuiltError
from lamella.layers.category_encoding import encode
from lamella.layers.data_layer import (
    ENCODING_ERRORS,
    DataLayer,
    each_batch,
    one_of,
    refuse,
    refuse_sparse,
)
from lamella.layers.hashing import salt_pair

_MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
NOWHERE = -1  # the index of what leaves no trace in a vector
_FILE = "vocabulary.txt"


class IndexLookup(DataLayer):
    """What both lookups share: the vocabulary, how it is learnt, and the encoding of the indices.

    The vocabulary begins with the mask token (index 0, in `"int"` mode only, where there is one), then the
    out-of-vocabulary tokens, then the tokens.
    """

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        idf_weights: Any,
        invert: bool,
        output_mode: str,
        sparse: bool,
        pad_to_max_tokens: bool,
        oov_method: str,
        salt: Any,
        name: str | None,
        **kwargs: Any,
    ) -> None:
        frozen_size = kwargs.pop("vocabulary_size", None)  # these two stand in configs only
        has_input_vocabulary = kwargs.pop("has_input_vocabulary", None)
        kwargs.pop("dtype", None)
        super().__init__(name=name, **kwargs)
        output_mode = {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(output_mode, output_mode)
        one_of(self, "output_mode", output_mode, _MODES)
        one_of(self, "oov_method", oov_method, ("floormod", "farmhash"))
        refuse_sparse(self, sparse)
        if max_tokens is not None and max_tokens <= 1:
            raise refuse(self, f"`max_tokens` must be greater than 1, or None; got {max_tokens}.")
        if pad_to_max_tokens and max_tokens is None:
            raise refuse(self, "pad_to_max_tokens=True needs `max_tokens`.")
        if num_oov_indices < 0:
            raise refuse(self, f"`num_oov_indices` must be 0 or more; got {num_oov_indices}.")
        if invert and output_mode != "int":
            raise refuse(self, f"invert=True goes with output_mode='int', not {output_mode!r}.")
        if idf_weights is not None and output_mode != "tf_idf":
            raise refuse(self, f"`idf_weights` goes with output_mode='tf_idf', not {output_mode!r}.")
        if output_mode == "tf_idf" and vocabulary is not None and idf_weights is None:
            raise refuse(self, "a `vocabulary` with output_mode='tf_idf' needs `idf_weights`, one for each term.")
        self.max_tokens = max_tokens
        self.num_oov_indices = num_oov_indices
        self.mask_token = mask_token
        self.oov_token = oov_token
        self.invert = invert
        self.output_mode = output_mode
        self.sparse = False
        self.pad_to_max_tokens = pad_to_max_tokens
        self.oov_method = oov_method
        self._salt = salt_pair(self, salt)
        self._input_vocabulary = None if vocabulary is None or isinstance(vocabulary, str) else _as_list(vocabulary)
        self._input_idf_weights = None if idf_weights is None else _as_list(idf_weights)
        self._has_input_vocabulary = vocabulary is not None if has_input_vocabulary is None else has_input_vocabulary
        self._frozen_size = frozen_size
        self._tokens: list[Any] = []
        self._counts: Counter[Any] = Counter()
        self._document_counts: Counter[Any] = Counter()
        self._documents = 0
        self.register_buffer("idf_weights", None, persistent=False)
        if vocabulary is None:
            self._make_table()
        else:
            self.set_vocabulary(vocabulary, idf_weights)
        self._build_at_init()

    # -- what strings and numbers do each in their own way ----------------------------------------------

    vocabulary_dtype: str

    def _key(self, token: Any) -> Any:
        """A token as it stands in the table."""
        raise NotImplementedError

    def _word(self, key: Any) -> Any:
        """The token that a key of the table stands for."""
        raise NotImplementedError

    def _rows(self, data: Any) -> list[list[Any]]:
        """Keys of a batch for `adapt`, a list for each sample; what has one axis is one sample."""
        raise NotImplementedError

    def _make_table(self) -> None:
        """Called when the tokens have changed."""
        raise NotImplementedError

    # -- the vocabulary ---------------------------------------------------------------------------------

    @property
    def input_vocabulary(self) -> list[Any] | None:
        """The vocabulary that was given when the layer was made."""
        return self._input_vocabulary

    @property
    def input_idf_weights(self) -> list[float] | None:
        """The weights that were given when the layer was made."""
        return self._input_idf_weights

    @property
    def salt(self) -> list[int] | None:
        """The key of SipHash, or None."""
        return None if self._salt is None else list(self._salt)

    @property
    def _oov_start(self) -> int:
        return int(self.mask_token is not None and self.output_mode == "int")

    @property
    def _token_start(self) -> int:
        return self._oov_start + self.num_oov_indices

    @property
    def _special_tokens(self) -> list[Any]:
        return [self.mask_token] * self._oov_start + [self.oov_token] * self.num_oov_indices

    def vocabulary_size(self) -> int:
        """The number of terms, the mask and out-of-vocabulary tokens among them."""
        return self._token_start + len(self._tokens)

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The terms in the order of their indices; without the special ones if asked to."""
        tokens = [self._word(key) for key in self._tokens]
        return self._special_tokens + tokens if include_special_tokens else tokens

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Takes a known vocabulary.

        Args:
            vocabulary: The terms (all special tokens first, or none of them), or the path of a file with one a line.
            idf_weights: With output_mode `"tf_idf"`: a weight for each term.

        Raises:
            ArgumentError: No terms, a repeated or misplaced one, more than `max_tokens`, or wrong `idf_weights`.
        """
        if (idf_weights is None) == (self.output_mode == "tf_idf"):
            raise refuse(self, f"`idf_weights` goes with output_mode='tf_idf' and only with it ({self.output_mode!r}).")
        if isinstance(vocabulary, (str, Path)):
            self._set_tokens(self._from_file(Path(vocabulary)))
            return
        given = _as_list(vocabulary)
        if not given:
            raise refuse(self, "the vocabulary is empty.")
        terms = [self._key(term) for term in given]
        special = [None if token is None else self._key(token) for token in self._special_tokens]
        has_special = terms[: self._token_start] == special
        tokens = terms[self._token_start :] if has_special else terms
        self._check_tokens(tokens)
        if self.max_tokens is not None and self._token_start + len(tokens) > self.max_tokens:
            raise refuse(
                self,
                f"the vocabulary has {self._token_start + len(tokens)} terms, special ones included; `max_tokens` is "
                f"{self.max_tokens}.",
            )
        weights = None if idf_weights is None else self._checked_idf(idf_weights, len(given))
        self._set_tokens(tokens)
        if weights is not None:
            self._set_idf(weights, pad_front=not has_special)

    def _check_tokens(self, tokens: list[Any]) -> None:
        repeated = [self._word(token) for token, count in Counter(tokens).items() if count > 1]
        if repeated:
            raise refuse(self, f"the vocabulary has repeated terms: {repeated[:10]}. Each may stand in it once.")
        reserved = {"mask": self.mask_token, "out-of-vocabulary": self.oov_token if self.invert else None}
        for what, token in reserved.items():
            if token is not None and self._key(token) in tokens:
                raise refuse(
                    self,
                    f"the {what} token {token!r} is among the terms. Leave the special tokens out, or put them first "
                    f"in this order: {self._special_tokens}.",
                )

    def _from_file(self, path: Path) -> list[Any]:
        if not path.is_file():
            raise refuse(self, f"the vocabulary file {str(path)!r} does not exist.")
        if self.output_mode == "tf_idf":
            raise refuse(self, "with output_mode='tf_idf' the vocabulary cannot be a file: it has no idf_weights.")
        lines = path.read_bytes().replace(b"\r", b"").split(b"\n")
        tokens = [self._key(line) for line in (lines if lines[-1] else lines[:-1])]
        self._check_tokens(tokens)
        return tokens

    def _set_tokens(self, tokens: list[Any]) -> None:
        size = self._token_start + len(tokens)
        fixed = self.output_mode != "int" and not self.pad_to_max_tokens and self._nodes
        if fixed and self._frozen_size not in (None, size):
            raise refuse(
                self,
                f"a model was built on this layer with {self._frozen_size} terms, so there cannot be {size} now. Set "
                f"the vocabulary before building the model, or use pad_to_max_tokens=True.",
            )
        self._tokens = tokens
        self._frozen_size = size
        self._make_table()

    def _checked_idf(self, idf_weights: Any, count: int) -> torch.Tensor:
        weights = torch.as_tensor(np.asarray(_as_list(idf_weights)), dtype=self._float)
        if weights.shape != (count,):
            raise refuse(
                self, f"`idf_weights` must have one number for each of {count} terms; got {tuple(weights.shape)}."
            )
        return weights

    def _set_idf(self, weights: torch.Tensor, pad_front: bool) -> None:
        """Special tokens have no frequency of their own, so they get the mean."""
        front = weights.mean().expand(self._token_start if pad_front else 0)
        back = self.max_tokens - len(front) - len(weights) if self.pad_to_max_tokens and self.max_tokens else 0
        self.idf_weights = torch.cat([front, weights, weights.new_zeros(back)]).to(default_device())

    # -- learning it ------------------------------------------------------------------------------------

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learns the vocabulary: the values in `data`, the most frequent first, of equals the largest.

        Args:
            data: A list or an array (what has one axis is as many samples), or an iterable of batches.
            steps: At most so many batches of an iterable.

        Raises:
            ArgumentError: The vocabulary was given, so there is nothing to adapt.
        """
        self._refuse_if_given()
        self.reset_state()
        for batch in each_batch(data, steps, self._is_batch):
            rows = self._rows(batch)
            if self._is_batch(data) and np.ndim(batch) == 1:
                rows = [[key] for key in rows[0]]
            self._count(rows)
        self.finalize_state()

    @staticmethod
    def _is_batch(data: Any) -> bool:
        return isinstance(data, (list, tuple, np.ndarray, torch.Tensor)) or hasattr(data, "to_numpy")

    def _refuse_if_given(self) -> None:
        if self._has_input_vocabulary:
            raise refuse(self, "its vocabulary was given, so there is nothing to adapt.")

    def update_state(self, data: Any) -> None:
        """Counts the values of one batch; what has one axis is one sample."""
        self._refuse_if_given()
        self._count(self._rows(data))

    def _count(self, rows: list[list[Any]]) -> None:
        self._counts.update(chain.from_iterable(rows))
        if self.output_mode == "tf_idf":
            self._document_counts.update(chain.from_iterable(map(set, rows)))
            self._documents += len(rows)

    def finalize_state(self) -> None:
        """Makes the vocabulary from all counts so far."""
        if self._has_input_vocabulary or not self._counts:
            return
        for token in (self.mask_token, self.oov_token):
            if token is not None:
                self._counts.pop(self._key(token), None)
        keys = sorted(self._counts, key=lambda key: (self._counts[key], key), reverse=True)
        if self.max_tokens:
            keys = keys[: self.max_tokens - self._token_start]
        if self.output_mode == "tf_idf":
            found = np.array([self._document_counts[key] for key in keys])
            weights = torch.as_tensor(np.log(1 + self._documents / (1 + found)), dtype=self._float)
        self._set_tokens(keys)
        if self.output_mode == "tf_idf":
            self._set_idf(weights, pad_front=True)
        self.reset_state()

    def reset_state(self) -> None:
        """Forgets the counts."""
        self._counts.clear()
        self._document_counts.clear()
        self._documents = 0

    # -- encoding ---------------------------------------------------------------------------------------

    def _encode(self, indices: torch.Tensor) -> torch.Tensor:
        """Indices (with `NOWHERE` for what is masked) in the output mode."""
        if self.output_mode == "int":
            return indices
        depth = self.max_tokens if self.pad_to_max_tokens else self._frozen_size
        if depth is None:
            raise NotBuiltError(
                f"{type(self).__name__} {self.name!r} has no vocabulary yet: give `vocabulary`, or call adapt(data)."
            )
        if self.output_mode != "tf_idf":
            return encode(indices, self.output_mode, depth, torch.int64)
        counts = encode(indices, "count", depth, self._float)
        if counts.is_meta:
            return counts
        if self.idf_weights is None:
            raise NotBuiltError(f"{type(self).__name__} {self.name!r} has no idf_weights yet: call adapt(data).")
        return counts * self.idf_weights.to(counts.device)

    def _refuse_oov(self, found: Iterable[Any]) -> DataError:
        return DataError(
            f"{type(self).__name__} {self.name!r} has num_oov_indices=0, so all inputs must be in its vocabulary; "
            f"found {list(found)[:10]}. Use num_oov_indices=1."
        )

    # -- configuration and files ------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        config = {key: value for key, value in super().get_config().items() if key in ("name", "trainable", "dtype")}
        names = ("invert", "max_tokens", "num_oov_indices", "oov_token", "mask_token", "output_mode", "sparse")
        config |= {name: getattr(self, name) for name in names}
        return config | {
            "pad_to_max_tokens": self.pad_to_max_tokens,
            "vocabulary_dtype": self.vocabulary_dtype,
            "idf_weights": self._input_idf_weights,
            "vocabulary": self._input_vocabulary,
            "vocabulary_size": self._frozen_size,
            "oov_method": self.oov_method,
            "salt": self.salt,
        }

    def save_own_variables(self, store: Any) -> None:
        """Writes the weights that belong into a `.keras` file: those of tf_idf."""
        if self.output_mode == "tf_idf" and self.idf_weights is not None:
            store["idf_weights"] = self.idf_weights.cpu().numpy()

    def load_own_variables(self, store: Any) -> None:
        """Reads what `save_own_variables` wrote, here or in Keras."""
        if self.output_mode == "tf_idf" and "idf_weights" in store:
            self.idf_weights = torch.as_tensor(np.asarray(store["idf_weights"]), dtype=self._float).to(default_device())

    def save_assets(self, dir_path: str | Path) -> None:
        """Writes a learnt vocabulary to `vocabulary.txt` in a folder, one term a line (as in a `.keras` file)."""
        if self._input_vocabulary is None:
            text = "\n".join(str(term) for term in self.get_vocabulary())
            (Path(dir_path) / _FILE).write_bytes(text.encode("utf-8", ENCODING_ERRORS))

    def load_assets(self, dir_path: str | Path) -> None:
        """Reads what `save_assets` wrote, here or in Keras."""
        if self._input_vocabulary is not None:
            return
        text = (Path(dir_path) / _FILE).read_bytes().decode("utf-8", ENCODING_ERRORS)
        lines = _with_newline_terms(text.split("\n"), self._frozen_size)
        weights = self.idf_weights
        known = np.ones(len(lines)) if weights is None else weights[: len(lines)]  # before the file's weights: any
        self.set_vocabulary(lines, known if self.output_mode == "tf_idf" else None)
        if weights is not None:
            self.idf_weights = weights


def _with_newline_terms(lines: list[str], size: int | None) -> list[str]:
    """The terms in the lines of a file. A line feed that is a term itself shows as two empty lines."""
    terms: list[str] = []
    for line in lines:
        if line == "" and len(terms) > 1 and terms[-1] == "" and size is not None and len(lines) > size:
            terms[-1] = "\n"
        else:
            terms.append(line)
    while terms and terms[-1] == "":
        terms.pop()
    return terms


def _as_list(values: Any) -> list[Any]:
    if isinstance(values, torch.Tensor):
        values = values.cpu()
    return values.tolist() if hasattr(values, "tolist") else [getattr(v, "item", lambda v=v: v)() for v in values]


def in_rows(keys: list[Any], shape: tuple[int, ...]) -> list[list[Any]]:
    """Flat keys as the samples of an array of `shape`; what has one axis is one sample."""
    if len(shape) < 2:
        return [keys]
    width = int(np.prod(shape[1:]))
    return [keys[start : start + width] for start in range(0, len(keys), width)] if width else []
