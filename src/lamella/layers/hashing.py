"""`Hashing` and `HashedCrossing`: categories into a fixed number of bins, without a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lamella.engine.device import default_device
from lamella.engine.dtypes import floatx
from lamella.engine.strings import holds_strings
from lamella.errors import DataError, ShapeError
from lamella.layers.base import Layer, registry
from lamella.layers.category_encoding import encode
from lamella.layers.data_layer import (
    DataLayer,
    as_bytes,
    as_numbers,
    is_meta,
    one_of,
    refuse,
    refuse_sparse,
)
from lamella.layers.fingerprint import fingerprint64, fingerprint_cat64, siphash

# TensorFlow starts every cross of features from this number.
_CROSS_SEED = 0xDECAFCAFFE


@registry.register()
class Hashing(DataLayer):
    """Puts strings or whole numbers into `num_bins` bins by a hash that is the same everywhere and for ever.

    The hash is FarmHash's Fingerprint64, or with a `salt` SipHash-2-4 (Aumasson and Bernstein, 2012), of the string
    or of the number's decimal digits, modulo the bins. The result is equal to Keras's, bit for bit.

    Args:
        num_bins: How many bins.
        mask_value: A value that alone gets bin 0; all others then get bins from 1.
        salt: A number, or a pair of numbers: the key of SipHash.
        output_mode: `"int"`, `"one_hot"`, `"multi_hot"` or `"count"`, as for `CategoryEncoding`.
        sparse: Must be False.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: No bins, an unknown mode, or another `salt`.

    Example:
        >>> from lamella.layers import Hashing
        >>> Hashing(3)([["A"], ["B"], ["C"]]).tolist()
        [[1], [0], [1]]
    """

    def __init__(
        self,
        num_bins: int,
        mask_value: Any = None,
        salt: int | Sequence[int] | None = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if output_mode == "int" else floatx()
        super().__init__(**kwargs)
        if num_bins is None or num_bins <= 0:
            raise refuse(self, f"`num_bins` must be a positive whole number; got {num_bins!r}.")
        one_of(self, "output_mode", output_mode, ("int", "one_hot", "multi_hot", "count"))
        if output_mode == "int" and self.dtype not in ("int32", "int64"):
            raise refuse(self, f"with output_mode='int' the `dtype` must be 'int32' or 'int64'; got {self.dtype!r}.")
        refuse_sparse(self, sparse)
        self.num_bins = num_bins
        self.mask_value = mask_value
        self._salt = salt_pair(self, salt)
        self.output_mode = output_mode
        self.sparse = sparse
        self._build_at_init()

    @property
    def salt(self) -> list[int] | None:
        """The key of SipHash, or None."""
        return None if self._salt is None else list(self._salt)

    def call(self, inputs: Any) -> torch.Tensor:
        bins = inputs if is_meta(inputs) else self._bins(inputs)
        if self.output_mode == "one_hot" and bins.ndim and bins.shape[-1] == 1:
            bins = bins[..., 0]
        return encode(bins, self.output_mode, self.num_bins, self._float)

    def _bins(self, inputs: Any) -> torch.Tensor:
        strings, shape, masked = _texts(self, inputs, self.mask_value)
        bins = self.num_bins
        if masked is None or bins == 1:
            indices = hash_bins(strings, bins, self._salt)
        else:
            indices = np.where(masked, 0, hash_bins(strings, bins - 1, self._salt) + 1)
        return torch.from_numpy(indices.reshape(shape)).to(default_device())


def hash_bins(strings: Sequence[bytes], bins: int, salt: tuple[int, int] | None) -> np.ndarray:
    """The bin, from 0 to `bins` - 1, of each string."""
    hashes = fingerprint64(strings) if salt is None else siphash(strings, salt)
    return (hashes % np.uint64(bins)).astype(np.int64)


def salt_pair(layer: Layer, salt: Any) -> tuple[int, int] | None:
    """The two numbers of a SipHash key that was given as one number or two.

    Raises:
        ArgumentError: Anything else.
    """
    if salt is None:
        return None
    if isinstance(salt, int):
        return salt, salt
    if isinstance(salt, (tuple, list)) and len(salt) == 2:
        return salt[0], salt[1]
    raise refuse(layer, f"`salt` must be a whole number or two of them; got {salt!r}.")


def _texts(layer: Layer, inputs: Any, mask_value: Any) -> tuple[list[bytes], tuple[int, ...], np.ndarray | None]:
    if holds_strings(inputs):
        strings, shape = as_bytes(inputs, "utf-8", layer)
        if mask_value is None:
            return strings, shape, None
        wanted = as_bytes(mask_value, "utf-8", layer)[0][0]
        return strings, shape, np.fromiter((text == wanted for text in strings), bool, len(strings))
    numbers = as_numbers(inputs).cpu().numpy()
    masked = None if mask_value is None else (numbers == mask_value).ravel()
    whole = numbers.astype(np.int64).ravel()
    return [b"%d" % number for number in whole.tolist()], numbers.shape, masked


@registry.register()
class HashedCrossing(DataLayer):
    """Crosses categorical features: each combination of their values goes into one of `num_bins` bins.

    Call it on a tuple of two or more features of equal shape: (), (batch,) or (batch, 1). Bins are equal to Keras's.

    Args:
        num_bins: How many bins.
        output_mode: `"int"` or `"one_hot"`.
        sparse: Must be False.
        name: A unique name.
        dtype: The data type of the output; int64 in `"int"` mode by default.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: An unknown mode, or fewer than two inputs.
        ShapeError: Inputs of other shapes.
        DataError: Inputs that are neither strings nor whole numbers.

    Example:
        >>> from lamella.layers import HashedCrossing
        >>> HashedCrossing(5)((["A", "B", "A"], [101, 101, 102])).tolist()
        [1, 4, 3]
    """

    def __init__(
        self,
        num_bins: int,
        output_mode: str = "int",
        sparse: bool = False,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, dtype="int64" if output_mode == "int" and dtype is None else dtype, **kwargs)
        one_of(self, "output_mode", output_mode, ("int", "one_hot"))
        refuse_sparse(self, sparse)
        if num_bins is None or num_bins <= 0:
            raise refuse(self, f"`num_bins` must be a positive whole number; got {num_bins!r}.")
        self.num_bins = num_bins
        self.output_mode = output_mode
        self.sparse = sparse
        self._build_at_init()

    def call(self, inputs: Any) -> torch.Tensor:
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise refuse(self, "call it on a tuple of two or more features.")
        if is_meta(inputs[0]):
            self._check_shapes([tuple(part.shape) for part in inputs])
            return encode(inputs[0], self.output_mode, self.num_bins, self._float)
        features = [self._feature(part) for part in inputs]
        shape = self._check_shapes([shape for _, shape in features])
        crossed = np.full(len(features[0][0]), _CROSS_SEED, np.uint64)
        for fingerprints, _ in features:
            crossed = fingerprint_cat64(crossed, fingerprints)
        bins = (crossed % np.uint64(self.num_bins)).astype(np.int64).reshape(shape)
        return encode(torch.from_numpy(bins).to(default_device()), self.output_mode, self.num_bins, self._float)

    def _feature(self, inputs: Any) -> tuple[np.ndarray, tuple[int, ...]]:
        """A fingerprint for each value: of a string its hash, a whole number itself."""
        if holds_strings(inputs):
            strings, shape = as_bytes(inputs, "utf-8", self)
            return fingerprint64(strings), shape
        numbers = as_numbers(inputs).cpu().numpy()
        if numbers.dtype.kind not in "iu":
            raise DataError(
                f"HashedCrossing {self.name!r} takes strings and whole numbers; got {numbers.dtype}. Bin floats with "
                f"Discretization first."
            )
        return numbers.astype(np.int64).astype(np.uint64).ravel(), numbers.shape

    def _check_shapes(self, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
        first = shapes[0]
        if len(first) > 2 or (len(first) == 2 and first[1] != 1) or any(shape != first for shape in shapes):
            raise ShapeError(
                f"HashedCrossing {self.name!r} takes features of one shape: (), (batch,) or (batch, 1); got "
                f"{', '.join(map(str, shapes))}."
            )
        return first

    def get_config(self) -> dict[str, Any]:
        names = ("num_bins", "output_mode", "sparse", "name", "dtype")
        return {name: getattr(self, name) for name in names}
