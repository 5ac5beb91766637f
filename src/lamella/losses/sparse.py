"""Losses whose targets are class numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine import masking
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.losses.base import (
    EPSILON,
    LossFunctionWrapper,
    _as_tensor,
    as_predictions,
    as_targets,
    check_finite,
    registry,
)
from lamella.losses.logits import logits_of, rows


@registry.register()
def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> torch.Tensor:
    """-log p[y], for targets that are class numbers.

    Args:
        y_true: Class numbers from 0.
        y_pred: Probabilities (scaled to sum to one), or logits with `from_logits`.
        from_logits: Whether `y_pred` has not been through a softmax yet.
        ignore_class: A class number whose samples are left out.
        axis: The axis of the classes in `y_pred`.

    Raises:
        ShapeError: Targets that do not have the shape of the predictions without the class axis.

    Example:
        >>> sparse_categorical_crossentropy([1], [[0.5, 0.5]])
        tensor([0.6931])
    """
    y_true, y_pred = _sparse_matched("sparse_categorical_crossentropy", y_true, y_pred, axis)
    if ignore_class is None:
        return _sparse(y_true, y_pred, from_logits, axis)
    valid = y_true != ignore_class
    losses = _sparse(torch.where(valid, y_true, torch.zeros_like(y_true)), y_pred, from_logits, axis)
    losses = torch.where(valid, losses, torch.zeros_like(losses))
    masking.set_mask(losses, valid)
    return losses


def _sparse(y_true: torch.Tensor, y_pred: torch.Tensor, from_logits: bool, axis: int) -> torch.Tensor:
    if from_logits:
        losses = F.cross_entropy(rows(y_pred, axis), y_true.reshape(-1), reduction="none")
        return losses.reshape(y_true.shape)
    # Only the probability of the true class is scaled and clipped: the others have no part in the loss.
    p_true = y_pred.gather(axis, y_true.unsqueeze(axis)) / y_pred.sum(dim=axis, keepdim=True)
    return -torch.log(p_true.clamp(EPSILON, 1.0 - EPSILON)).squeeze(axis)


def _sparse_matched(name: str, y_true: Any, y_pred: Any, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    y_pred, y_true = as_predictions(y_pred), _as_tensor(y_true)
    if y_true.ndim == y_pred.ndim and y_true.shape[axis] == 1:
        y_true = y_true.squeeze(axis)
    shape = y_pred.shape
    if y_true.shape != (shape[:-1] if axis == -1 else _without(shape, axis)):
        raise _sparse_shape_error(name, tuple(y_true.shape), tuple(shape))
    if y_true.dtype is not torch.int64 or y_true.device != y_pred.device:
        y_true = y_true.to(y_pred.device, torch.int64)
    return y_true, y_pred


def _without(shape: Sequence[Any], axis: int) -> tuple[Any, ...]:
    axis %= len(shape)
    return (*shape[:axis], *shape[axis + 1 :])


def _sparse_shape_error(name: str, target: Sequence[Any], output: Sequence[Any]) -> ShapeError:
    mend = "Reshape the targets to one class number for each prediction."
    if len(target) == len(output) and target[-1] not in (None, 1):
        mend = "The targets look one-hot: use loss='categorical_crossentropy', or y.argmax(axis=-1)."
    return ShapeError(
        f"{name}: the targets have shape {tuple(target)}, but the predictions have shape {tuple(output)}: expected "
        f"targets of shape {_without(tuple(output), -1)}, one class number each. {mend}"
    )


@registry.register()
def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> torch.Tensor:
    """(1 - p[y]^q) / q: between cross-entropy (q -> 0) and mean absolute error (q = 1); robust to wrong labels.

    Source: Zhang and Sabuncu, 2018.

    Example:
        >>> categorical_generalized_cross_entropy([1], [[0.75, 0.25]], q=0.5)
        tensor([1.])
    """
    y_true, y_pred = _sparse_matched("categorical_generalized_cross_entropy", y_true, y_pred, -1)
    p_true = y_pred.gather(-1, y_true.unsqueeze(-1)).squeeze(-1)
    # The slope of p^q is infinite at 0, and infinity times the 0 of a softmax would be NaN.
    positive = p_true > 0
    power = torch.where(positive, p_true, torch.ones_like(p_true)).pow(q)
    return (1 - torch.where(positive, power, torch.zeros_like(power))) / q


class _SparseLoss(LossFunctionWrapper):
    """What losses of class numbers share: the check of the targets."""

    _takes_class_numbers = True
    ignore_class: int | None = None
    axis: int = -1

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        output_shape = tuple(output_shape)
        classes = output_shape[self.axis]
        y_true = as_targets(self.name, y_true)
        shape = tuple(y_true.shape)
        if len(shape) == len(output_shape) and shape[self.axis] == 1:
            shape = _without(shape, self.axis)
        wanted = _without(output_shape, self.axis)
        if len(shape) != len(wanted) or any(
            own not in (None, size) for size, own in zip(shape[1:], wanted[1:], strict=True)
        ):
            raise _sparse_shape_error(self.name, tuple(y_true.shape), output_shape)
        check_finite(self.name, y_true)
        if y_true.is_floating_point() and bool((y_true != y_true.round()).any()):
            raise DataError(
                f"{self.name}: the targets must be class numbers (whole numbers), but some have a fraction."
            )
        bad = (y_true < 0) if classes is None else (y_true < 0) | (y_true >= classes)
        if self.ignore_class is not None:
            bad = bad & (y_true != self.ignore_class)
        if bool(bad.any()):
            raise self._out_of_range(y_true, bad, classes)

    def _out_of_range(self, y_true: torch.Tensor, bad: torch.Tensor, classes: int | None) -> DataError:
        counted = y_true if self.ignore_class is None else y_true[y_true != self.ignore_class]
        low, high, first = int(counted.min()), int(counted.max()), int(bad.nonzero()[0, 0])
        if classes is not None and low == 1 and high == classes:
            mend = "The labels start at 1: subtract 1 from them."
        elif classes == 1:
            mend = "For two classes and one output use binary_crossentropy."
        elif low < 0:
            mend = f"If {low} means 'no label', pass SparseCategoricalCrossentropy(ignore_class={low})."
        else:
            mend = f"Give the last layer {high + 1} units, one for each class."
        wanted = "0 or more"
        if classes is not None:
            wanted = f"from 0 to {classes - 1}, because the model has {classes} outputs"
        return DataError(
            f"{self.name}: labels must be whole numbers {wanted}; found {low} to {high} ({int(bad.sum())} out of "
            f"range, the first at sample {first}). {mend}"
        )


@registry.register()
class SparseCategoricalCrossentropy(_SparseLoss):
    """-log p[y], for targets that are class numbers.

    Args:
        from_logits: Whether predictions have not been through a softmax yet (more exact, and faster).
        ignore_class: A class number whose samples are left out.
        reduction: As for every loss.
        axis: The axis of the classes in the predictions.
        name: A name.
        dtype: The data type.

    Example:
        >>> SparseCategoricalCrossentropy()([1, 0], [[0.5, 0.5], [0.5, 0.5]])
        tensor(0.6931)
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis

    def mean(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        if self.ignore_class is not None:
            losses = self.call(y_true, y_pred)
            valid = masking.get_mask(losses)
            assert valid is not None
            return losses.sum() / valid.sum().clamp(min=1)
        logits = y_pred if self.from_logits else logits_of(y_pred, self.axis)
        if logits is None:
            return self.call(y_true, y_pred).mean()
        y_true, logits = _sparse_matched(self.name, y_true, logits, self.axis)
        return F.cross_entropy(rows(logits, self.axis), y_true if y_true.ndim == 1 else y_true.reshape(-1))


@registry.register()
class CategoricalGeneralizedCrossEntropy(_SparseLoss):
    """(1 - p[y]^q) / q, robust to wrong labels (Zhang and Sabuncu, 2018).

    Example:
        >>> CategoricalGeneralizedCrossEntropy(q=0.5)([1], [[0.75, 0.25]])
        tensor(1.)
    """

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        if not 0 < q < 1:
            raise ArgumentError(f"`q` must lie between 0 and 1; got {q!r}.")
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)
        self.q = q
