"""What a name in `compile(metrics=[...])` means, given the shapes."""

from __future__ import annotations

import copy
from typing import Any

from lamella.engine.registry import snake_case
from lamella.losses import Loss, LossOfTorch, is_of_torch
from lamella.metrics.accuracy import BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy
from lamella.metrics.base import Metric, registry
from lamella.metrics.from_losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from lamella.metrics.of_torch import MetricOfTorch, is_function_of_torch, is_metric_of_torch, prediction_first
from lamella.metrics.reduction import MeanMetricWrapper

Shape = tuple[int, ...] | None


def resolve(identifier: Any, y_true_shape: Shape, y_pred_shape: Shape) -> Metric:
    """The metric for a name, function, loss or metric; `"accuracy"` is the one that fits the shapes.

    Args:
        identifier: What the user gave.
        y_true_shape: The shape of a batch of targets, if there are any.
        y_pred_shape: The shape of the predictions.

    Example:
        >>> type(resolve("accuracy", (32,), (32, 10))).__name__
        'SparseCategoricalAccuracy'
    """
    if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc"):
        return _by_shape((BinaryAccuracy, SparseCategoricalAccuracy, CategoricalAccuracy), y_true_shape, y_pred_shape)(
            name=identifier
        )
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        return _by_shape(
            (BinaryCrossentropy, SparseCategoricalCrossentropy, CategoricalCrossentropy),
            y_true_shape,
            y_pred_shape,
        )(name=identifier)
    if is_metric_of_torch(identifier):
        return MetricOfTorch(identifier)
    metric = registry.get(identifier)
    if isinstance(metric, Metric):
        if isinstance(identifier, str):
            metric.name = identifier
        return metric
    if isinstance(metric, Loss):
        loss = copy.copy(metric)
        loss.reduction = "none"
        loss._averages = False
        return MeanMetricWrapper(loss, name=metric.name)
    if is_of_torch(metric):
        loss = LossOfTorch(metric)
        return MeanMetricWrapper(loss.of_each, snake_case(loss.name))
    if is_function_of_torch(metric):
        return MeanMetricWrapper(prediction_first(metric), snake_case(getattr(metric, "func", metric).__name__))
    name = identifier if isinstance(identifier, str) else getattr(metric, "name", None)
    return MeanMetricWrapper(metric, name or snake_case(getattr(metric, "__name__", type(metric).__name__)))


def _by_shape(choices: tuple[Any, Any, Any], y_true: Shape, y_pred: Shape) -> Any:
    binary, sparse, categorical = choices
    if y_true is None or y_pred is None or not y_pred:
        return categorical
    if y_pred[-1] == 1 or len(y_pred) == 1:
        return binary
    return sparse if len(y_true) < len(y_pred) or y_true[-1] == 1 else categorical
