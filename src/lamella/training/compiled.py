"""What `compile(loss=..., metrics=...)` asks for, lined up with the outputs of a model."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lamella import metrics as metrics_module
from lamella import tree
from lamella.errors import ArgumentError, DataError, nearest
from lamella.losses import Loss
from lamella.metrics import Metric
from lamella.metrics.accuracy import counts_rows
from lamella.training.loss_of_output import SumOfLosses, is_config, loss_of_output
from lamella.training.nested_loss import is_nested

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
                f"`{what}` has {len(structure)} items, but the model has {len(names)} outputs {list(names)}. "
                f"Give one for each, in this order, or a dict by their names."
            )
        return list(structure)
    return [structure]


def _only(given: Any, names: list[str]) -> Any:
    """What is given for the one output there is, also from a list of one or a dict by its name."""
    if isinstance(given, torch.Tensor):
        return given
    if isinstance(given, (list, tuple)) and len(given) == 1:
        return given[0]
    return given[names[0]] if isinstance(given, Mapping) and list(given) == names else given


class CompiledLoss:
    """The losses of all outputs, weighted and summed.

    Args:
        loss: What `compile` was given: one for every output, a list, or a dict by output name.
        weights: The weight of each, likewise.
        names: The names of the outputs.
        named: Whether they are the model's own. Where it has none, a loss is reported by its own name, if no other
            has it.
        listed: The names in the order in which their losses are listed; that of `names` by default.
    """

    def __init__(
        self, loss: Any, weights: Any, names: Sequence[str], named: bool = True, listed: Sequence[str] | None = None
    ) -> None:
        self.names = list(names)
        if isinstance(loss, (list, tuple, Mapping)) and not is_config(loss):
            chosen = as_list(loss, names, "loss")
        else:
            chosen = [loss] * len(names)
        self.losses: list[Loss | None] = [loss_of_output(each) if each is not None else None for each in chosen]
        if weights is None:
            self.weights: list[Any] = [None] * len(names)
        elif isinstance(weights, (int, float)):
            self.weights = [float(weights)] * len(names)
        else:
            self.weights = as_list(weights, names, "loss_weights")
        alone = len(names) == 1 and self.weights[0] is None and not isinstance(self.losses[0], SumOfLosses)
        self.single = self.losses[0] if alone else None
        own = [_name_of_loss(each) for each in chosen]
        shown = own if not named and len(set(own)) == len(own) else names
        several = sum(loss is not None for loss in self.losses) > 1
        self._tracked = [
            metrics_module.Mean(name=f"{name}_loss") if several and loss is not None else None
            for name, loss in zip(shown, self.losses, strict=True)
        ]
        of_output = dict(zip(names, self._tracked, strict=True))
        self.trackers = [tracker for name in listed or names if (tracker := of_output[name]) is not None]

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any = None) -> torch.Tensor:
        """The total loss of a batch."""
        if self.single is not None and isinstance(y_pred, torch.Tensor):
            return self.single(_only(y, self.names), y_pred, self._sample_weights(sample_weight)[0])
        targets = self._targets(y)
        outputs = as_list(y_pred, self.names, "the output")
        weights = self._sample_weights(sample_weight)
        total: Any = None
        for i, loss in enumerate(self.losses):
            if loss is None:
                continue
            value = loss(targets[i], outputs[i], weights[i])
            tracker = self._tracked[i]
            if tracker is not None:
                tracker.update_state(value.detach(), sample_weight=len(outputs[i]))
            if self.weights[i] is not None:
                value = value * self.weights[i]
            total = value if total is None else total + value
        if total is None:
            raise ArgumentError(f"compile() gave no loss for any of the outputs {self.names}.")
        return total

    def _targets(self, y: Any) -> list[Any]:
        """The targets of each output; they may be left out for outputs without a loss."""
        with_loss = [loss is not None for loss in self.losses]
        given = y if isinstance(y, (list, tuple)) else [y]
        if not isinstance(y, Mapping) and len(given) == sum(with_loss) < len(with_loss):
            rest = iter(given)
            return [next(rest) if wanted else None for wanted in with_loss]
        return as_list(y, self.names, "y")

    def _sample_weights(self, sample_weight: Any) -> list[Any]:
        if sample_weight is None or isinstance(sample_weight, torch.Tensor):
            return [sample_weight] * len(self.names)
        return as_list(sample_weight, self.names, "sample_weight")

    def check_targets(self, y: Any, y_pred: Any) -> None:
        """Refuses targets that cannot be right for outputs like these: see `Loss.check_targets`."""
        targets, outputs = self._targets(y), as_list(y_pred, self.names, "the output")
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
        names: The names of the outputs, in the order of `lamella.tree.flatten` where they are nested.
        targets: A few targets, to choose which accuracy `"accuracy"` means.
        outputs: The predictions for them.
        named: Whether the names are the model's own. Where it has none, metrics keep their own names, and of several
            with one name the later ones are numbered.

    Attributes:
        patient: Whether batches may wait for others before they are counted: their memory stays as it is, and nobody
            looks at a metric by itself in between.
    """

    def __init__(
        self, metrics: Any, weighted: Any, names: Sequence[str], targets: Any, outputs: Any, named: bool = True
    ) -> None:
        self.names = list(names)
        self._like = tree.map_structure(lambda _: None, outputs) if is_nested(outputs) else None
        counted = targets is not None and bool(metrics or weighted)
        y = self._listed(targets, "y") if counted else [None] * len(names)
        y_pred = self._listed(outputs, "the output")
        self.plain = self._resolved(metrics, "metrics", y, y_pred)
        self.weighted = self._resolved(weighted, "weighted_metrics", y, y_pred)
        self.is_single = len(names) == 1
        found: list[Metric] = [metric for group in (*self.plain, *self.weighted) for metric in group]
        self.all = found
        self._reported = self._reported_names(by_outputs=named and not self.is_single)
        self.patient = False
        self._each_counts = self.is_single and all(counts_rows(metric, y_pred[0]) for metric in self.all)
        self._waiting: list[tuple[torch.Tensor, torch.Tensor]] = []

    def _resolved(self, metrics: Any, what: str, y: list[Any], y_pred: list[Any]) -> list[list[Metric]]:
        if not metrics:
            return [[] for _ in self.names]
        if len(self.names) == 1:
            alone = isinstance(metrics, Mapping) and len(metrics) == 1  # under the output's name, or whatever it is
            groups = list(metrics.values()) if alone else [metrics]
        else:
            groups = self._grouped(metrics, what)
        resolved = []
        for group, target, output in zip(groups, y, y_pred, strict=True):
            group = [] if group is None else group if isinstance(group, (list, tuple)) else [group]
            found = [metrics_module.resolve(m, _shape(target), _shape(output)) for m in _flat(group) if m is not None]
            resolved.append(found)
        return resolved

    def _listed(self, structure: Any, what: str) -> list[Any]:
        """One item for each output."""
        return as_list(structure, self.names, what) if self._like is None else tree.flatten(structure)

    def _grouped(self, metrics: Any, what: str) -> list[Any]:
        """The metrics of each output."""
        if self._like is None:
            return as_list(metrics, self.names, what)
        groups: list[Any] = []
        tree.map_structure_up_to(tree.lists_to_tuples(self._like), groups.append, tree.lists_to_tuples(metrics))
        return groups

    def name_of(self, metric: Metric) -> str:
        """The name that a metric is reported under; its own where `compile` was not given it."""
        ours = zip(self.all, self._reported, strict=True)
        return next((name for each, name in ours if each is metric), metric.name)

    @property
    def renames(self) -> bool:
        """Whether a metric is reported under another name than its own."""
        return self._reported != [metric.name for metric in self.all]

    def _reported_names(self, by_outputs: bool) -> list[str]:
        """For each metric a name that no other has, as in Keras: nothing is reported in the place of another."""
        names: list[str] = []
        for weighted, groups in ((False, self.plain), (True, self.weighted)):
            for output, group in zip(self.names, groups, strict=True):
                prefix = f"{output}_" if by_outputs else ""
                for metric in group:
                    candidates = [prefix + metric.name, *([f"{prefix}weighted_{metric.name}"] if weighted else [])]
                    further = (f"{candidates[-1]}_{i}" for i in itertools.count(1))
                    names.append(next(each for each in itertools.chain(candidates, further) if each not in names))
        return names

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
            y, sample_weight = _only(y, self.names), _only(sample_weight, self.names)
            for metric in self.plain[0]:
                metric.update_state(y, y_pred)
            for metric in self.weighted[0]:
                metric.update_state(y, y_pred, sample_weight)
            return
        targets = self._listed(y, "y")
        outputs = self._listed(y_pred, "the output")
        weights = (
            self._listed(sample_weight, "sample_weight")
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


def _shape(tensor: Any) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)


def _flat(group: Sequence[Any]) -> list[Any]:
    return [item for each in group for item in (each if isinstance(each, (list, tuple)) else [each])]
