"""`tf.custom_gradient`: a function that says itself what its gradient is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import torch
from torch.utils import _pytree as pytree

from lamella import ops
from lamella.engine.variable import Weight
from lamella.tensorflow_stand_in.recorded_backward import is_leaf
from lamella.tensorflow_stand_in.tensors import convert_to_tensor


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: `f` returns its value, and a function that gives the gradient.

    That function takes the gradient of each result, and gives that of each argument. If it has an argument
    `variables`, it is also told which variables `f` used, and gives a pair: the gradients of the arguments, and
    those of the variables. Without it no gradient flows to them. One with an argument `upstream` is called as
    `keras.ops.custom_gradient` calls it.

    Example:
        >>> @custom_gradient
        ... def halved_backwards(x):
        ...     return x * 1.0, lambda dy: dy / 2
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> torch.autograd.grad(halved_backwards(x), x)
        (tensor(0.5000),)
    """

    @wraps(f)
    def computed(*args: Any, **kwargs: Any) -> Any:
        given = [each if ops.is_tensor(each) else convert_to_tensor(each) for each in args]
        results, gradient = f(*given, **kwargs)
        leaves, nesting = pytree.tree_flatten(results)
        if not all(isinstance(each, torch.Tensor) for each in leaves):
            return results
        names = inspect.signature(gradient).parameters
        used = _used(leaves, given) if "variables" in names else []

        def backward(*upstream: torch.Tensor) -> list[Any]:
            if "upstream" in names:
                return _several(gradient(*given, upstream=upstream[0] if len(upstream) == 1 else upstream))
            if not used:
                return _several(gradient(*upstream))
            of_arguments, of_variables = gradient(*upstream, variables=used)
            return [*_several(of_arguments), *_several(of_variables)]

        answers = _Answered.apply(backward, [each.detach() for each in leaves], *given, *used)
        return pytree.tree_unflatten(list(answers), nesting)

    return computed


class _Answered(torch.autograd.Function):
    """Results that are known, whose gradient is what a function answers.

    They were computed with gradients, so that what the function remembers of it can be differentiated once more.
    """

    @staticmethod
    def forward(ctx: Any, backward: Any, results: list[torch.Tensor], *sources: Any) -> Any:
        ctx.answer, ctx.count = backward, len(sources)
        return tuple(each.clone() for each in results)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        found = ctx.answer(*upstream)
        return None, None, *found, *[None] * (ctx.count - len(found))


def _several(answer: Any) -> list[Any]:
    return list(answer) if isinstance(answer, (tuple, list)) else [answer]


def _used(results: Iterable[torch.Tensor], given: list[Any]) -> list[torch.Tensor]:
    """The variables behind the results that are no arguments, in the order in which they are met."""
    waiting: list[Any] = [each.grad_fn for each in results if each.grad_fn is not None]
    arguments = {each.grad_fn for each in given if isinstance(each, torch.Tensor) and each.grad_fn is not None}
    seen: set[Any] = set(arguments)
    found: list[torch.Tensor] = []
    while waiting:
        node = waiting.pop(0)
        if node is None or node in seen:
            continue
        seen.add(node)
        if not is_leaf(node):
            waiting.extend(child for child, _ in node.next_functions)
        elif isinstance(node.variable, Weight) and not any(node.variable is each for each in given):
            found.append(node.variable)
    return found
