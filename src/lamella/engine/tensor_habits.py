"""Habits of TensorFlow's tensors that torch's have not, for scripts that were written for them.

They are taken on by `keras_alias.install()` alone: who imports Lamella as a library keeps torch's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

from lamella.engine.variable import State, Weight, assignable_part

_TAKING_LISTS = (
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow matmul rmatmul "
    "and rand or ror xor rxor eq ne lt le gt ge"
).split()
_IN_PLACE = "add sub mul truediv floordiv mod pow and or xor matmul".split()


def take_on() -> None:
    """Lists are operands, `x += y` makes a new tensor, slices go backwards, those of weights can be assigned."""
    for name in _TAKING_LISTS:
        _wrap(torch.Tensor, f"__{name}__", _also_of_lists)
    for name in _IN_PLACE:
        plain, new = getattr(torch.Tensor, f"__i{name}__", None), getattr(torch.Tensor, f"__{name}__")
        setattr(torch.Tensor, f"__i{name}__", _out_of_place(plain, new))
    _wrap(torch.Tensor, "__getitem__", _also_backwards)
    for kind in (Weight, State):
        _wrap(kind, "__getitem__", _assignable)


def _wrap(kind: type, name: str, wrapper: Callable[[Any], Any]) -> None:
    setattr(kind, name, wrapper(getattr(kind, name)))


def _also_of_lists(plain: Callable[..., Any]) -> Callable[..., Any]:
    """`tensor * [1, 2]`, and `tensor == [1, 2]`, which torch answers with False."""

    @wraps(plain)
    def operator(self: torch.Tensor, other: Any) -> Any:
        return plain(self, _beside(self, other) if isinstance(other, (list, tuple)) else other)

    return operator


def _beside(tensor: torch.Tensor, values: Any) -> Any:
    """The list as a tensor: of the other's type where both are of floating-point types or both are whole."""
    try:
        found = _stacked(values, tensor.device)
    except (TypeError, ValueError):  # of texts, say: the operator refuses it in its own words
        return values
    whole = not found.is_floating_point() and not found.is_complex()
    return found.to(tensor.dtype) if tensor.is_floating_point() or (whole and tensor.dtype is not torch.bool) else found


def _stacked(values: Any, device: torch.device) -> torch.Tensor:
    if isinstance(values, (list, tuple)) and _has_tensors(values):
        return torch.stack([_stacked(each, device) for each in values])
    return torch.as_tensor(values, device=device)


def _has_tensors(values: Any) -> bool:
    return any(
        _has_tensors(each) if isinstance(each, (list, tuple)) else isinstance(each, torch.Tensor) for each in values
    )


def _out_of_place(plain: Callable[..., Any] | None, new: Callable[..., Any]) -> Callable[..., Any]:
    """`x += y` in a script: another tensor, so that who else holds x keeps what it was.

    Torch's and Lamella's own code goes on in place, and so do weights, and what is trained by hand under `no_grad`.
    """

    @wraps(new)
    def operator(self: torch.Tensor, other: Any) -> Any:
        trained = self.requires_grad and self.is_leaf and not torch.is_grad_enabled()
        if plain is not None and (type(self) is not torch.Tensor or trained or _asked_by_a_library()):
            return plain(self, other)
        return new(self, other)

    return operator


def _asked_by_a_library() -> bool:
    """Whether the operator stands in torch's or Lamella's own code."""
    return sys._getframe(2).f_globals.get("__name__", "").partition(".")[0] in ("torch", "lamella")


def _also_backwards(plain: Callable[..., Any]) -> Callable[..., Any]:
    """`tensor[::-1]`, which torch refuses."""

    @wraps(plain)
    def part(self: torch.Tensor, index: Any) -> Any:
        if type(index) is slice or type(index) is tuple:
            parts = index if type(index) is tuple else (index,)
            if any(_goes_back(each) for each in parts):
                return plain(*_forwards(self, parts))
        return plain(self, index)

    return part


def _goes_back(index: Any) -> bool:
    return type(index) is slice and index.step is not None and int(index.step) < 0


def _forwards(tensor: torch.Tensor, parts: tuple[Any, ...]) -> tuple[torch.Tensor, tuple[Any, ...]]:
    """The tensor turned round along the axes that are read backwards, and the index that finds the same there."""
    axis, turned, found = 0, [], []
    for each in parts:
        if _goes_back(each):
            last = tensor.shape[axis] - 1
            start, stop, step = each.indices(last + 1)
            turned.append(axis)
            each = slice(last - start, max(last - stop, last - start), -step)
        found.append(each)
        axis += tensor.ndim - sum(map(_axes_taken, parts)) if each is Ellipsis else _axes_taken(each)
    return tensor.flip(turned), tuple(found)


def _axes_taken(index: Any) -> int:
    """How many axes of a tensor one part of an index is about."""
    if index is None or index is Ellipsis:
        return 0
    return index.ndim if isinstance(index, torch.Tensor) and index.dtype is torch.bool else 1


def _assignable(plain: Callable[..., Any]) -> Callable[..., Any]:
    """`layer.kernel[0].assign(...)`; and `layer.kernel[0]` is what it is now, also when the layer is trained on."""

    @wraps(plain)
    def part(self: torch.Tensor, index: Any) -> torch.Tensor:
        found = plain(self, index)
        return found if _asked_by_a_library() else assignable_part(self, index, found.clone())

    return part
