"""Random numbers: one seed for everything, and generators of their own for seeded objects."""

from __future__ import annotations

import random as python_random

import numpy as np
import torch

seeded = False
"""Whether `set_random_seed` was called: then runs are to be bit-equal, and nothing may depend on the clock."""


def set_random_seed(seed: int) -> None:
    """Seeds Python's, NumPy's and torch's generators, so that two runs on one machine are equal.

    Args:
        seed: An integer, 0 <= seed < 2**32.

    Example:
        >>> set_random_seed(7); a = torch.rand(2)
        >>> set_random_seed(7); b = torch.rand(2)
        >>> bool((a == b).all())
        True
    """
    global seeded
    seeded = True
    python_random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def generator(seed: int | None, device: torch.device | str = "cpu") -> torch.Generator | None:
    """A generator of its own for an integer `seed`; None (torch's global generator) for None."""
    if seed is None:
        return None
    return torch.Generator(device=device).manual_seed(int(seed))
