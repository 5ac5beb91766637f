"""Cross-entropies of probabilities that are independent of each other: for two classes, or several labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import DataError
from lamella.losses.base import (
    EPSILON,
    ElementwiseLoss,
    as_targets,
    matched,
    registry,
)


@registry.register("bce", "BCE")
def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> torch.Tensor:
    """-mean(y log p + (1 - y) log(1 - p)) along `axis`.

    Args:
        y_true: Targets from 0 to 1.
        y_pred: Probabilities, or logits with `from_logits`.
        from_logits: Whether `y_pred` has not been through a sigmoid yet.
        label_smoothing: Moves targets towards 1/2 by this share.
        axis: The axis of the mean.

    Example:
        >>> binary_crossentropy([[1.0]], [[0.5]])
        tensor([0.6931])
    """
    y_true, y_pred = matched("binary_crossentropy", y_true, y_pred)
    return _binary(_smoothed_binary(y_true, label_smoothing), y_pred, from_logits).mean(dim=axis)


def _binary(y_true: torch.Tensor, y_pred: torch.Tensor, from_logits: bool, reduction: str = "none") -> torch.Tensor:
    # From the logit of the clipped probability: quicker than torch's binary_cross_entropy, and a NaN gives a
    # NaN loss, where that one stops the program (on CUDA with an assertion after which nothing runs).
    logits = y_pred if from_logits else torch.logit(y_pred, EPSILON)
    return F.binary_cross_entropy_with_logits(logits, y_true, reduction=reduction)


def _smoothed_binary(y_true: torch.Tensor, smoothing: float) -> torch.Tensor:
    return y_true * (1.0 - smoothing) + 0.5 * smoothing if smoothing else y_true


@registry.register()
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> torch.Tensor:
    """Binary cross-entropy times (1 - p_true)^gamma: easy samples count less (Lin et al., 2017).

    Args:
        y_true: Targets from 0 to 1.
        y_pred: Probabilities, or logits with `from_logits`.
        apply_class_balancing: Whether to weigh class 1 by `alpha` and class 0 by 1 - `alpha`.
        alpha: The weight of class 1.
        gamma: How much less easy samples count.
        from_logits: Whether `y_pred` has not been through a sigmoid yet.
        label_smoothing: Moves targets towards 1/2 by this share.
        axis: The axis of the mean.

    Example:
        >>> binary_focal_crossentropy([[1.0]], [[0.5]])
        tensor([0.1733])
    """
    y_true, y_pred = matched("binary_focal_crossentropy", y_true, y_pred)
    y_true = _smoothed_binary(y_true, label_smoothing)
    if from_logits:
        y_pred = torch.sigmoid(y_pred)
    p_true = y_true * y_pred + (1 - y_true) * (1 - y_pred)
    focal = (1.0 - p_true).pow(gamma) * _binary(y_true, y_pred, False)
    if apply_class_balancing:
        focal = focal * (y_true * alpha + (1 - y_true) * (1 - alpha))
    return focal.mean(dim=axis)


@registry.register()
class BinaryCrossentropy(ElementwiseLoss):
    """-mean(y log p + (1 - y) log(1 - p)), for two classes or several independent ones.

    Args:
        from_logits: Whether predictions have not been through a sigmoid yet (more exact, and faster).
        label_smoothing: Moves targets towards 1/2 by this share.
        axis: The axis of the mean.
        reduction: As for every loss.
        name: A name.
        dtype: The data type.

    Example:
        >>> BinaryCrossentropy()([[1.0]], [[0.5]])
        tensor(0.6931)
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            binary_crossentropy,
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
        y_true, y_pred = matched(self.name, y_true, y_pred)
        return _binary(_smoothed_binary(y_true, self.label_smoothing), y_pred, self.from_logits, "mean")

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        super().check_targets(y_true, output_shape)
        check_unit_interval(self.name, y_true)


@registry.register()
class BinaryFocalCrossentropy(ElementwiseLoss):
    """Binary cross-entropy in which easy samples count less (Lin et al., 2017).

    Example:
        >>> BinaryFocalCrossentropy()([[1.0]], [[0.5]])
        tensor(0.1733)
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.apply_class_balancing = apply_class_balancing
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        super().check_targets(y_true, output_shape)
        check_unit_interval(self.name, y_true)


_MOST_CLASSES = 100
"""Whole numbers above it, up to 255, are more likely pixels than numbers of classes."""


def check_unit_interval(name: str, y_true: torch.Tensor) -> None:
    """Raises DataError for targets outside [0, 1]."""
    y_true = as_targets(name, y_true)
    if y_true.numel() and bool(((y_true < 0) | (y_true > 1)).any()):
        low, high = float(y_true.min()), float(y_true.max())
        mend = (
            "labels of -1 and 1 become 0 and 1 by (y + 1) / 2"
            if low == -1 and high == 1
            else "pictures of 0 to 255 become 0 to 1 if they are divided by 255: y / 255"
            if low >= 0 and _MOST_CLASSES < high <= 255
            else ("for class numbers use sparse_categorical_crossentropy and one output for each class")
        )
        raise DataError(f"{name}: targets must lie from 0 to 1; found {low:g} to {high:g}. Mend: {mend}.")
