"""Habits of TensorFlow's tensors that torch's have not, for scripts that were written for them.

They are taken on by `keras_alias.install()` alone: who imports Lamella as a library keeps torch's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella.engine.device import accelerator, brought_to
from lamella.engine.nested import holds_tensors
from lamella.engine.symbolic import SymbolicTensor
from lamella.engine.tensor_shape import TensorShape
from lamella.engine.variable import State, Weight, assignable_part
from lamella.errors import ShapeError

_TAKING_LISTS = (
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow matmul rmatmul "
    "and rand or ror xor rxor eq ne lt le gt ge"
).split()
_IN_PLACE = "add sub mul truediv floordiv mod pow and or xor matmul".split()
_OPERATORS: dict[Any, Callable[..., torch.Tensor]] = {
    np.add: torch.add,
    np.subtract: torch.sub,
    np.multiply: torch.mul,
    np.divide: torch.true_divide,
    np.floor_divide: torch.floor_divide,
    np.remainder: torch.remainder,
    np.power: torch.pow,
    np.matmul: torch.matmul,
    np.less: torch.lt,
    np.less_equal: torch.le,
    np.greater: torch.gt,
    np.greater_equal: torch.ge,
    np.equal: torch.eq,
    np.not_equal: torch.ne,
}


def take_on() -> None:
    """Takes on all of them, once."""
    _meet_arrays()
    _tell_shapes()
    _change_operators()


def _meet_arrays() -> None:
    """Results and NumPy's arrays together, as TensorFlow has them and torch has not, or not where gradients flow.

    `model(x).numpy()` and `np.array(model(x))` give arrays, NumPy's functions of tensors too, and an operator between a
    tensor and an array gives a tensor, through which gradients flow.
    """
    plain, as_float = torch.Tensor.numpy, torch.Tensor.__float__

    def numpy(self: torch.Tensor, *, force: bool = False) -> np.ndarray:
        return plain(self, force=True).copy()

    def array(self: torch.Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = plain(self, force=True)
        if dtype is not None and values.dtype != dtype:
            return values.astype(dtype)
        return values.copy() if copy else values

    def as_arrays(structure: Any) -> Any:
        return pytree.tree_map_only(torch.Tensor, array, structure)

    def array_function(self: torch.Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return function(*as_arrays(args), **as_arrays(kwargs))

    def array_ufunc(self: torch.Tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or ufunc not in _OPERATORS or kwargs:
            return getattr(ufunc, method)(*as_arrays(inputs), **as_arrays(kwargs))
        return _OPERATORS[ufunc](*(_beside(self, each) for each in inputs))

    torch.Tensor.__float__ = lambda self: as_float(self.detach())  # type: ignore[method-assign]
    torch.Tensor.numpy = numpy  # type: ignore[method-assign, assignment]
    torch.Tensor.__array__ = array  # type: ignore[method-assign, assignment]
    torch.Tensor.__array_function__ = array_function  # type: ignore[attr-defined]
    torch.Tensor.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]


def _tell_shapes() -> None:
    """`x.shape.as_list()`, `x.shape == [2, 3]`, `x.get_shape()` and `x.set_shape([None, 3])`."""
    plain = torch.Tensor.shape.__get__  # type: ignore[attr-defined]

    def shape(self: torch.Tensor) -> tuple[Any, ...]:
        return plain(self) if _asked_by_a_library() else TensorShape(plain(self))

    def set_shape(self: torch.Tensor, shape: Any) -> None:
        """Where TensorFlow does not know the shape in a `map`, it is told; here it is known, and only compared."""
        check_shape(self, shape, "set_shape")

    torch.Tensor.shape = property(shape)  # type: ignore[assignment, misc]
    torch.Tensor.get_shape = lambda self: TensorShape(plain(self))  # type: ignore[attr-defined]
    torch.Tensor.set_shape = set_shape  # type: ignore[attr-defined]
    SymbolicTensor.shape_kind = TensorShape
    SymbolicTensor.get_shape = lambda self: self.shape  # type: ignore[attr-defined]


def check_shape(tensor: torch.Tensor, shape: Any, caller: str) -> None:
    """Compares the shape of a tensor with one in which None stands for any size.

    Raises:
        ShapeError: They differ.
    """
    wanted, found = tuple(shape), tuple(tensor.shape)
    if len(wanted) != len(found) or any(n is not None and n != size for n, size in zip(wanted, found, strict=True)):
        raise ShapeError(f"{caller}: the shape {wanted} was expected; found {found}.")


def _change_operators() -> None:
    """Lists are operands, `x += y` makes a new tensor, slices go backwards, those of weights can be assigned."""
    for name in _TAKING_LISTS:
        _wrap(torch.Tensor, f"__{name}__", _also_of_lists)
    for name in _IN_PLACE:
        plain, new = getattr(torch.Tensor, f"__i{name}__", None), getattr(torch.Tensor, f"__{name}__")
        setattr(torch.Tensor, f"__i{name}__", _out_of_place(plain, new))
    _wrap(torch.Tensor, "__getitem__", _also_backwards)
    for kind in (Weight, State):
        _wrap(kind, "__getitem__", _assignable)
    for name in ("tensor", "as_tensor"):
        _wrap(torch, name, _of_lists)


def _wrap(kind: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
    setattr(kind, name, wrapper(getattr(kind, name)))


def _also_of_lists(plain: Callable[..., Any]) -> Callable[..., Any]:
    """`tensor * [1, 2]`, and `tensor == [1, 2]`, which torch answers with False; tensors of two devices meet on one."""

    @wraps(plain)
    def operator(self: torch.Tensor, other: Any) -> Any:
        if isinstance(other, (list, tuple)):
            other = _beside(self, other)
        elif accelerator() is not None and isinstance(other, torch.Tensor) and other.device != self.device:
            home = other.device if self.device.type == "cpu" else self.device
            self, other = brought_to(home, self), brought_to(home, other)
        return plain(self, other)

    return operator


def _beside(tensor: torch.Tensor, values: Any) -> Any:
    """The operand as a tensor: of the other's type where that is of floats, or both are whole."""
    if isinstance(values, torch.Tensor):
        return values
    try:
        found = _stacked(values, tensor.device)
    except (TypeError, ValueError):  # of texts, say: the operator refuses it in its own words
        return values
    if found.is_complex() or tensor.dtype is torch.bool:
        return found
    return found if found.is_floating_point() and not tensor.is_floating_point() else found.to(tensor.dtype)


def _stacked(values: Any, device: torch.device) -> torch.Tensor:
    if holds_tensors(values):
        return torch.stack([_stacked(each, device) for each in values])
    return torch.as_tensor(values, device=device)


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


def _of_lists(plain: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """`torch.tensor([loss, loss])`: since `__getitem__` is Python's, torch takes even one number for a list."""

    @wraps(plain)
    def tensor(data: Any, *args: Any, **options: Any) -> torch.Tensor:
        if holds_tensors(data):
            found = _stacked(data, torch.device("cpu"))
            data, options["dtype"] = found.tolist(), options.get("dtype") or found.dtype
        return plain(data, *args, **options)

    return tensor


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
