"""Where weights are made and batches are sent: an accelerator that torch knows, or the CPU."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree
from torch.utils.data import get_worker_info

from lamella.engine import masking


class _Chosen(threading.local):
    """What `device(...)` chose, in each thread."""

    def __init__(self) -> None:
        self.device: torch.device | None = None


_chosen = _Chosen()
_found: list[str | None] = []
"""What `accelerator` found, once it has been asked."""


def default_device() -> torch.device:
    """The device that new weights are made on: the one chosen by `device(...)`, else the accelerator, else the CPU.

    A worker process of a DataLoader stays on the CPU: an accelerator cannot be used after a fork.

    Example:
        >>> with device("cpu"):
        ...     default_device()
        device(type='cpu')
    """
    traced = torch.compiler.is_compiling()  # torch's compiler cannot follow what it asks of workers and of itself
    if not traced and get_worker_info() is not None:
        return torch.device("cpu")
    if _chosen.device is not None:
        return _chosen.device
    default = torch.empty(()).device if traced else torch.get_default_device()
    if default.type != "cpu":
        return default
    kind = accelerator()
    if kind is None or traced:
        return torch.device(kind or "cpu")
    return torch.device(kind, torch.accelerator.current_device_index())


def accelerator() -> str | None:
    """The kind of accelerator that torch found here (`"cuda"`, `"mps"`, `"xpu"`, ...); None where there is none."""
    if not _found:
        kind = torch.accelerator.current_accelerator(check_available=True)
        _found.append(None if kind is None else kind.type)
    return _found[0]


@contextmanager
def device(name: str | torch.device) -> Iterator[torch.device]:
    """Within it, new weights are made on the device `name` (`"cpu"`, `"cuda:1"`, ...), in this thread."""
    before = _chosen.device
    _chosen.device = chosen = torch.device(str(name).lower().replace("gpu", "cuda"))
    try:
        yield chosen
    finally:
        _chosen.device = before


def device_of(module: nn.Module) -> torch.device:
    """The device of a module's first weight; the default device where it has none."""
    for tensor in chain(module.parameters(), module.buffers()):
        return tensor.device
    return default_device()


def brought_to(device: torch.device, values: Any) -> Any:
    """`values`, in any nest, with the CPU's tensors on `device`, if that is an accelerator; masks go with them.

    Example:
        >>> brought_to(torch.device("cpu"), [torch.ones(2)])
        [tensor([1., 1.])]
    """
    if device.type in ("cpu", "meta"):
        return values
    return pytree.tree_map_only(torch.Tensor, lambda tensor: _brought(tensor, device), values)


def on_one_device(tensors: list[Any]) -> list[Any]:
    """The tensors (or None), all on the accelerator that one of them is on, numbers of the CPU too: to be joined."""
    home = next((each.device for each in tensors if each is not None and each.device.type != "cpu"), None)
    return tensors if home is None else brought_to(home, tensors)


def bring_parameter(parameter: nn.Parameter) -> None:
    """Moves a parameter of torch's own, made on the CPU, to the default device; it stays the same object."""
    there = brought_to(default_device(), parameter.detach())
    if there.device != parameter.device:
        torch.utils.swap_tensors(parameter, nn.Parameter(there, parameter.requires_grad))


def bring_weights(module: nn.Module) -> None:
    """Moves a module of torch's own, made on the CPU, to the default device, as Keras does: in its place."""
    home = default_device()
    if home.type != "cpu" and any(each.device.type == "cpu" for each in chain(module.parameters(), module.buffers())):
        module.to(home)


def _brought(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    if tensor.device.type != "cpu":
        return tensor
    there, mask = tensor.to(device), masking.get_mask(tensor)
    if mask is not None:
        masking.set_mask(there, mask.to(device))
    return there
