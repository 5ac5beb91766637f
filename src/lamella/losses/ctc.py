"""Connectionist temporal classification: labels for a longer sequence, without an alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import DataError, ShapeError
from lamella.losses.base import (
    LossFunctionWrapper,
    _as_tensor,
    as_predictions,
    as_targets,
    check_finite,
    registry,
)


@registry.register()
def ctc(y_true: Any, y_pred: Any) -> torch.Tensor:
    """-log of the probability of the labels, over all alignments with the time steps (Graves et al., 2006).

    torch reads the labels' lengths on the host, so on a GPU this waits for the device.

    Args:
        y_true: Class numbers from 1, then zeros as padding, (batch, labels). 0 is the blank.
        y_pred: Logits, (batch, time, classes).

    Returns:
        A loss for each sample; infinite where the time steps are too few for the labels.

    Raises:
        ShapeError: Targets that are not of rank 2, or predictions that are not of rank 3.

    Example:
        >>> ctc([[1]], [[[0.0, 0.0]]])
        tensor([0.6931])
    """
    y_true, y_pred = _as_tensor(y_true), as_predictions(y_pred)
    if y_true.ndim != 2 or y_pred.ndim != 3 or len(y_true) != len(y_pred):
        raise _shape_error("ctc", y_true.shape, y_pred.shape)
    labels = y_true.to(torch.int64)
    kind = torch.promote_types(y_pred.dtype, torch.float32)  # torch has it for no smaller floats
    log_probabilities = F.log_softmax(y_pred, dim=-1, dtype=kind).transpose(0, 1)
    lengths = (labels != 0).sum(dim=-1)
    steps = torch.full_like(lengths, y_pred.shape[1])
    return F.ctc_loss(log_probabilities, labels, steps, lengths, blank=0, reduction="none").to(y_pred.dtype)


def _shape_error(name: str, target: Sequence[int | None], output: Sequence[int | None]) -> ShapeError:
    return ShapeError(
        f"{name}: the targets have shape {tuple(target)}, and the predictions have shape {tuple(output)}: "
        f"expected (batch, labels) and (batch, time, classes). Pad the labels with 0 to one length, and let "
        f"the recurrent layers return sequences."
    )


@registry.register()
class CTC(LossFunctionWrapper):
    """-log of the probability of the labels, over all alignments with the time steps (Graves et al., 2006).

    Example:
        >>> CTC()([[1]], [[[0.0, 0.0]]])
        tensor(0.6931)
    """

    _takes_class_numbers = True

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str = "ctc", dtype: Any = None) -> None:
        super().__init__(ctc, reduction, name, dtype)

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        """Refuses labels that are out of range, padded at the start, or too many for the time steps."""
        y_true = as_targets(self.name, y_true)
        if y_true.ndim != 2 or len(output_shape) != 3:
            raise _shape_error(self.name, y_true.shape, output_shape)
        check_finite(self.name, y_true)
        _, steps, classes = output_shape
        self._check_labels(y_true, classes)
        if steps is not None:
            self._check_lengths(y_true, steps)

    def _check_labels(self, y_true: torch.Tensor, classes: int | None) -> None:
        high = torch.inf if classes is None else classes - 1
        bad = ((y_true < 0) | (y_true > high) | (y_true != y_true.round())).any(1)
        if bool(bad.any()):
            raise DataError(
                f"{self.name}: labels must be whole numbers from 0 (padding) to {high}; found "
                f"{float(y_true.min()):g} to {float(y_true.max()):g}, the first bad row at sample "
                f"{int(bad.nonzero()[0])}. Give the last layer one unit for each class and one for the blank."
            )
        bad = ((y_true[:, :-1] == 0) & (y_true[:, 1:] != 0)).any(1)
        if bool(bad.any()):
            raise DataError(
                f"{self.name}: zeros must stand only after the labels; found a label after a 0 at sample "
                f"{int(bad.nonzero()[0])}. 0 is the blank: number the classes from 1, and pad at the end."
            )

    def _check_lengths(self, y_true: torch.Tensor, steps: int) -> None:
        repeats = (y_true[:, 1:] == y_true[:, :-1]) & (y_true[:, 1:] != 0)  # a blank must part equal labels
        needed = (y_true != 0).sum(1) + repeats.sum(1)
        if bool((needed > steps).any()):
            raise DataError(
                f"{self.name}: the labels of sample {int(needed.argmax())} need {int(needed.max())} time "
                f"steps, but the model has {steps}: the loss would be infinite. Shorten the labels, or "
                f"downsample time less."
            )
