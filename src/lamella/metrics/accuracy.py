"""Accuracies: the share of right predictions."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import ShapeError
from lamella.losses.base import _as_tensor, same_rank
from lamella.metrics.base import class_numbers, functions, registry
from lamella.metrics.reduction import MeanMetricWrapper


def _equal(y_true: Any, y_pred: Any) -> torch.Tensor:
    y_true, y_pred = same_rank(_as_tensor(y_true), _as_tensor(y_pred))
    _same_shape("accuracy", y_true, y_pred)
    return y_true == y_pred


def _binary(y_true: Any, y_pred: Any, threshold: float = 0.5) -> torch.Tensor:
    y_true, y_pred = same_rank(_as_tensor(y_true), _as_tensor(y_pred))
    _same_shape("binary_accuracy", y_true, y_pred)
    return y_true == (y_pred > threshold).to(y_true.dtype)


def _categorical(y_true: Any, y_pred: Any) -> torch.Tensor:
    y_true, y_pred = _as_tensor(y_true), _as_tensor(y_pred)
    _same_shape("categorical_accuracy", y_true, y_pred)
    return class_numbers(y_true) == class_numbers(y_pred)


def _sparse(y_true: Any, y_pred: Any) -> torch.Tensor:
    y_true, y_pred = _as_tensor(y_true), _as_tensor(y_pred)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true.squeeze(-1)
    found = class_numbers(y_pred)
    _same_shape("sparse_categorical_accuracy", y_true, found)
    return y_true == found


def _sparse_top_k(y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False) -> torch.Tensor:
    y_true, y_pred = _as_tensor(y_true), _as_tensor(y_pred)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true.squeeze(-1)
    if from_sorted_ids:
        return (y_pred[..., :k] == y_true.unsqueeze(-1)).any(dim=-1)
    # Right if fewer than k classes score higher: ties are in, as in Keras.
    score = y_pred.gather(-1, y_true.to(torch.int64).unsqueeze(-1))
    return (y_pred > score).sum(dim=-1) < k


def _top_k(y_true: Any, y_pred: Any, k: int = 5) -> torch.Tensor:
    return _sparse_top_k(class_numbers(_as_tensor(y_true)), y_pred, k)


def _same_shape(name: str, y_true: torch.Tensor, y_pred: torch.Tensor) -> None:
    if y_true.shape != y_pred.shape:
        raise ShapeError(
            f"{name}: targets of shape {tuple(y_true.shape)} cannot be compared with predictions of shape "
            f"{tuple(y_pred.shape)}. For class numbers use 'sparse_categorical_accuracy', for one-hot targets "
            f"'categorical_accuracy', or just 'accuracy'."
        )


def counts_rows(metric: Any, y_pred: Any) -> bool:
    """Whether the metric adds up a 0 or a 1 for each row of such predictions: then it may add several batches at once.

    Args:
        metric: Any metric.
        y_pred: Predictions, such as those that it is to get.
    """
    if type(metric).update_state is not MeanMetricWrapper.update_state or getattr(y_pred, "ndim", 0) != 2:
        return False
    return metric._fn in (_categorical, _sparse, _sparse_top_k, _top_k) or (
        metric._fn is _binary and y_pred.shape[1] == 1
    )


def accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    """1 where target and prediction are equal, else 0.

    Example:
        >>> accuracy([1, 2], [1, 3])
        tensor([1., 0.])
    """
    return _equal(y_true, y_pred).to(torch.float32)


@functions.register()
def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> torch.Tensor:
    """1 where the prediction is on the target's side of the threshold.

    Example:
        >>> binary_accuracy([1.0, 0.0], [0.7, 0.6])
        tensor([1., 0.])
    """
    return _binary(y_true, y_pred, threshold).to(torch.float32)


@functions.register()
def categorical_accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    """1 where the largest prediction is at the largest target.

    Example:
        >>> categorical_accuracy([[0.0, 1.0]], [[0.2, 0.8]])
        tensor([1.])
    """
    return _categorical(y_true, y_pred).to(torch.float32)


@functions.register()
def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> torch.Tensor:
    """1 where the largest prediction is at the target's class number.

    Example:
        >>> sparse_categorical_accuracy([1], [[0.2, 0.8]])
        tensor([1.])
    """
    return _sparse(y_true, y_pred).to(torch.float32)


@functions.register()
def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> torch.Tensor:
    """1 where the target is among the k largest predictions.

    Example:
        >>> top_k_categorical_accuracy([[0.0, 0.0, 1.0]], [[0.5, 0.2, 0.3]], k=2)
        tensor([1.])
    """
    return _top_k(y_true, y_pred, k).to(torch.float32)


@functions.register()
def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> torch.Tensor:
    """1 where the class number is among those of the k largest predictions.

    Example:
        >>> sparse_top_k_categorical_accuracy([2], [[0.5, 0.2, 0.3]], k=2)
        tensor([1.])
    """
    return _sparse_top_k(y_true, y_pred, k, from_sorted_ids).to(torch.float32)


@registry.register()
class Accuracy(MeanMetricWrapper):
    """The share of predictions equal to their targets.

    Example:
        >>> from lamella.metrics import Accuracy
        >>> float(Accuracy()([1, 2], [1, 3]))
        0.5
    """

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(_equal, name, dtype)


@registry.register()
class BinaryAccuracy(MeanMetricWrapper):
    """The share of predictions on their target's side of the threshold.

    Example:
        >>> from lamella.metrics import BinaryAccuracy
        >>> float(BinaryAccuracy()([1.0, 0.0], [0.7, 0.6]))
        0.5
    """

    def __init__(self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(_binary, name, dtype, threshold=threshold)
        self.threshold = threshold


@registry.register()
class CategoricalAccuracy(MeanMetricWrapper):
    """The share of right classes, for one-hot targets.

    Example:
        >>> from lamella.metrics import CategoricalAccuracy
        >>> float(CategoricalAccuracy()([[0.0, 1.0]], [[0.2, 0.8]]))
        1.0
    """

    def __init__(self, name: str = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(_categorical, name, dtype)


@registry.register()
class SparseCategoricalAccuracy(MeanMetricWrapper):
    """The share of right classes, for targets that are class numbers.

    Example:
        >>> from lamella.metrics import SparseCategoricalAccuracy
        >>> float(SparseCategoricalAccuracy()([1, 0], [[0.2, 0.8], [0.1, 0.9]]))
        0.5
    """

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(_sparse, name, dtype)


@registry.register()
class TopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of targets among the k largest predictions.

    Example:
        >>> from lamella.metrics import TopKCategoricalAccuracy
        >>> float(TopKCategoricalAccuracy(k=1)([[0.0, 1.0]], [[0.2, 0.8]]))
        1.0
    """

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(_top_k, name, dtype, k=k)
        self.k = k


@registry.register()
class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of class numbers among those of the k largest predictions.

    Example:
        >>> from lamella.metrics import SparseTopKCategoricalAccuracy
        >>> float(SparseTopKCategoricalAccuracy(k=2)([2], [[0.5, 0.2, 0.3]]))
        1.0
    """

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(_sparse_top_k, name, dtype, k=k, from_sorted_ids=from_sorted_ids)
        self.k = k
        self.from_sorted_ids = from_sorted_ids
