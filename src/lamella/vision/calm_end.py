"""`CalmEnd`: pictures as they are towards the end of a training."""

from __future__ import annotations

from typing import Any

from lamella.callbacks import Callback, Pace
from lamella.errors import ArgumentError
from lamella.vision.augmentation import Augmentation


class CalmEnd(Callback):
    """Stops mosaics and mixups towards the end of a training: its last steps see pictures as they are.

    Args:
        pace: The `Pace` of the same training, which knows how much of it is over.
        augment: The `Augmentation` of the training data.
        after: The share of the training after which there are no more mosaics.

    Raises:
        ArgumentError: A share that is none.

    Source: Ge et al., YOLOX, 2021.

    Example:
        >>> augment = Augmentation.for_detection()
        >>> pace = Pace(1e-3, minutes=30)
        >>> callbacks = [pace, CalmEnd(pace, augment)]
    """

    def __init__(self, pace: Pace, augment: Augmentation, after: float = 0.75) -> None:
        super().__init__()
        if not 0 <= after <= 1:
            raise ArgumentError(f"CalmEnd: `after` is a share from 0 to 1; got {after!r}.")
        self.pace = pace
        self.augment = augment
        self.after = after

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.pace.share() >= self.after:
            self.augment.mosaic = self.augment.mixup = 0.0
