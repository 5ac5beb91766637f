"""Runs of a model that are to leave no trace: to make its weights, or to see whether the data fit it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import nn

_Kept = list[tuple[dict[str, Any], str, torch.Tensor, torch.Tensor]]
_kept: ContextVar[_Kept | None] = ContextVar("states of layers that users wrote", default=None)


@contextmanager
def states_kept(module: nn.Module) -> Iterator[None]:
    """Within it layers that users wrote may count and average as they like; afterwards their states are as they were.

    Layers of ours do so in training alone, and `states_kept` runs nothing in training.

    Args:
        module: The model. Of layers that are built within, the states are as `build` made them.
    """
    kept: _Kept = []
    token = _kept.set(kept)
    try:
        for each in module.modules():
            note_states(each)
        yield
    finally:
        _kept.reset(token)
        with torch.no_grad():
            for states, name, state, before in kept:
                state.copy_(before)
                states[name] = state


def note_states(module: nn.Module) -> None:
    """Keeps the states of a module, if a user wrote its class and `states_kept` is on."""
    kept = _kept.get()
    if kept is None or type(module).__module__.startswith(("lamella.", "torch.")):
        return
    known = {id(state) for _, _, state, _ in kept}
    for name, state in module._buffers.items():
        if state is not None and not state.is_meta and id(state) not in known:
            kept.append((module._buffers, name, state, state.clone()))
