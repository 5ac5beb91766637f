"""The metrics of `compile` as one, for steps that users write."""

from __future__ import annotations

from typing import Any

from lamella.metrics.base import Metric


class CompileMetrics(Metric):
    """All metrics that `compile` was given: `metric.update_state(y, y_pred)` counts in each.

    What `"accuracy"` means, and how many outputs there are, is known from the first batch.

    Args:
        model: The compiled model.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(name="compile_metrics")
        self._model = model

    @property
    def metrics(self) -> list[Metric]:
        """The metrics by themselves; none before the first batch."""
        compiled = self._model._compiled_metrics
        return [] if compiled is None else compiled.all

    def _inner(self) -> list[Metric]:
        return self.metrics

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch of targets and outputs, nested as the model's outputs are."""
        self._model._metrics(y_true, y_pred).update(y_true, y_pred, sample_weight)

    def result(self) -> dict[str, Any]:
        """The values by name."""
        return {self._model._compiled_metrics.name_of(metric): metric.result() for metric in self.metrics}

    def reset_state(self) -> None:
        """Starts every metric afresh."""
        for metric in self.metrics:
            metric.reset_state()
