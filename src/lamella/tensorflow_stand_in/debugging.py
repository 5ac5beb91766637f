"""`tf.debugging`: what must hold of tensors, and an error where it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lamella import ops
from lamella.engine.dtypes import torch_dtype
from lamella.errors import ArgumentError, DTypeError, NonFiniteError, ShapeError
from lamella.tensorflow_stand_in.tensors import constant, convert_to_tensor

__all__ = [
    "assert_all_finite",
    "assert_equal",
    "assert_greater",
    "assert_greater_equal",
    "assert_less",
    "assert_less_equal",
    "assert_near",
    "assert_negative",
    "assert_non_negative",
    "assert_non_positive",
    "assert_none_equal",
    "assert_positive",
    "assert_rank",
    "assert_shapes",
    "assert_type",
    "check_numerics",
    "is_numeric_tensor",
    "set_log_device_placement",
]


def _refuse(name: str, said: str, message: str | None) -> ArgumentError:
    return ArgumentError(f"tf.debugging.{name}: {said}" + (f" {message}" if message else ""))


def _compared(name: str, word: str, compare: Callable[[Any, Any], Any]) -> Callable[..., None]:
    def check(x: Any, y: Any, message: str | None = None, summarize: int | None = None, name: Any = None) -> None:
        x, y = constant(x), constant(y)
        try:
            fits = torch.as_tensor(compare(x, y))
        except RuntimeError as error:  # shapes that do not go together
            said = f"x {word} y must hold; the shapes {tuple(x.shape)} and {tuple(y.shape)} do not fit."
            raise _refuse(check.__name__, said, message) from error
        if not bool(fits.all()):
            places = torch.nonzero(~fits)
            where = f" first at {places[0].tolist()}" if fits.ndim else ""
            raise _refuse(check.__name__, f"x {word} y must hold; it does not{where}.", message)

    check.__name__ = check.__qualname__ = name
    check.__doc__ = f"Raises ArgumentError unless x {word} y for all numbers (shapes are broadcast)."
    return check


def _signed(name: str, word: str, compare: Callable[[Any, Any], Any]) -> Callable[..., None]:
    compared = _compared(name, word, compare)

    def check(x: Any, message: str | None = None, summarize: int | None = None, name: Any = None) -> None:
        compared(x, 0, message)

    check.__name__ = check.__qualname__ = name
    check.__doc__ = f"Raises ArgumentError unless x {word} 0 for all numbers."
    return check


assert_equal = _compared("assert_equal", "==", lambda x, y: x == y)
assert_none_equal = _compared("assert_none_equal", "!=", lambda x, y: x != y)
assert_less = _compared("assert_less", "<", lambda x, y: x < y)
assert_less_equal = _compared("assert_less_equal", "<=", lambda x, y: x <= y)
assert_greater = _compared("assert_greater", ">", lambda x, y: x > y)
assert_greater_equal = _compared("assert_greater_equal", ">=", lambda x, y: x >= y)
assert_positive = _signed("assert_positive", ">", lambda x, y: x > y)
assert_negative = _signed("assert_negative", "<", lambda x, y: x < y)
assert_non_negative = _signed("assert_non_negative", ">=", lambda x, y: x >= y)
assert_non_positive = _signed("assert_non_positive", "<=", lambda x, y: x <= y)


def assert_near(
    x: Any,
    y: Any,
    rtol: float | None = None,
    atol: float | None = None,
    message: str | None = None,
    summarize: int | None = None,
    name: str | None = None,
) -> None:
    """Raises ArgumentError unless |x - y| <= atol + rtol |y|; both are ten times the precision of the type by default.

    Example:
        >>> assert_near(1.0, 1.0000001)
    """
    x = convert_to_tensor(x)
    y = convert_to_tensor(y, x.dtype)
    precision = 10 * torch.finfo(x.dtype).eps if x.is_floating_point() else 0.0
    bound = (precision if atol is None else atol) + (precision if rtol is None else rtol) * y.abs()
    if not bool(((x - y).abs() <= bound).all()):
        furthest = float((x - y).abs().max())
        raise _refuse("assert_near", f"x and y must be near each other; they differ by up to {furthest:g}.", message)


def assert_rank(x: Any, rank: Any, message: str | None = None, name: str | None = None) -> None:
    """Raises ShapeError unless x has so many axes."""
    x = convert_to_tensor(x)
    if x.ndim != int(rank):
        raise ShapeError(
            f"tf.debugging.assert_rank: {int(rank)} axes were expected; the shape is {tuple(x.shape)}."
            + (f" {message}" if message else "")
        )


def assert_shapes(
    shapes: Any, data: Any = None, summarize: int | None = None, message: str | None = None, name: str | None = None
) -> None:
    """Raises ShapeError unless each tensor has its shape, in which texts stand for sizes that are alike everywhere.

    Example:
        >>> assert_shapes([(torch.ones(2, 3), ("n", 3)), (torch.ones(2), ("n",))])
    """
    known: dict[str, int] = {}
    for x, shape in shapes.items() if isinstance(shapes, dict) else shapes:
        sizes = tuple(convert_to_tensor(x).shape)
        wanted = tuple(shape) if isinstance(shape, (list, tuple, str)) else (shape,)
        if wanted[:1] in ((...,), ("...",)):  # any axes before the others
            wanted = (None,) * (len(sizes) - len(wanted) + 1) + wanted[1:]
        fits = len(wanted) == len(sizes)
        for size, each in zip(sizes, wanted, strict=False):
            each = known.setdefault(each, size) if isinstance(each, str) and not each.isdigit() else each
            fits = fits and (each is None or int(each) == size)
        if not fits:
            raise ShapeError(
                f"tf.debugging.assert_shapes: the shape {tuple(shape)} was expected; found {sizes}."
                + (f" {message}" if message else "")
            )


def assert_type(tensor: Any, tf_type: Any, message: str | None = None, name: str | None = None) -> None:
    """Raises DTypeError unless the tensor has the type."""
    found = convert_to_tensor(tensor).dtype
    if found != torch_dtype(tf_type):
        raise DTypeError(
            f"tf.debugging.assert_type: {torch_dtype(tf_type)} was expected; found {found}."
            + (f" {message}" if message else "")
        )


def assert_all_finite(x: Any, message: str = "", name: str | None = None) -> Any:
    """The tensor; raises NonFiniteError where a number is infinite or none."""
    x = convert_to_tensor(x)
    if not bool(ops.all(ops.isfinite(x))):
        raise NonFiniteError(f"tf.debugging: the tensor has numbers that are infinite or NaN. {message}".rstrip())
    return x


check_numerics = assert_all_finite


def is_numeric_tensor(tensor: Any) -> bool:
    """Whether it is a tensor of numbers."""
    return isinstance(tensor, torch.Tensor) and tensor.dtype is not torch.bool


def set_log_device_placement(enabled: bool) -> None:
    """Nothing is told of it: a tensor knows its `device`."""
