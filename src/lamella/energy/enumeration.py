"""Every state of a few units, for sums that are exact."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from lamella.errors import ArgumentError

MOST_STATES = 2.0**25
_AT_ONCE = 2**14


def all_states(values: int, units: int, like: torch.Tensor) -> Iterator[torch.Tensor]:
    """Every state of `units` units, each 0 to values - 1, as rows (states, units), a block at a time.

    Unit 0 changes fastest. The rows have the type and device of `like`.

    Example:
        >>> list(all_states(2, 2, torch.zeros(1)))
        [tensor([[0., 0.],
                [1., 0.],
                [0., 1.],
                [1., 1.]])]
    """
    powers = values ** torch.arange(units, device=like.device)
    for first in range(0, values**units, _AT_ONCE):
        numbers = torch.arange(first, min(first + _AT_ONCE, values**units), device=like.device)
        yield (numbers.unsqueeze(1) // powers % values).to(like.dtype)


def refuse_many(states: float, what: str, mend: str) -> None:
    """Raises ArgumentError for more states than can be added up in seconds."""
    if states > MOST_STATES:
        raise ArgumentError(f"{what}: there are {states:.3g} states, and at most 2**25 are added up. {mend}")
