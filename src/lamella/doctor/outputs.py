"""Whether what the model puts out is what its loss takes; and how well a constant answer would do."""

from __future__ import annotations

from typing import Any

import torch

from lamella import losses
from lamella.doctor.finding import Finding

_RANGES = {"relu": (0.0, float("inf")), "sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0)}
_SQUARES = ("mean_squared_error", "mse")
_DISTANCES = ("mean_absolute_error", "mae")


def single_loss(model: Any) -> Any:
    """The model's loss, where it has one output and one loss; None otherwise."""
    loss = model.loss
    return None if loss is None or isinstance(loss, (list, tuple, dict)) else losses.as_loss(loss)


def is_classification(loss: Any) -> bool:
    """Whether the loss is a cross-entropy."""
    return "crossentropy" in loss.name or "Crossentropy" in type(loss).__name__


def from_logits(loss: Any) -> bool:
    """Whether the loss applies the softmax or the sigmoid itself."""
    return bool(loss.get_config().get("from_logits", False))


def fits_loss(prediction: torch.Tensor, y: torch.Tensor, loss: Any, activation: str, layer: str) -> list[Finding]:
    """An output that the loss was not made for.

    Args:
        prediction: The output for some samples, (samples, ..., outputs).
        y: Their targets.
        loss: The loss.
        activation: What the last layer applies; empty if nothing.
        layer: The last layer's name.
    """

    def finding(case: str, **figures: Any) -> list[Finding]:
        told = {"activation": activation or "linear", "loss": loss.name, **figures}
        return [Finding("output_does_not_fit_loss", told, layer, case=case)]

    if activation == "softmax" and prediction.shape[-1] == 1:
        return finding("softmax_of_one")
    low, high = float(prediction.min()), float(prediction.max())
    if is_classification(loss):
        if from_logits(loss):
            return finding("probabilities_as_logits") if activation in ("softmax", "sigmoid") else []
        if low < -1e-4 or high > 1 + 1e-4:
            return finding("logits_as_probabilities", low=low, high=high)
        sums = prediction.sum(-1)
        one_of_many = "categorical" in loss.name.lower() or "Categorical" in type(loss).__name__
        if one_of_many and prediction.shape[-1] > 1 and float((sums - 1).abs().max()) > 1e-2:
            return finding("not_a_distribution", low=float(sums.min()), high=float(sums.max()))
        return []
    if loss.name in (*_SQUARES, *_DISTANCES) and activation in _RANGES and y.is_floating_point():
        low, high = _RANGES[activation]
        outside = ((y < low) | (y > high)).float().mean().item()
        return finding("out_of_reach", low=low, high=high, outside=outside) if outside > 0.02 else []
    return []


def constant_loss(y: Any, loss: Any, outputs: int) -> float | None:
    """The loss of the best constant answer: the entropy of the classes, the variance of the values; None if unknown."""
    if loss is None or not isinstance(y, torch.Tensor) or y.ndim > 2:
        return None
    if is_classification(loss):
        flat = y.flatten().float()
        if "binary" in loss.name:
            p = y.float().reshape(len(y), -1).mean(0).clamp(1e-7, 1 - 1e-7)
            return float(-(p * p.log() + (1 - p) * (1 - p).log()).mean())
        counts = y.float().sum(0) if y.ndim == 2 and y.shape[1] == outputs else torch.bincount(flat.long().clamp(min=0))
        p = counts / counts.sum()
        return float(-(p[p > 0] * p[p > 0].log()).sum())
    values = y.float().reshape(len(y), -1)
    if loss.name in _SQUARES:
        return float(values.var(0, unbiased=False).mean())
    if loss.name in _DISTANCES:
        return float((values - values.median(0).values).abs().mean())
    return None
