"""`TensorShape`: the sizes of a tensor with the methods that TensorFlow's have, also where some are not known."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any, SupportsIndex, overload

import numpy as np
import torch

from lamella.errors import DTypeError, ShapeError


class TensorShape(tuple[int | None, ...]):
    """Sizes of which some, or all, or even their number may be unknown; also a tuple, and equal to such a list.

    Args:
        dims: The sizes, None for one that is not known; a whole number for a single one; None where not even their
            number is known.

    Raises:
        ShapeError: A size below 0.
        DTypeError: A size that is no whole number.

    Example:
        >>> shape = TensorShape([None, 28, 28])
        >>> shape[1:], shape.rank, shape == [None, 28, 28], shape[1:].num_elements()
        (TensorShape([28, 28]), 3, True, 784)
        >>> shape.merge_with([32, None, None])
        TensorShape([32, 28, 28])
    """

    rank_is_known = True

    def __new__(cls, dims: Any = None) -> TensorShape:
        if isinstance(dims, (torch.Size, TensorShape)):
            found = tuple.__new__(cls, dims)
            if getattr(dims, "rank_is_known", True):
                return found
        elif dims is not None:
            each = dims if isinstance(dims, Iterable) and not isinstance(dims, (str, bytes)) else (dims,)
            return tuple.__new__(cls, map(_size, _sizes_of(each)))
        unknown = tuple.__new__(cls)
        unknown.rank_is_known = False
        return unknown

    @property
    def rank(self) -> int | None:
        """How many sizes there are; None if unknown."""
        return len(self) if self.rank_is_known else None

    ndims = rank

    @property
    def dims(self) -> list[int | None] | None:
        """The sizes as a list; None where their number is unknown."""
        return list(self) if self.rank_is_known else None

    def as_list(self) -> list[int | None]:
        """The sizes as a list.

        Raises:
            ShapeError: Their number is unknown.
        """
        if not self.rank_is_known:
            raise ShapeError("as_list(): it is not known how many sizes this shape has.")
        return list(self)

    def numpy(self) -> np.ndarray:
        """The sizes as an array."""
        return np.array(self, "int32")

    def num_elements(self) -> int | None:
        """How many numbers such a tensor holds; None if unknown."""
        return math.prod(self) if self.is_fully_defined() else None  # type: ignore[arg-type]

    numel = num_elements

    def is_fully_defined(self) -> bool:
        """Whether all sizes are known."""
        return self.rank_is_known and None not in tuple(self)

    def is_compatible_with(self, other: Any) -> bool:
        """Whether one tensor can have both shapes: they differ nowhere where both are known."""
        other = TensorShape(other)
        if not (self.rank_is_known and other.rank_is_known):
            return True
        return len(self) == len(other) and all(
            a is None or b is None or a == b for a, b in zip(self, other, strict=True)
        )

    def is_subtype_of(self, other: Any) -> bool:
        """Whether every tensor of this shape has the other one, too."""
        other = TensorShape(other)
        if not other.rank_is_known:
            return True
        return self.rank == other.rank and all(b is None or a == b for a, b in zip(self, other, strict=True))

    def merge_with(self, other: Any) -> TensorShape:
        """What is known of a tensor that has both shapes.

        Raises:
            ShapeError: No tensor has both.
        """
        other = TensorShape(other)
        self.assert_is_compatible_with(other)
        if not (self.rank_is_known and other.rank_is_known):
            return self if self.rank_is_known else other
        return TensorShape([b if a is None else a for a, b in zip(self, other, strict=True)])

    def most_specific_compatible_shape(self, other: Any) -> TensorShape:
        """The sizes that both shapes have; None where they differ."""
        other = TensorShape(other)
        if self.rank is None or self.rank != other.rank:
            return TensorShape(None)
        return TensorShape([a if a == b else None for a, b in zip(self, other, strict=True)])

    def concatenate(self, other: Any) -> TensorShape:
        """These sizes, then the others."""
        other = TensorShape(other)
        if not (self.rank_is_known and other.rank_is_known):
            return TensorShape(None)
        return TensorShape([*self, *other])

    def with_rank(self, rank: int) -> TensorShape:
        """The shape, which must have so many sizes.

        Raises:
            ShapeError: It has another number.
        """
        if not self.rank_is_known:
            return TensorShape([None] * rank)
        self.assert_has_rank(rank)
        return self

    def with_rank_at_least(self, rank: int) -> TensorShape:
        """The shape, which must have so many sizes or more."""
        return self._if(self.rank is None or len(self) >= rank, f"must have at least {rank} sizes")

    def with_rank_at_most(self, rank: int) -> TensorShape:
        """The shape, which must have so many sizes or fewer."""
        return self._if(self.rank is None or len(self) <= rank, f"must have at most {rank} sizes")

    def assert_has_rank(self, rank: int) -> None:
        """Refuses another number of sizes."""
        self._if(self.rank in (None, rank), f"must have {rank} sizes")

    def assert_same_rank(self, other: Any) -> None:
        """Refuses a shape with another number of sizes."""
        other = TensorShape(other)
        self._if(None in (self.rank, other.rank) or self.rank == other.rank, f"must have as many sizes as {other}")

    def assert_is_compatible_with(self, other: Any) -> None:
        """Refuses a shape that no tensor of this shape can have."""
        self._if(self.is_compatible_with(other), f"does not fit {TensorShape(other)}")

    def assert_is_fully_defined(self) -> None:
        """Refuses unknown sizes."""
        self._if(self.is_fully_defined(), "must have no unknown size")

    def _if(self, holds: bool, demand: str) -> TensorShape:
        if not holds:
            raise ShapeError(f"The shape {self} {demand}.")
        return self

    @overload  # type: ignore[override]
    def __getitem__(self, place: slice) -> TensorShape: ...
    @overload
    def __getitem__(self, place: SupportsIndex) -> int | None: ...
    def __getitem__(self, place: Any) -> Any:
        if not self.rank_is_known:
            return TensorShape(None) if isinstance(place, slice) else None
        found = tuple.__getitem__(self, place)
        return tuple.__new__(type(self), found) if type(place) is slice else found

    def __add__(self, other: Any) -> TensorShape:  # type: ignore[override]
        return self.concatenate(other)

    def __radd__(self, other: Any) -> TensorShape:
        return TensorShape(other).concatenate(self)

    def __len__(self) -> int:
        return tuple.__len__(self)

    def __bool__(self) -> bool:
        return self.rank_is_known

    def __eq__(self, other: Any) -> bool:
        if isinstance(other, (torch.Tensor, np.ndarray)):
            other = other.tolist()
        if isinstance(other, (tuple, list)):
            known = getattr(other, "rank_is_known", True)
            return self.rank_is_known == known and tuple.__eq__(self, tuple(other))
        return other is None and not self.rank_is_known

    def __ne__(self, other: Any) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return tuple.__hash__(self)

    def __repr__(self) -> str:
        return f"TensorShape({list(self) if self.rank_is_known else None})"

    def __str__(self) -> str:
        return tuple.__repr__(self) if self.rank_is_known else "<unknown>"


def _sizes_of(sizes: Iterable[Any]) -> Iterable[Any]:
    return sizes.tolist() if isinstance(sizes, (torch.Tensor, np.ndarray)) else sizes


def _size(size: Any) -> int | None:
    if size is None or isinstance(size, torch.SymInt):
        return size  # type: ignore[return-value]
    try:
        found = operator.index(size)
    except TypeError as error:
        raise DTypeError(f"A size of a shape is a whole number or None; got {size!r}.") from error
    if found < 0:
        raise ShapeError(f"A size of a shape must be 0 or more, or None where it is not known; got {found}.")
    return found
