"""Logits: what probabilities were made of, and in the shape that is quickest."""

from __future__ import annotations

import torch


def logits_of(y_pred: torch.Tensor, axis: int) -> torch.Tensor | None:
    """What a softmax along the last axis was taken of to give `y_pred`, if it is known.

    Cross-entropy from the logits is exact where rounded probabilities are 0 or 1, and is one kernel.
    """
    if torch.compiler.is_compiling():  # the compiler fuses the two by itself
        return None
    return getattr(y_pred, "_keras_logits", None) if axis in (-1, y_pred.ndim - 1) else None


def rows(x: torch.Tensor, axis: int) -> torch.Tensor:
    """(batch, ..., classes) as (samples, classes): kernels for matrices are the quickest."""
    x = x if axis in (-1, x.ndim - 1) else x.movedim(axis, -1)
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
