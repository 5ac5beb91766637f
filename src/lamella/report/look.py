"""What is gathered while samples pass through a trained model."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lamella.doctor.outputs import single_loss
from lamella.engine.strings import holds_strings
from lamella.report.answers import Answers, answers, loss_of_each
from lamella.report.forward import BeforeHead
from lamella.report.samples import Batch, one

_MOST_SECONDS = 10.0
_WORST = 12


@dataclass
class Worst:
    """A sample with a large loss.

    Attributes:
        loss: Its loss.
        place: Its place among the samples looked at.
        number: Its number in the data.
        sample: What the model is given.
    """

    loss: float
    place: int
    number: int
    sample: Any


class Look:
    """One pass of samples through a model, a batch at a time: of the samples only the worst are kept.

    Args:
        model: The model.
        predicts: Whether the inputs are what `predict` takes, rather than the model itself.

    Attributes:
        samples: How many were looked at.
        worst: Those with the largest losses, the largest first.
        low: The least number in the inputs.
        high: The greatest.
        before: What goes into the last layer.
    """

    def __init__(self, model: Any, predicts: bool) -> None:
        self.model = model
        self.loss = single_loss(model)
        self.predicts = predicts
        self.samples = 0
        self.worst: list[Worst] = []
        self.low, self.high = float("inf"), float("-inf")
        self.before = BeforeHead()
        self._targets: list[torch.Tensor] = []
        self._outputs: list[torch.Tensor] = []

    def through(self, batches: Iterator[Batch]) -> None:
        """Sends the samples through, while there is time and they can be made sense of."""
        begun = time.perf_counter()
        for numbers, x, y in batches:
            with self.before.watching(self.model):
                output = self.model.predict(x, verbose=0) if self.predicts else self.model(x)
            if isinstance(output, np.ndarray):
                output = torch.from_numpy(output)
            compared = self._compare(numbers, x, y, output)
            self.samples += len(numbers)
            if not (compared or self.before.parts) or time.perf_counter() - begun > _MOST_SECONDS:
                return

    def _compare(self, numbers: Sequence[int], x: Any, y: Any, output: Any) -> bool:
        """Takes note of targets, outputs and the worst samples; False where these are no classes and no values."""
        tensors = isinstance(y, torch.Tensor) and isinstance(output, torch.Tensor)
        if self.loss is None or not tensors or y.ndim > 2 or output.ndim not in (1, 2):
            return False
        losses = loss_of_each(self.loss, y.to(output.device), output)
        self._targets.append(y.cpu())
        self._outputs.append(output.detach().float().cpu())
        if isinstance(x, (torch.Tensor, np.ndarray)) and not holds_strings(x):
            least, greatest = torch.as_tensor(x).aminmax()
            self.low, self.high = min(self.low, float(least)), max(self.high, float(greatest))
        largest, where = losses.topk(min(_WORST, len(losses)))
        for loss, i in zip(largest.tolist(), where.tolist(), strict=True):
            if len(self.worst) < _WORST or loss > self.worst[-1].loss:
                found = Worst(loss, self.samples + i, numbers[i], one(x, i))
                self.worst = heapq.nlargest(_WORST, [*self.worst, found], key=lambda each: each.loss)
        return True

    def answers(self) -> Answers | None:
        """What is true of all samples, and what the model says; None where it is neither classes nor values."""
        if not self._outputs:
            return None
        names = getattr(self.model, "class_names", None) or []
        return answers(self.loss, torch.cat(self._targets), torch.cat(self._outputs), names)
