"""Where weights are made and batches are sent: CUDA, MPS or the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import nn

_CHOSEN: torch.device | None = None


def default_device() -> torch.device:
    """The device that new weights are made on: the one chosen by `device(...)`, else the fastest present.

    Example:
        >>> with device("cpu"):
        ...     default_device()
        device(type='cpu')
    """
    if _CHOSEN is not None:
        return _CHOSEN
    if torch.get_default_device().type not in ("cpu", "meta"):
        return torch.get_default_device()
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


@contextmanager
def device(name: str | torch.device) -> Iterator[torch.device]:
    """Within it, new weights are made on the device `name` (`"cpu"`, `"cuda:1"`, ...)."""
    global _CHOSEN
    before = _CHOSEN
    _CHOSEN = torch.device(str(name).lower().replace("gpu", "cuda"))
    try:
        yield _CHOSEN
    finally:
        _CHOSEN = before


def device_of(module: nn.Module) -> torch.device:
    """The device of a module's first weight; the default device where it has none."""
    for tensor in chain(module.parameters(), module.buffers()):
        return tensor.device
    return default_device()
