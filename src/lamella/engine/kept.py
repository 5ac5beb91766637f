"""What stays from step to step: to look at its values, and to put it back as it was."""

from __future__ import annotations

from collections.abc import Sequence

import torch

Kept = torch.Tensor | torch.Generator
"""A part of the state: put back in place, never replaced."""


def copies(kept: Sequence[Kept]) -> list[torch.Tensor]:
    """The tensors copied, and the generators' states."""
    return [each.get_state() if isinstance(each, torch.Generator) else each.detach().clone() for each in kept]


@torch.no_grad()
def put_back(kept: Sequence[Kept], before: Sequence[torch.Tensor]) -> None:
    """Makes all as it was when `copies` gave `before`."""
    for each, value in zip(kept, before, strict=True):
        if isinstance(each, torch.Generator):
            each.set_state(value)
        else:
            each.copy_(value)
