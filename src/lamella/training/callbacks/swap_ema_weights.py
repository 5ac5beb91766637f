"""`SwapEMAWeights`: evaluates with the moving average of the weights."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.training.callbacks.base import Callback, Logs


class SwapEMAWeights(Callback):
    """During an evaluation or a prediction the model has the moving average of its weights.

    The optimizer must keep one (`use_ema=True`).

    Args:
        swap_on_epoch: Whether the model has the average from the end of each epoch to the start of the next, too,
            so that a `ModelCheckpoint` after this callback saves it.

    Raises:
        ArgumentError: The optimizer keeps no average.

    Source: Polyak and Juditsky, 1992.

    Example:
        >>> SwapEMAWeights().swap_on_epoch
        False
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._averaged = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch and self._averaged:
            self._swap()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if not self.swap_on_epoch or self._averaged:
            return
        self._swap()
        if epoch == self.params.get("epochs", 0) - 1:  # fit ends by copying the average into the weights
            for weights, averages in self._pairs():
                torch._foreach_copy_(averages, weights)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._averaged:
            self._swap()

    def on_test_end(self, logs: Logs | None = None) -> None:
        if self._averaged:
            self._swap()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self.on_test_begin()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self.on_test_end()

    @torch.no_grad()
    def _swap(self) -> None:
        for weights, averages in self._pairs():
            kept = [weight.clone() for weight in weights]
            torch._foreach_copy_(weights, averages)
            torch._foreach_copy_(averages, kept)
        self._averaged = not self._averaged

    def _pairs(self) -> list[tuple[list[torch.Tensor], list[torch.Tensor]]]:
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        each: list[Any] = list(getattr(optimizer, "optimizers", [optimizer]))
        averaging = [one for one in each if getattr(one, "use_ema", False) and "ema" in one._slots]
        if not averaging:
            raise ArgumentError(
                f"SwapEMAWeights needs an optimizer that averages the weights: compile with "
                f"{type(optimizer).__name__ if optimizer else 'Adam'}(use_ema=True), and train it first."
            )
        return [(one._weights, one._slots["ema"]) for one in averaging]
