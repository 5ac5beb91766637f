"""`QuantileLoss`: what forecasts of quantiles are trained by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella.errors import ArgumentError, ShapeError
from lamella.losses import Loss
from lamella.saving import register_keras_serializable


@register_keras_serializable(package="lamella")
class QuantileLoss(Loss):
    """The pinball loss: a value that lies below the forecast of quantile q costs 1 - q a unit, one above costs q.

    Args:
        quantiles: Numbers between 0 and 1, rising.
        reduction: As for every loss.
        name: A name.
        dtype: The data type.

    Shapes: targets (batch, ...), predictions (batch, ..., quantiles) -> (batch, ...), the mean over the quantiles.

    Raises:
        ArgumentError: Quantiles that are no such numbers.
        ShapeError: Predictions that do not have one value more for each target.

    Source: Koenker and Bassett, Regression quantiles, 1978.

    Example:
        >>> loss = QuantileLoss((0.1, 0.9))
        >>> round(float(loss(torch.tensor([1.0]), torch.tensor([[0.0, 0.0]]))), 4)
        0.5
    """

    def __init__(
        self,
        quantiles: Sequence[float],
        reduction: str | None = "sum_over_batch_size",
        name: str = "quantile_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.quantiles = checked_quantiles(quantiles)
        self._levels = torch.tensor(self.quantiles)

    def call(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        self._check_shapes(y_true.shape, y_pred.shape)
        self._levels = self._levels.to(y_pred)  # kept there: a copy at every step would wait for the device
        above = y_true.unsqueeze(-1) - y_pred
        return torch.maximum(self._levels * above, (self._levels - 1) * above).mean(-1)

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        super().check_targets(y_true, output_shape)
        self._check_shapes(torch.as_tensor(y_true).shape, (len(y_true), *output_shape[1:]))

    def _check_shapes(self, target: Sequence[int], output: Sequence[int | None]) -> None:
        if tuple(output) != (*target, len(self.quantiles)):
            raise ShapeError(
                f"{self.name}: targets {tuple(target)} need predictions {(*target, len(self.quantiles))}, one more for "
                f"each of the quantiles {self.quantiles}; got {tuple(output)}."
            )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "quantiles": self.quantiles}


def checked_quantiles(quantiles: Sequence[float]) -> list[float]:
    """The quantiles as a list.

    Raises:
        ArgumentError: None, or some that do not rise, or do not lie between 0 and 1.
    """
    levels = [float(level) for level in quantiles]
    rising = all(a < b for a, b in zip([0.0, *levels], [*levels, 1.0], strict=True))
    if not levels or not rising:
        raise ArgumentError(f"`quantiles` must rise and lie between 0 and 1, as (0.1, 0.5, 0.9); got {quantiles!r}.")
    return levels
