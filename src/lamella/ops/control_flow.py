"""Loops and branches over tensors, and gradients of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from lamella.engine.on_meta import on_meta
from lamella.engine.symbolic import SymbolicTensor, record
from lamella.errors import ArgumentError, ShapeError
from lamella.ops.base import op, tensor


def _without_values(structure: Any) -> bool:
    return any(isinstance(leaf, torch.Tensor) and leaf.is_meta for leaf in pytree.tree_leaves(structure))


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """`true_fn()` where `pred` is true, else `false_fn()`.

    With a symbolic `pred` both are computed, and `pred` chooses between the results. While a symbolic call finds
    shapes, a tensor `pred` counts as true, as in Keras: it may follow from sizes that are not known.

    Example:
        >>> cond(torch.tensor(3) > 2, lambda: "larger", lambda: "smaller")
        'larger'
    """
    if isinstance(pred, SymbolicTensor):
        return record(_chosen, (pred, true_fn(), false_fn()), {})
    unknown = _without_values(pred) or (isinstance(pred, torch.Tensor) and on_meta())
    return true_fn() if unknown or bool(pred) else false_fn()


def _chosen(pred: torch.Tensor, first: Any, second: Any) -> Any:
    return pytree.tree_map(lambda a, b: torch.where(pred, tensor(a), tensor(b)), first, second)


_chosen.__name__ = "cond"


@op
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """`branches[index](*operands)`, with the index brought into range.

    Example:
        >>> switch(1, [lambda x: x + 1, lambda x: x * 10], 5)
        50
    """
    if _without_values(index):
        return branches[0](*operands)
    return branches[min(max(int(index), 0), len(branches) - 1)](*operands)


@op
def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """Repeats `loop_vars = body(*loop_vars)` while `cond(*loop_vars)` holds.

    Args:
        cond: A function of the loop variables that gives a truth.
        body: A function of the loop variables that gives new ones.
        loop_vars: One tensor, or a tuple or list of tensors.
        maximum_iterations: The most rounds.

    Example:
        >>> while_loop(lambda i: i < 10, lambda i: i + 3, 0)
        tensor(12, dtype=torch.int32)
    """
    several = isinstance(loop_vars, (tuple, list))
    found = pytree.tree_map(tensor, tuple(loop_vars) if several else (loop_vars,))
    rounds = 0
    if not _without_values(found):
        while (maximum_iterations is None or rounds < maximum_iterations) and bool(cond(*found)):
            found = body(*found)
            found = tuple(found) if isinstance(found, (list, tuple)) else (found,)
            rounds += 1
    return found if several else found[0]


@op
def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """`value = body_fun(i, value)` for i from `lower` to `upper` (excluded).

    Example:
        >>> fori_loop(0, 4, lambda i, value: value + i, 10)
        16
    """
    value = init_val
    for i in range(int(lower), int(upper)):
        value = body_fun(i, value)
    return value


@op
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: Any = 1,
) -> tuple[Any, Any]:
    """Carries a state along the first axis: `carry, y = f(carry, x)` for each x.

    Args:
        f: The step.
        init: The first carry: tensors in any nesting.
        xs: What is walked over: tensors in any nesting; None with `length` walks over nothing.
        length: The number of steps; that of `xs` by default.
        reverse: Whether to walk from the end.
        unroll: Kept for Keras's signature.

    Returns:
        The last carry, and the ys stacked in the order of `xs`.

    Raises:
        ArgumentError: Neither `xs` nor `length`, or an `unroll` below 1.

    Example:
        >>> scan(lambda carry, x: (carry + x, carry * x), 0, [1, 2, 3])
        (tensor(6, dtype=torch.int32), tensor([0, 2, 9], dtype=torch.int32))
    """
    if not callable(f):
        raise TypeError(f"`f` must be callable; got {f!r}.")
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ArgumentError(f"`unroll` must be a positive whole number or a truth; got {unroll!r}.")
    if xs is None and length is None:
        raise ArgumentError("scan needs `xs` to walk over, or the `length` of the walk.")
    xs = _stacked(xs)
    count = int(length) if length is not None else len(pytree.tree_leaves(xs)[0])
    carry = pytree.tree_map(tensor, init)
    nothing = pytree.tree_map(torch.zeros_like, carry)
    ys: list[Any] = [None] * count
    for i in reversed(range(count)) if reverse else range(count):
        carry, y = f(carry, pytree.tree_map(lambda x, i=i: x[i], xs) if xs is not None else None)
        ys[i] = nothing if y is None else y
    return carry, pytree.tree_map(lambda *each: torch.stack([tensor(e) for e in each]), *ys) if ys else None


def _stacked(xs: Any) -> Any:
    """The leaves as tensors; a list of numbers is one leaf."""
    if xs is None:
        return None
    if isinstance(xs, (list, tuple)) and xs and not any(isinstance(x, (list, tuple, dict)) or _ranked(x) for x in xs):
        return tensor(xs)
    return pytree.tree_map(tensor, xs)


def _ranked(x: Any) -> bool:
    return getattr(x, "ndim", 0) > 0


@op
def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """`f` of each item along the first axis, stacked.

    Example:
        >>> map(lambda x: x * 2, torch.tensor([1, 2]))
        tensor([2, 4])
    """
    return scan(lambda _, x: ((), f(x)), (), xs)[1]


@op
def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """`function` of each item along the first axis, all at once.

    Example:
        >>> vectorized_map(lambda x: x.sum(), torch.ones(2, 3))
        tensor([3., 3.])
    """
    return torch.vmap(function)(elements)


@op
def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All prefixes of an associative operation, in a logarithmic number of vectorised steps.

    Args:
        f: An associative operation of two nestings of tensors, elementwise along `axis`.
        elems: Tensors in any nesting, of equal length along `axis`.
        reverse: Whether to accumulate from the end.
        axis: The axis to scan.

    Raises:
        ShapeError: Unequal lengths.

    Source: Hillis and Steele, "Data Parallel Algorithms", 1986.

    Example:
        >>> associative_scan(torch.add, torch.tensor([1, 2, 3, 4]))
        tensor([ 1,  3,  6, 10])
    """
    if not callable(f):
        raise TypeError(f"`f` must be callable; got {f!r}.")
    flat, spec = pytree.tree_flatten(_stacked(elems))
    lengths = {leaf.shape[axis] for leaf in flat}
    if len(lengths) > 1:
        raise ShapeError(f"associative_scan needs equal lengths along axis {axis}; got {sorted(lengths)}.")
    flat = [torch.flip(leaf, (axis,)) for leaf in flat] if reverse else flat
    count, step = lengths.pop(), 1
    while step < count:
        before = pytree.tree_unflatten([leaf.narrow(axis, 0, count - step) for leaf in flat], spec)
        after = pytree.tree_unflatten([leaf.narrow(axis, step, count - step) for leaf in flat], spec)
        joined = [tensor(leaf) for leaf in pytree.tree_leaves(f(before, after))]
        flat = [torch.cat([leaf.narrow(axis, 0, step), new], axis) for leaf, new in zip(flat, joined, strict=True)]
        step *= 2
    flat = [torch.flip(leaf, (axis,)) for leaf in flat] if reverse else flat
    return pytree.tree_unflatten(flat, spec)


