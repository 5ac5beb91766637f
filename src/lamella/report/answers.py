"""What a model's outputs say beside what is true: classes or values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lamella.doctor import outputs
from lamella.report.record import Confusion, Residuals

_MOST_CLASSES, _MOST_VALUES, _MOST_POINTS = 30, 16, 1000


@dataclass
class Answers:
    """Targets and predictions of some samples.

    Attributes:
        labels: The classes' names; empty for values.
        true: The number of each sample's class (samples,), or its values (samples, outputs).
        predicted: The same, as the model says.
        share: How sure the model is of each class that it says; None for values.
    """

    labels: list[str]
    true: torch.Tensor
    predicted: torch.Tensor
    share: torch.Tensor | None = None

    def told(self, i: int) -> tuple[str, str]:
        """What sample `i` is, and what the model says."""
        if self.share is None:
            return _values(self.true[i]), _values(self.predicted[i])
        true, predicted = self.labels[int(self.true[i])], self.labels[int(self.predicted[i])]
        return true, f"{predicted} ({float(self.share[i]):.0%})"

    def confusion(self) -> Confusion | None:
        """How often each class was taken for each; None for values, and for more than 30 classes."""
        count = len(self.labels)
        if self.share is None or count > _MOST_CLASSES:
            return None
        pairs = torch.bincount(self.true * count + self.predicted, minlength=count * count)
        return Confusion(self.labels, pairs.reshape(count, count).tolist())

    def residuals(self) -> Residuals | None:
        """At most 1,000 values and what was predicted; None for classes."""
        if self.share is not None:
            return None
        rows = slice(None, None, -(-self.true.numel() // _MOST_POINTS))
        return Residuals(self.true.flatten()[rows].tolist(), self.predicted.flatten()[rows].tolist())


def answers(loss: Any, y: torch.Tensor, output: torch.Tensor, names: Sequence[str] = ()) -> Answers | None:
    """Targets and outputs as classes or values, as the loss takes them; None where they are neither.

    Args:
        loss: The model's loss.
        y: Targets (samples,) or (samples, outputs): values, numbers of classes, or one-hot.
        output: Predictions (samples,) or (samples, outputs): values, probabilities or logits.
        names: Names of the classes; numbers by default.
    """
    output = output.reshape(len(output), -1).float()
    count = output.shape[1]
    y = y.reshape(len(y), -1)
    if not outputs.is_classification(loss):
        comparable = y.shape == output.shape and count <= _MOST_VALUES and "hinge" not in loss.name
        return Answers([], y.float(), output) if comparable else None
    logits = outputs.from_logits(loss)
    if count == 1:
        if y.shape[1] != 1:
            return None
        positive = (output.sigmoid() if logits else output)[:, 0]
        output, logits = torch.stack([1 - positive, positive], 1), False
        true = (y[:, 0] > 0.5).long()
    elif y.shape[1] == count:
        if not bool(((y == 0) | (y == 1)).all() and (y.sum(1) == 1).all()):  # several labels, or soft ones
            return None
        true = y.argmax(1)
    elif y.shape[1] == 1:
        true = y[:, 0].long()
    else:
        return None
    if int(true.min()) < 0 or int(true.max()) >= output.shape[1]:
        return None
    share, predicted = (output.softmax(1) if logits else output).max(1)
    fits = len(names) == output.shape[1]
    labels = [str(name) for name in names] if fits else [str(i) for i in range(output.shape[1])]
    return Answers(labels, true, predicted, share)


def loss_of_each(loss: Any, y: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """The loss of each sample (samples,)."""
    values = loss.call(y if outputs.is_classification(loss) else y.to(output.dtype), output)
    return values.detach().float().reshape(len(output), -1).mean(1).cpu()


def _values(row: torch.Tensor) -> str:
    return ", ".join(f"{value:.4g}" for value in row.tolist())
