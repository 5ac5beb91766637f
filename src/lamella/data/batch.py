"""A batch: its inputs, targets and sample weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from lamella.engine.strings import is_string
from lamella.errors import DataError

Batch = tuple[Any, Any, Any]
"""(x, y, sample_weight), the last two may be None."""


class OwnRows(tuple[Any, Any, Any]):
    """A batch of which only the rows of this process were loaded.

    Attributes:
        length: The number of samples in all of it.
    """

    length: int

    def __new__(cls, batch: Batch, length: int) -> OwnRows:
        own = super().__new__(cls, batch)
        own.length = length
        return own


def unpack_x_y_sample_weight(data: Any) -> Batch:
    """`x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)` as three. A list of strings is `x`.

    Example:
        >>> unpack_x_y_sample_weight((1, 2))
        (1, 2, None)
    """
    if isinstance(data, list) and not (data and is_string(data[0])):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise DataError(f"Data must be x, (x, y) or (x, y, sample_weight); got {len(data)} parts.")
    x, y, weight = (*data, None, None)[:3]
    return x, y, weight


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """`x`, `(x, y)` or `(x, y, sample_weight)`: the other way round.

    Example:
        >>> pack_x_y_sample_weight(1, 2)
        (1, 2)
    """
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def with_class_weight(y: Any, weight: Any, class_weight: Mapping[int, float] | None) -> Any:
    """Sample weights, times the weight of each sample's class.

    Raises:
        DataError: Targets that are not one array of class numbers or one-hot rows.
    """
    if class_weight is None:
        return weight
    if not isinstance(y, torch.Tensor):
        raise DataError("`class_weight` needs targets in one array; for several outputs use sample_weight.")
    if y.ndim > 2:
        raise DataError(f"`class_weight` needs class numbers or one-hot rows as targets; got shape {tuple(y.shape)}.")
    y = y.to(torch.uint8) if y.dtype == torch.bool else y  # torch has no argmax and no rounding for booleans
    classes = y.argmax(dim=-1) if y.ndim == 2 and y.shape[-1] > 1 else y.reshape(-1).round().to(torch.int64)
    try:
        by_number = {int(index): float(value) for index, value in class_weight.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"`class_weight` must map class numbers to weights; got {class_weight!r}.") from error
    present, place = classes.unique(return_inverse=True)  # class numbers may be negative, or far apart
    by_class = torch.tensor([by_number.get(c, 1.0) for c in present.tolist()], device=y.device)[place]
    return by_class if weight is None else weight * by_class.reshape(-1, *[1] * (weight.ndim - 1))


def class_weight_to_sample_weights(y: Any, class_weight: Mapping[int, float]) -> Any:
    """The weight of each sample's class.

    Example:
        >>> class_weight_to_sample_weights([0, 1, 1], {0: 1.0, 1: 3.0}).tolist()
        [1.0, 3.0, 3.0]
    """
    return with_class_weight(torch.as_tensor(y), None, class_weight)