@op
def vectorize(pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None) -> Callable[..., Any]:
    """A function that applies `pyfunc` elementwise, as `numpy.vectorize` does, but by `torch.vmap`.

    Args:
        pyfunc: A function of tensors.
        excluded: Positions and names of arguments that are passed as they are.
        signature: Core dimensions, such as `"(n),(n)->()"`; scalars by default.

    Example:
        >>> vectorize(lambda x, y: torch.where(x > y, x - y, x + y))(torch.tensor([1, 5]), torch.tensor(3))
        tensor([4, 2])
    """
    skipped = set(excluded or ())

    def called(*args: Any, **kwargs: Any) -> Any:
        keys = [*range(len(args)), *kwargs]
        values = dict(zip(keys, [*args, *kwargs.values()], strict=True))
        mapped = [key for key in keys if key not in skipped]
        ranks = _core_ranks(signature, len(mapped))
        leaves = [tensor(values[key]) for key in mapped]
        outer = [leaf.shape[: leaf.ndim - rank] for leaf, rank in zip(leaves, ranks, strict=True)]
        shape = torch.broadcast_shapes(*outer)

        def whole(*parts: torch.Tensor) -> Any:
            given = {**values, **dict(zip(mapped, parts, strict=True))}
            return pyfunc(*[given[i] for i in range(len(args))], **{name: given[name] for name in kwargs})

        function = whole
        for _ in shape:
            function = torch.vmap(function)
        return function(
            *[leaf.expand(*shape, *leaf.shape[leaf.ndim - rank :]) for leaf, rank in zip(leaves, ranks, strict=True)]
        )

    return called


def _core_ranks(signature: str | None, count: int) -> list[int]:
    if signature is None:
        return [0] * count
    groups = signature.split("->")[0].replace(" ", "").strip("()").split("),(")
    if len(groups) != count:
        raise ArgumentError(f"The signature {signature!r} has {len(groups)} arguments; {count} were given.")
    return [len(group.split(",")) if group else 0 for group in groups]


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: `f` returns its value and a function that gives its gradient.

    Args:
        f: A function that returns `(output, grad_fn)`; `grad_fn(*args, upstream=...)` gives the gradient by
            each argument (one, or a tuple).

    Example:
        >>> @custom_gradient
        ... def log1pexp(x):
        ...     e = torch.exp(x)
        ...     def grad(*args, upstream):
        ...         return upstream * (1 - 1 / (1 + e))
        ...     return torch.log(1 + e), grad
        >>> x = torch.tensor(100.0, requires_grad=True)
        >>> torch.autograd.grad(log1pexp(x), x)
        (tensor(1.),)
    """

    def called(*args: Any, **kwargs: Any) -> Any:
        return _CustomGradient.apply(f, kwargs, *args)

    return called


class _CustomGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, f: Any, kwargs: Any, *args: Any) -> Any:
        output, ctx.gradient = f(*args, **kwargs)
        ctx.save_for_backward(*[arg for arg in args if isinstance(arg, torch.Tensor)])
        ctx.places = [isinstance(arg, torch.Tensor) for arg in args]
        return output

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        found = ctx.gradient(*ctx.saved_tensors, upstream=upstream[0] if len(upstream) == 1 else upstream)
        found = iter(found if isinstance(found, (tuple, list)) else (found,))
        return None, None, *[next(found, None) if place else None for place in ctx.places]
