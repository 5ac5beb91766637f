"""Cross-entropies per sample, and the signal-to-noise ratio of pictures."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import ShapeError
from lamella.ops.base import floating, op, result_dtype, tensor

_EPSILON = 1e-7


def _same_shape(name: str, target: torch.Tensor, output: torch.Tensor) -> None:
    if target.shape != output.shape:
        raise ShapeError(
            f"{name}: `target` and `output` must have one shape; got {tuple(target.shape)} and {tuple(output.shape)}."
        )


def _log_probabilities(output: torch.Tensor, from_logits: bool, axis: int) -> torch.Tensor:
    if from_logits:
        return F.log_softmax(output, dim=axis)
    output = output / torch.sum(output, dim=axis, keepdim=True)
    return torch.log(torch.clamp(output, _EPSILON, 1 - _EPSILON))


@op
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> torch.Tensor:
    """-sum(target * log(output)) along `axis`.

    Args:
        target: Probabilities, such as one-hot rows.
        output: Probabilities, or logits with `from_logits`.
        from_logits: Whether the output is before its softmax.
        axis: The axis of the classes.

    Raises:
        ShapeError: Different shapes, or scalars.

    Example:
        >>> categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])
        tensor([0.6931])
    """
    target, output = tensor(target), floating(output)
    _same_shape("categorical_crossentropy", target, output)
    if not output.ndim:
        raise ShapeError("categorical_crossentropy: expected an axis of classes; got scalars.")
    return -torch.sum(target * _log_probabilities(output, from_logits, axis), dim=axis)


@op
def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> torch.Tensor:
    """-log(output[target]) along `axis`.

    Args:
        target: Class numbers; the axis of the classes is missing, or of size 1.
        output: Probabilities, or logits with `from_logits`.
        from_logits: Whether the output is before its softmax.
        axis: The axis of the classes.

    Raises:
        ShapeError: Shapes that do not fit.

    Example:
        >>> sparse_categorical_crossentropy([1], [[0.5, 0.5]])
        tensor([0.6931])
    """
    target, output = tensor(target).long(), floating(output)
    if not output.ndim:
        raise ShapeError("sparse_categorical_crossentropy: expected an axis of classes; got a scalar.")
    if target.ndim == output.ndim and target.shape[axis] == 1:
        target = target.squeeze(axis)
    axis = axis % output.ndim
    expected = output.shape[:axis] + output.shape[axis + 1 :]
    if target.shape != expected:
        raise ShapeError(
            f"sparse_categorical_crossentropy: `target` must have the shape of `output` without the axis of the "
            f"classes, {tuple(expected)}; got {tuple(target.shape)}."
        )
    return -_log_probabilities(output, from_logits, axis).gather(axis, target.unsqueeze(axis)).squeeze(axis)


@op
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> torch.Tensor:
    """-(target * log(output) + (1 - target) * log(1 - output)), for each number.

    Raises:
        ShapeError: Different shapes.

    Example:
        >>> binary_crossentropy([1.0], [0.5])
        tensor([0.6931])
    """
    target, output = tensor(target), floating(output)
    kind = result_dtype(target, output)
    target, output = target.to(kind), output.to(kind)
    _same_shape("binary_crossentropy", target, output)
    if from_logits:
        return F.binary_cross_entropy_with_logits(output, target, reduction="none")
    return F.binary_cross_entropy(torch.clamp(output, _EPSILON, 1 - _EPSILON), target, reduction="none")


@op
def psnr(x1: Any, x2: Any, max_val: float) -> torch.Tensor:
    """The peak signal-to-noise ratio in decibels: 20 log10(max_val) - 10 log10(mean((x1 - x2)^2)).

    Raises:
        ShapeError: Different shapes.

    Example:
        >>> psnr([1.0, 1.0], [0.9, 1.1], 1.0)
        tensor(20.0000)
    """
    x1, x2 = tensor(x1), tensor(x2)
    _same_shape("psnr", x1, x2)
    return 20 * torch.log10(tensor(max_val).to(x1)) - 10 * torch.log10(torch.mean((x1 - x2) ** 2))
