"""What `compile(loss=..., metrics=...)` asks for, lined up with the outputs of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lamella import losses as losses_module
from lamella import metrics as metrics_module
from lamella.errors import ArgumentError, DataError, nearest
from lamella.losses import Loss
from lamella.metrics import Metric
from lamella.metrics.accuracy import counts_rows

_TOGETHER = 16
"""Small batches that metrics count at once."""
_SMALL = 4096
"""Numbers in the predictions of a small batch."""


def as_list(structure: Any, names: Sequence[str], what: str) -> list[Any]:
    """One item for each output, from a dict by name, a list by position, or a single item.

    Raises:
        ArgumentError: A name that is no output, or another number of items.
    """
    if isinstance(structure, Mapping):
        unknown = [key for key in structure if key not in names]
        if unknown:
            close = nearest(str(unknown[0]), names) or list(names)
            raise ArgumentError(
                f"`{what}` has the key {unknown[0]!r}, but the model's outputs are {list(names)}. "
                f"Did you mean {' or '.join(map(repr, close))}?"
            )
        return [structure.get(name) for name in names]
    if isinstance(structure, (list, tuple)):
        if len(structure) != len(names):
            raise ArgumentError(
                f"`{what}` has {len(structure)} items, but the model has {len(names)} outputs {list(names)}."
            )
        return list(structure)
    return [structure]


class CompiledLoss:
    """The losses of all outputs, weighted and summed.

    Args:
        loss: What `compile` was given: one for every output, a list, or a dict by output name.
        weights: The weight of each, likewise.
        names: The names of the outputs.
        named: Whether they are the model's own. Where it has none, a loss is reported by its own name, if no other
            has it.
    """

    def __init__(self, loss: Any, weights: Any, names: Sequence[str], named: bool = True) -> None:
        self.names = list(names)
        if isinstance(loss, (list, tuple, Mapping)) and not _is_config(loss):
            chosen = as_list(loss, names, "loss")
        else:
            chosen = [loss] * len(names)
        self.losses: list[Loss | None] = [losses_module.as_loss(each) if each is not None else None for each in chosen]
        if weights is None:
            self.weights: list[Any] = [None] * len(names)
        elif isinstance(weights, (int, float)):
            self.weights = [float(weights)] * len(names)
        else:
            self.weights = as_list(weights, names, "loss_weights")
        self.single = self.losses[0] if len(names) == 1 and self.weights[0] is None else None
        own = [_name_of_loss(each) for each in chosen]
        shown = own if not named and len(set(own)) == len(own) else names
        self.trackers = [metrics_module.Mean(name=f"{name}_loss") for name in shown] if len(names) > 1 else []

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any = None) -> torch.Tensor:
        """The total loss of a batch."""
        if self.single is not None and isinstance(y_pred, torch.Tensor):
            return self.single(y, y_pred, sample_weight)
        targets = as_list(y, self.names, "y")
        outputs = as_list(y_pred, self.names, "the output")
        weights = self._sample_weights(sample_weight)
        total: Any = None
        for i, loss in enumerate(self.losses):
            if loss is None:
                continue
            value = loss(targets[i], outputs[i], weights[i])
            if self.trackers:
                self.trackers[i].update_state(value.detach(), sample_weight=len(outputs[i]))
            if self.weights[i] is not None:
                value = value * self.weights[i]
            total = value if total is None else total + value
        if total is None:
            raise ArgumentError(f"compile() gave no loss for any of the outputs {self.names}.")
        return total

    def _sample_weights(self, sample_weight: Any) -> list[Any]:
        if sample_weight is None or isinstance(sample_weight, torch.Tensor):
            return [sample_weight] * len(self.names)
        return as_list(sample_weight, self.names, "sample_weight")

    def check_targets(self, y: Any, y_pred: Any) -> None:
        """Refuses targets that cannot be right for outputs like these: see `Loss.check_targets`."""
        targets, outputs = as_list(y, self.names, "y"), as_list(y_pred, self.names, "the output")
        for name, loss, target, output in zip(self.names, self.losses, targets, outputs, strict=True):
            if loss is None:
                continue
            if target is None:
                raise DataError(
                    f"There are no targets for output {name!r}, which has a loss. "
                    f"Pass y to fit(), or set its loss to None."
                )
            loss.check_targets(target, (None, *output.shape[1:]))


class CompiledMetrics:
    """The metrics of all outputs, weighted and not.

    Args:
        metrics: What `compile` was given: a list for one output; a list of lists or a dict for several.
        weighted: The same, for metrics that count samples by their weights.
        names: The names of the outputs.
        targets: A few targets, to choose which accuracy `"accuracy"` means.
        outputs: The predictions for them.
        named: Whether the names are the model's own. Where it has none, metrics that have different names keep them.

    Attributes:
        patient: Whether batches may wait for others before they are counted: their memory stays as it is, and nobody
            looks at a metric by itself in between.
    """

    def __init__(
        self, metrics: Any, weighted: Any, names: Sequence[str], targets: Any, outputs: Any, named: bool = True
    ) -> None:
        self.names = list(names)
        y = as_list(targets, names, "y") if targets is not None else [None] * len(names)
        y_pred = as_list(outputs, names, "the output")
        self.plain = self._resolved(metrics, "metrics", y, y_pred)
        self.weighted = self._resolved(weighted, "weighted_metrics", y, y_pred)
        self.is_single = len(names) == 1
        self.all: list[Metric] = [metric for group in (*self.plain, *self.weighted) for metric in group]
        if not self.is_single and (named or len({metric.name for metric in self.all}) < len(self.all)):
            self._name_by_outputs()
        self.patient = False
        self._each_counts = self.is_single and all(counts_rows(metric, y_pred[0]) for metric in self.all)
        self._waiting: list[tuple[torch.Tensor, torch.Tensor]] = []

    def _resolved(self, metrics: Any, what: str, y: list[Any], y_pred: list[Any]) -> list[list[Metric]]:
        if not metrics:
            return [[] for _ in self.names]
        if len(self.names) == 1 and not isinstance(metrics, Mapping):
            groups = [metrics]
        else:
            groups = as_list(metrics, self.names, what)
        resolved = []
        for group, target, output in zip(groups, y, y_pred, strict=True):
            group = [] if group is None else group if isinstance(group, (list, tuple)) else [group]
            found = [metrics_module.resolve(m, _shape(target), _shape(output)) for m in _flat(group) if m is not None]
            resolved.append(found)
        return resolved

    def _name_by_outputs(self) -> None:
        for groups in (self.plain, self.weighted):
            for name, group in zip(self.names, groups, strict=True):
                for metric in group:
                    if not metric.name.startswith(f"{name}_"):
                        metric.name = f"{name}_{metric.name}"

    def count(self, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """As `update`; where `patient`, small batches wait for each other until `settle`, if that changes no number.

        In a step of half a millisecond the metrics' few calls are a tenth of the time.
        """
        if self.patient and self._each_counts and sample_weight is None and _may_wait(y, y_pred):
            self._waiting.append((y, y_pred))
            if len(self._waiting) == _TOGETHER:
                self.settle()
        else:
            self.update(y, y_pred, sample_weight)

    def settle(self) -> None:
        """Adds the batches that wait."""
        if self._waiting:
            targets, outputs = zip(*self._waiting, strict=True)
            self._waiting = []
            self.update(torch.cat(targets), torch.cat(outputs))

    def update(self, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds one batch to every metric."""
        if self.is_single and isinstance(y_pred, torch.Tensor):
            for metric in self.plain[0]:
                metric.update_state(y, y_pred)
            for metric in self.weighted[0]:
                metric.update_state(y, y_pred, sample_weight)
            return
        targets = as_list(y, self.names, "y")
        outputs = as_list(y_pred, self.names, "the output")
        weights = (
            as_list(sample_weight, self.names, "sample_weight")
            if isinstance(sample_weight, (list, tuple, dict))
            else [sample_weight] * len(self.names)
        )
        for i, (target, output) in enumerate(zip(targets, outputs, strict=True)):
            for metric in self.plain[i]:
                metric.update_state(target, output)
            for metric in self.weighted[i]:
                metric.update_state(target, output, weights[i])


def _may_wait(y: Any, y_pred: Any) -> bool:
    tensors = type(y) is torch.Tensor and type(y_pred) is torch.Tensor
    return tensors and y_pred.ndim == 2 and y_pred.numel() <= _SMALL and not y_pred.requires_grad


def _name_of_loss(loss: Any) -> str:
    """What `compile` was given for an output, by the name that Keras reports it under."""
    return loss if isinstance(loss, str) else str(getattr(loss, "name", None) or getattr(loss, "__name__", loss))


def _is_config(loss: Any) -> bool:
    return isinstance(loss, dict) and "class_name" in loss and "config" in loss


def _shape(tensor: Any) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)


def _flat(group: Sequence[Any]) -> list[Any]:
    return [item for each in group for item in (each if isinstance(each, (list, tuple)) else [each])]
