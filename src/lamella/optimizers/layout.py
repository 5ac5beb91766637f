"""How weights, gradients and slots lie in memory: fused kernels walk all of them in one order."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import torch

from lamella.errors import ShapeError

Tensors = list[torch.Tensor]


_form, _strides = attrgetter("shape", "dtype"), torch.Tensor.stride


def all_laid_out(gradients: Sequence[torch.Tensor], weights: Tensors) -> Tensors:
    """The gradients, each in the memory order of its weight.

    Raises:
        ShapeError: A gradient of another shape than its weight: a fused kernel would read past its end.
    """
    same = list(map(_form, gradients)) == list(map(_form, weights))
    if same and list(map(_strides, gradients)) == list(map(_strides, weights)):
        return list(gradients)
    return [_laid_out(gradient, weight) for gradient, weight in zip(gradients, weights, strict=True)]


def _laid_out(gradient: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    if not isinstance(gradient, torch.Tensor):  # a NumPy array, as Keras takes it
        gradient = torch.as_tensor(gradient, device=weight.device)
    if gradient.shape != weight.shape:
        raise ShapeError(
            f"A gradient has shape {tuple(gradient.shape)}, its weight {tuple(weight.shape)}: they must be equal. "
            "Are the gradients in the order of the weights?"
        )
    if hasattr(weight, "to_local"):
        return gradient  # of a weight in several processes, whose parts here are laid out where they are updated
    own, wanted = gradient.stride(), weight.stride()
    same = all(size == 1 or a == b for size, a, b in zip(weight.shape, own, wanted, strict=True))
    if same and gradient.dtype is weight.dtype:  # an axis of length 1 has no order, but any stride
        return gradient if own == wanted else gradient.as_strided(weight.shape, wanted)
    return torch.empty_like(weight, requires_grad=False, memory_format=torch.preserve_format).copy_(gradient)


def in_memory_order(weights: Tensors, *others: Tensors) -> tuple[Tensors, ...]:
    """The same numbers seen with the axes in the order in which they lie in memory, the weights' order for all.

    A kernel of a convolution is a permuted view, which torch's fused optimizers copy at each step; seen as it lies in
    memory it is updated in place, about ten times as quickly.

    Example:
        >>> kernel = torch.zeros(8, 3, 3, 4).permute(1, 2, 3, 0)
        >>> in_memory_order([kernel])[0][0].shape
        torch.Size([8, 3, 3, 4])
    """
    orders = [None if weight.is_contiguous() else _order(weight.stride()) for weight in weights]
    if not any(orders):
        return weights, *others
    return tuple(
        [tensor if order is None else tensor.permute(order) for tensor, order in zip(tensors, orders, strict=True)]
        for tensors in (weights, *others)
    )


def _order(strides: tuple[int, ...]) -> list[int]:
    return sorted(range(len(strides)), key=lambda axis: -strides[axis])
