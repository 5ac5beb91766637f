"""Running code on torch's meta tensors, which have shapes but no data: how the shapes of outputs are found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

_SMALL = 4096
"""Up to how many numbers a tensor has that keeps its values while shapes are found."""


class OnMeta(TorchFunctionMode):
    """Within it every tensor that a torch function gets is replaced by its meta twin: shapes, no data.

    So layers with real weights run on meta inputs, and updates of their state go nowhere. Small tensors that are made
    within it of numbers alone keep their values: they may be shapes, `ops.tile(x, ops.stack([batch_size, 1]))`.
    """

    suspended = False
    depth = 0
    unknown = 0
    """The size of what only data tell, which differs between the runs that shapes are found by."""

    def __init__(self, unknown: int = 0) -> None:
        super().__init__()
        self._unknown = unknown

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if OnMeta.suspended:
            return func(*args, **(kwargs or {}))
        kwargs = kwargs or {}
        given = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if all(hasattr(tensor, "_made_of_numbers") for tensor in given):
            return pytree.tree_map_only(torch.Tensor, _keep_value, func(*args, **kwargs))
        if func is torch.Tensor.__getitem__:  # for step in ops.arange(4): x[:, step]
            args = args[0], pytree.tree_map_only(torch.Tensor, _as_place, args[1])
        args, kwargs = pytree.tree_map_only(torch.Tensor, to_meta, (args, kwargs))
        if func in (torch.Tensor.cpu, torch.Tensor.cuda):
            return args[0]
        if func is torch.Tensor.to:
            args, kwargs = _staying(args, kwargs)
        return func(*args, **kwargs)

    def __enter__(self) -> OnMeta:
        self._before = OnMeta.suspended, OnMeta.unknown
        OnMeta.suspended, OnMeta.unknown = False, self._unknown or OnMeta.unknown
        OnMeta.depth += 1
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        OnMeta.suspended, OnMeta.unknown = self._before
        OnMeta.depth -= 1
        super().__exit__(*exception)


def on_meta() -> bool:
    """Whether shapes are being found, so that nothing is to be drawn or counted."""
    return OnMeta.depth > 0 and not OnMeta.suspended


def _keep_value(tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_meta and tensor.numel() <= _SMALL:
        tensor._made_of_numbers = True  # type: ignore[attr-defined]
    return tensor


def _staying(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of `to`, where no device is another one: without data, nothing can go there."""
    given = tuple("meta" if isinstance(arg, (torch.device, str)) else arg for arg in args)
    return given, {key: "meta" if key == "device" else value for key, value in kwargs.items()}


def _as_place(index: torch.Tensor) -> Any:
    """One known whole number as such, which an index needs; other tensors as they are."""
    one = index.ndim == 0 and hasattr(index, "_made_of_numbers") and index.dtype in (torch.int32, torch.int64)
    return int(index) if one else index


def to_meta(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of the same shape and type without data."""
    return tensor if tensor.is_meta else torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")


@contextmanager
def off_meta() -> Iterator[None]:
    """Within it `OnMeta` is suspended: for making real weights while a layer runs on meta tensors."""
    before, OnMeta.suspended = OnMeta.suspended, True
    try:
        yield
    finally:
        OnMeta.suspended = before


__all__ = ["OnMeta", "off_meta", "on_meta", "to_meta"]
