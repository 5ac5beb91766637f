"""Cross-entropies of distributions over classes: one-hot targets."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.losses.base import (
    EPSILON,
    LossFunctionWrapper,
    _as_tensor,
    as_predictions,
    as_targets,
    check_finite,
    matched,
    registry,
)
from lamella.losses.logits import logits_of, rows


@registry.register()
def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> torch.Tensor:
    """-sum(y log p) along `axis`, for one-hot (or any) target distributions.

    Args:
        y_true: Target distributions.
        y_pred: Probabilities (scaled to sum to one), or logits with `from_logits`.
        from_logits: Whether `y_pred` has not been through a softmax yet.
        label_smoothing: Moves targets towards the uniform distribution by this share.
        axis: The axis of the classes.

    Example:
        >>> categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])
        tensor([0.6931])
    """
    _check_axis("categorical_crossentropy", axis)
    y_true, y_pred = _one_hot_matched("categorical_crossentropy", y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing, axis)
    return -(y_true * _log_probabilities(y_pred, from_logits, axis)).sum(dim=axis)


def _log_probabilities(y_pred: torch.Tensor, from_logits: bool, axis: int) -> torch.Tensor:
    if from_logits:
        return torch.log_softmax(y_pred, dim=axis)
    return torch.log(_probabilities(y_pred, axis))


def _probabilities(y_pred: torch.Tensor, axis: int) -> torch.Tensor:
    return (y_pred / y_pred.sum(dim=axis, keepdim=True)).clamp(EPSILON, 1.0 - EPSILON)


def _smoothed(y_true: torch.Tensor, smoothing: float, axis: int) -> torch.Tensor:
    return y_true * (1.0 - smoothing) + smoothing / y_true.shape[axis] if smoothing else y_true


def _one_hot_matched(name: str, y_true: Any, y_pred: Any) -> tuple[torch.Tensor, torch.Tensor]:
    y_true, y_pred = _as_tensor(y_true), as_predictions(y_pred)
    if y_true.shape != y_pred.shape and _are_class_numbers(y_true.shape, y_pred.shape):
        raise _class_numbers_error(name, y_true.shape, y_pred.shape)
    y_true, y_pred = matched(name, y_true, y_pred)
    if y_pred.shape[-1] == 1:
        warnings.warn(
            f"{name} of one class is always 0 (the predictions have shape {tuple(y_pred.shape)}). For two classes "
            f"with one output use binary_crossentropy.",
            SyntaxWarning,
            stacklevel=4,
        )
    return y_true, y_pred


def _are_class_numbers(target: Sequence[int], output: Sequence[int | None]) -> bool:
    """Whether targets have one number where the output has one for each class."""
    wanted = tuple(output[:-1])
    target = tuple(target[:-1]) if len(target) == len(output) and target[-1] == 1 else tuple(target)
    return output[-1] != 1 and len(target) == len(wanted) and target[1:] == wanted[1:]


def _class_numbers_error(name: str, target: Sequence[int], output: Sequence[int | None]) -> ShapeError:
    return ShapeError(
        f"{name}: the targets have shape {tuple(target)}, but the predictions have shape {tuple(output)}; "
        f"they must be equal. The targets look like class numbers: use loss='sparse_categorical_crossentropy', "
        f"or make them one-hot with lamella.utils.to_categorical(y, {output[-1]})."
    )


def _check_axis(name: str, axis: Any) -> None:
    if isinstance(axis, bool):
        raise ArgumentError(f"{name}: `axis` must be a whole number; got {axis!r}.")


@registry.register()
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> torch.Tensor:
    """-sum(alpha (1 - p)^gamma y log p) along `axis` (Lin et al., 2017).

    Args:
        y_true: Target distributions.
        y_pred: Probabilities, or logits with `from_logits`.
        alpha: The weight (a number, or one for each class).
        gamma: How much less easy samples count.
        from_logits: Whether `y_pred` has not been through a softmax yet.
        label_smoothing: Moves targets towards the uniform distribution by this share.
        axis: The axis of the classes.

    Example:
        >>> categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])
        tensor([0.0433])
    """
    _check_axis("categorical_focal_crossentropy", axis)
    y_true, y_pred = _one_hot_matched("categorical_focal_crossentropy", y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing, axis)
    p = _probabilities(torch.softmax(y_pred, dim=axis) if from_logits else y_pred, axis)
    if not isinstance(alpha, (int, float)):
        alpha = torch.as_tensor(alpha, dtype=p.dtype, device=p.device)
    return (alpha * (1.0 - p).pow(gamma) * -y_true * torch.log(p)).sum(dim=axis)


class _OneHotLoss(LossFunctionWrapper):
    """What losses of one-hot targets share: the check of the targets."""

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        y_true = as_targets(self.name, y_true)
        shape = tuple(y_true.shape)
        if len(shape) != len(output_shape) or any(
            own not in (None, size) for size, own in zip(shape[1:], output_shape[1:], strict=True)
        ):
            if _are_class_numbers(shape, output_shape):
                raise _class_numbers_error(self.name, shape, output_shape)
            raise ShapeError(
                f"{self.name}: the targets have shape {shape}, but the model's output has shape {tuple(output_shape)}. "
                f"Give the last layer as many units as there are classes."
            )
        check_finite(self.name, y_true)
        if y_true.numel() and bool((y_true < 0).any()):
            raise DataError(f"{self.name}: the targets are distributions, 0 or more; found {float(y_true.min()):g}.")


@registry.register()
class CategoricalCrossentropy(_OneHotLoss):
    """-sum(y log p), for one-hot targets.

    Args:
        from_logits: Whether predictions have not been through a softmax yet (more exact, and faster).
        label_smoothing: Moves targets towards the uniform distribution by this share.
        axis: The axis of the classes.
        reduction: As for every loss.
        name: A name.
        dtype: The data type.

    Example:
        >>> CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])
        tensor(0.6931)
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def mean(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        logits = y_pred if self.from_logits else logits_of(y_pred, self.axis)
        if logits is None:
            return super().mean(y_true, y_pred)
        y_true, logits = _one_hot_matched(self.name, y_true, logits)
        y_true = _smoothed(y_true, self.label_smoothing, self.axis)
        return F.cross_entropy(rows(logits, self.axis), rows(y_true, self.axis))


@registry.register()
class CategoricalFocalCrossentropy(_OneHotLoss):
    """Categorical cross-entropy in which easy samples count less (Lin et al., 2017).

    Example:
        >>> CategoricalFocalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])
        tensor(0.0433)
    """

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self._weight = alpha

    def call(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        if not isinstance(self._weight, (int, float)):
            # Kept on the device: a copy from the host at every step would wait, and cannot be captured.
            self._weight = torch.as_tensor(self._weight, dtype=y_pred.dtype, device=y_pred.device)
        return self.fn(y_true, y_pred, **{**self._fn_kwargs, "alpha": self._weight})
