"""Names in the state of a model that differ only in the numbers that layers get by default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NUMBERS = re.compile(r"_\d+(?=\.)")


def with_own_names(own: Mapping[str, Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
    """`given` under the names of `own`, where they are the same but for the numbers of default names.

    A second model of one architecture has layers `dense_2` and `dense_3` where the first has `dense` and `dense_1`.

    Example:
        >>> with_own_names({"dense_2.kernel": 0, "dense_3.kernel": 0}, {"dense.kernel": 5, "dense_1.kernel": 6})
        {'dense_2.kernel': 5, 'dense_3.kernel': 6}
        >>> with_own_names({"dense.kernel": 0}, {"head.kernel": 5})
        {'head.kernel': 5}
    """
    if own.keys() == given.keys() or [*map(_without_numbers, own)] != [*map(_without_numbers, given)]:
        return given
    return dict(zip(own, given.values(), strict=True))


def _without_numbers(name: str) -> str:
    return _NUMBERS.sub("", name)
