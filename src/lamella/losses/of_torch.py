"""Losses of torch: modules of `torch.nn` and functions of `torch.nn.functional`, called as torch calls them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from inspect import isfunction
from typing import Any

import torch
from torch.nn.modules.loss import _Loss

from lamella.losses.base import LossFunctionWrapper


def is_of_torch(loss: Any) -> bool:
    """Whether it is one of torch's own losses, which take (prediction, target).

    Example:
        >>> is_of_torch(torch.nn.MSELoss()), is_of_torch(torch.nn.functional.l1_loss), is_of_torch(lambda y, z: y - z)
        (True, True, False)
    """
    function = _function(loss)
    return isinstance(loss, _Loss) or (isfunction(function) and function.__module__ == "torch.nn.functional")


class LossOfTorch(LossFunctionWrapper):
    """A loss of torch as `compile` takes it: (prediction, target), and reduced as torch reduces it.

    Targets of whole numbers with an axis less than the predictions are class numbers, others become floats. With
    weights of samples the loss of each sample is weighted, and averaged as in Lamella's own losses.

    Example:
        >>> loss = LossOfTorch(torch.nn.CrossEntropyLoss())
        >>> round(loss(torch.tensor([0]), torch.tensor([[2.0, 0.0]])).item(), 4)
        0.1269
    """

    _takes_class_numbers = True  # `call` sees the targets' own type

    def __init__(self, fn: Callable[..., torch.Tensor]) -> None:
        super().__init__(fn, name=getattr(_function(fn), "__name__", type(fn).__name__))
        self._of_each: Callable[..., torch.Tensor] = partial(fn, reduction="none")
        if isinstance(fn, torch.nn.Module):
            self._of_each = copy.copy(fn)
            self._of_each.reduction = "none"  # type: ignore[assignment]

    def call(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        return self.fn(y_pred, _targets(y_true, y_pred))

    def of_each(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        """The losses before they are reduced."""
        return self._of_each(y_pred, _targets(y_true, y_pred))

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> torch.Tensor:
        if sample_weight is None:
            return super().__call__(y_true, y_pred)
        of_each = copy.copy(self)
        of_each.fn = self._of_each
        return LossFunctionWrapper.__call__(of_each, y_true, y_pred, sample_weight)


def _function(loss: Any) -> Any:
    """The loss without the arguments that `functools.partial` gives it."""
    return loss.func if isinstance(loss, partial) else loss


def _targets(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
    if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1 != y_pred.ndim:
        y_true = y_true.unsqueeze(-1)  # one output: (batch,) is as good as (batch, 1)
    if y_true.is_floating_point() or y_true.ndim < y_pred.ndim:
        return y_true if y_true.is_floating_point() else y_true.long()
    return y_true.to(y_pred.dtype)
