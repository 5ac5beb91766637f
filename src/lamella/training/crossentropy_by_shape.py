"""`compile(loss="crossentropy")`: the cross-entropy that the shapes ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella.losses import BinaryCrossentropy, CategoricalCrossentropy, Loss, SparseCategoricalCrossentropy

NAMES = ("crossentropy", "ce")


class CrossentropyByShape(Loss):
    """Of two classes for outputs of size 1; of class numbers for targets with an axis less, or with a last axis of 1.

    Else of one-hot targets. It is chosen when the first targets are seen.

    Args:
        name: What the user called it.

    Example:
        >>> import torch
        >>> loss = CrossentropyByShape("ce")
        >>> loss(torch.tensor([1]), torch.tensor([[0.5, 0.5]]))
        tensor(0.6931)
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self._chosen: Loss | None = None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return self._for(y_true, y_pred.shape)(y_true, y_pred, sample_weight)

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        self._for(y_true, output_shape).check_targets(y_true, output_shape)

    def _for(self, y_true: Any, output_shape: Sequence[int | None]) -> Loss:
        if self._chosen is None:
            targets = tuple(y_true.shape)
            numbers = len(targets) < len(output_shape) or targets[-1] == 1
            sparse = SparseCategoricalCrossentropy if numbers else CategoricalCrossentropy
            self._chosen = (BinaryCrossentropy if output_shape[-1] == 1 else sparse)()
        return self._chosen
