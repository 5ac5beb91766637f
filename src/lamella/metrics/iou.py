"""Intersection over union, for segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella.errors import ArgumentError, ShapeError
from lamella.metrics.base import EPSILON, Constant, Metric, class_numbers, registry, spread, tensors


@registry.register()
class IoU(Metric):
    """True positives over (true positives + false positives + false negatives), averaged over some classes.

    Args:
        num_classes: The number of classes.
        target_class_ids: The classes averaged over (those that never occur are left out).
        name: A name.
        dtype: Kept for Keras's configs. Counts are float64, in which fractional weights count in full (Keras's
            default, int32, cuts them off); the result is float32.
        ignore_class: Targets of this class are left out.
        sparse_y_true: Whether targets are class numbers rather than one-hot.
        sparse_y_pred: Whether predictions are class numbers rather than scores.
        axis: The axis of the classes.

    Source: Jaccard, 1912.

    Example:
        >>> from lamella.metrics import IoU
        >>> round(float(IoU(num_classes=2, target_class_ids=[0])([0, 0, 1, 1], [0, 1, 0, 1])), 3)
        0.333
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(dtype or "int32", name)
        if max(target_class_ids) >= num_classes:
            raise ArgumentError(
                f"{self.name}: `target_class_ids` has {max(target_class_ids)}, but there are {num_classes} classes."
            )
        self.num_classes = num_classes
        self.target_class_ids = list(target_class_ids)
        self._ids = Constant(self.target_class_ids)
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        self.total_cm = self.add_variable((num_classes, num_classes), name="total_confusion_matrix")

    @torch.no_grad()
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred, weight = tensors(y_true, y_pred, sample_weight)
        self._follow(y_pred)
        if not self.sparse_y_true:
            y_true = class_numbers(y_true, self.axis)
        if not self.sparse_y_pred:
            y_pred = class_numbers(y_pred, self.axis)
        if weight is not None and weight.numel() != y_true.numel():
            weight = spread(self.name, weight, y_true)
        if y_true.numel() != y_pred.numel():
            raise ShapeError(
                f"{self.name}: targets of shape {tuple(y_true.shape)} and class numbers predicted of shape "
                f"{tuple(y_pred.shape)} must be equal. Where predictions are scores, pass sparse_y_pred=False; "
                f"where targets are one-hot, sparse_y_true=False."
            )
        y_true, y_pred = y_true.reshape(-1).to(torch.int64), y_pred.reshape(-1).to(torch.int64)
        valid = (y_true >= 0) & (y_true < self.num_classes) & (y_pred >= 0) & (y_pred < self.num_classes)
        if self.ignore_class is not None:
            valid = valid & (y_true != self.ignore_class)
        amounts = valid.to(self.total_cm.dtype)
        if weight is not None:
            amounts = amounts * weight.to(amounts).reshape(-1)
        place = torch.where(valid, y_true * self.num_classes + y_pred, torch.zeros_like(y_true))
        self.total_cm.view(-1).index_add_(0, place, amounts)

    def result(self) -> torch.Tensor:
        right = self.total_cm.diagonal()
        union = self.total_cm.sum(dim=0) + self.total_cm.sum(dim=1) - right
        ids = self._ids.on(right.device, torch.int64)
        right, union = right[ids], union[ids]
        there = union > 1e-9
        iou = torch.where(there, right / (union + EPSILON), torch.zeros_like(right))
        return (iou.sum() / (there.sum() + EPSILON)).to(torch.float32)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "target_class_ids": self.target_class_ids,
            "ignore_class": self.ignore_class,
            "sparse_y_true": self.sparse_y_true,
            "sparse_y_pred": self.sparse_y_pred,
            "axis": self.axis,
        }


@registry.register()
class BinaryIoU(IoU):
    """IoU of two classes, for predictions that are probabilities.

    Example:
        >>> from lamella.metrics import BinaryIoU
        >>> round(float(BinaryIoU(target_class_ids=[0, 1])([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])), 3)
        0.583
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = tensors(y_true, y_pred)
        super().update_state(y_true, y_pred >= self.threshold, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self._dtype,
            "target_class_ids": self.target_class_ids,
            "threshold": self.threshold,
        }


@registry.register()
class MeanIoU(IoU):
    """IoU averaged over all classes.

    Example:
        >>> from lamella.metrics import MeanIoU
        >>> round(float(MeanIoU(num_classes=2)([0, 0, 1, 1], [0, 1, 0, 1])), 3)
        0.333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, range(num_classes), name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["target_class_ids"]
        return config


@registry.register()
class OneHotIoU(IoU):
    """IoU for one-hot targets and scores.

    Example:
        >>> from lamella.metrics import OneHotIoU
        >>> round(float(OneHotIoU(2, [0])([[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.2]])), 3)
        0.5
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["sparse_y_true"]
        return config


@registry.register()
class OneHotMeanIoU(MeanIoU):
    """IoU averaged over all classes, for one-hot targets and scores.

    Example:
        >>> from lamella.metrics import OneHotMeanIoU
        >>> round(float(OneHotMeanIoU(2)([[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.2]])), 3)
        0.25
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["sparse_y_true"]
        return config
