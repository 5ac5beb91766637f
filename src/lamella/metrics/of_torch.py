"""Metrics of torchmetrics: modules with `update`, `compute` and `reset`, called as torch calls them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NoReturn

import torch
from torch import nn

from lamella.engine import masking
from lamella.engine.registry import snake_case
from lamella.errors import ArgumentError
from lamella.metrics.base import Metric, tensors

_UPDATES = "_update_count"  # of a metric of torchmetrics, most of which have no value before the first


def is_metric_of_torch(metric: Any) -> bool:
    """Whether it is a metric that counts as torchmetrics' do.

    Example:
        >>> is_metric_of_torch(torch.nn.MSELoss())
        False
    """
    methods = ("update", "compute", "reset")
    return isinstance(metric, nn.Module) and all(callable(getattr(metric, name, None)) for name in methods)


def is_function_of_torch(function: Any) -> bool:
    """Whether it is one of `torchmetrics.functional`, which take (prediction, target)."""
    function = function.func if isinstance(function, partial) else function
    return str(getattr(function, "__module__", None)).startswith("torchmetrics.functional")


class MetricOfTorch(Metric):
    """A metric of torchmetrics, or a `MetricCollection`, as `compile` takes it.

    It gets (prediction, target), and the targets as it expects them: class numbers as int64, of one-hot rows too where
    it counts classes; the axis of the classes second, as in torch. What is masked is left out. Several processes gather
    what they counted in its own way.

    Args:
        metric: The metric. It stays the same object, and can be asked for its value or its plot after `fit`.

    Example:
        >>> class Largest(torch.nn.Module):
        ...     def reset(self):
        ...         self.largest = torch.tensor(0.0)
        ...     def update(self, preds, target):
        ...         self.largest = torch.maximum(self.largest, preds.max())
        ...     def compute(self):
        ...         return self.largest
        >>> metric = MetricOfTorch(Largest())
        >>> metric.reset_state()
        >>> float(metric([0.0, 1.0], [0.5, 3.0])), metric.name
        (3.0, 'largest')
    """

    def __init__(self, metric: Any) -> None:
        super().__init__(name=snake_case(type(metric).__name__))
        self.metric = metric
        self._others: list[Any] = []
        self._classifies = _names(metric, "torchmetrics.classification.", "")
        self._has_classes = _names(metric, "torchmetrics.classification.", "Multiclass")
        larger = getattr(metric, "higher_is_better", None)
        self._direction = None if larger is None else "up" if larger else "down"

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if sample_weight is not None:
            raise ArgumentError(
                f"{self.name}: a metric of torchmetrics takes no sample weights. List it in `metrics`, which count "
                f"every sample alike, not in `weighted_metrics`."
            )
        mask = masking.get_mask(y_pred) if masking.in_use else None
        y_true, y_pred = tensors(y_true, y_pred)
        if mask is not None:
            y_true, y_pred = y_true[mask], y_pred[mask]
        y_true, y_pred = self._as_expected(y_true, y_pred)
        self.to(y_pred.device)
        self.metric.update(y_pred, y_true)

    def _as_expected(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y_true, y_pred = _alike(y_true, y_pred)
        if self._has_classes and y_pred.is_floating_point():
            if y_true.shape == y_pred.shape:
                y_true = y_true.argmax(-1)
            if y_pred.ndim > 2 and y_true.shape == y_pred.shape[:-1]:
                y_pred = y_pred.movedim(-1, 1)
        if self._classifies and y_true.is_floating_point() and bool((y_true == y_true.round()).all()):
            y_true = y_true.long()
        return y_true, y_pred

    def result(self) -> Any:
        """The value so far: of what this process has counted, or all of them (see `gathered`); before the first batch
        none, an empty dict."""
        updates = [getattr(part, _UPDATES) for part in self._parts() if hasattr(part, _UPDATES)]
        if updates and not any(updates) and not self._others:
            return {}
        with ExitStack() as stack:
            for part in self._parts():
                stack.enter_context(_asking(part, self._others))
            return self.metric.compute()

    @contextmanager
    def gathered(self, group: Any) -> Iterator[None]:
        self._others = [group]
        try:
            yield
        finally:
            self._others = []

    def reset_state(self) -> None:
        self.metric.reset()

    def to(self, device: torch.device | str) -> MetricOfTorch:
        if any(getattr(part, "device", device) != device for part in self._parts()):
            self.metric.to(device)
        return self

    def state_dict(self) -> dict[str, Any]:
        parts = self._parts()
        for part in parts:
            if hasattr(part, "persistent"):
                part.persistent(True)
        return {**self.metric.state_dict(), _UPDATES: torch.tensor([getattr(part, _UPDATES, 0) for part in parts])}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        state = {**self.state_dict(), **state}
        for part, updates in zip(self._parts(), state.pop(_UPDATES).tolist(), strict=True):
            setattr(part, _UPDATES, updates)
        self.metric.load_state_dict(state)

    def _parts(self) -> list[Any]:
        """The metrics that it is made of."""
        return [part for part in self.metric.modules() if is_metric_of_torch(part)]

    def _holding(self, values: Sequence[Any]) -> NoReturn:
        raise ArgumentError(f"{self.name}: a metric of torchmetrics keeps its own state, and has no stateless methods.")


def prediction_first(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """A function of torchmetrics as one of (y_true, y_pred)."""

    def of_targets(y_true: Any, y_pred: Any) -> torch.Tensor:
        y_true, y_pred = _alike(y_true, y_pred)
        return function(y_pred, y_true)

    return of_targets


def _alike(y_true: torch.Tensor, y_pred: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Without axes of length 1 that only one of them has or needs; whole numbers as int64."""
    if y_pred.ndim == y_true.ndim + 1 and y_pred.shape[-1] == 1:
        y_pred = y_pred.squeeze(-1)
    elif y_pred.ndim == y_true.ndim > 1 and y_true.shape[-1] == 1 < y_pred.shape[-1]:
        y_true = y_true.squeeze(-1)
    return y_true if y_true.is_floating_point() else y_true.long(), y_pred


@contextmanager
def _asking(part: Any, others: list[Any]) -> Iterator[None]:
    """For a while, a metric that asks these groups of processes, one or none, and remembers nothing it said before."""
    settings = {
        "distributed_available_fn": lambda: bool(others),
        "process_group": others[0] if others else None,
        "compute_with_cache": False,
    }
    before = {name: getattr(part, name) for name in settings if hasattr(part, name)}
    for name in before:
        setattr(part, name, settings[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(part, name, value)


def _names(metric: Any, module: str, prefix: str) -> bool:
    """Whether all classes that the metric is made of are of such a module and have such names."""
    parts = [part for part in metric.modules() if is_metric_of_torch(part)]
    leaves = [type(part) for part in parts if sum(map(is_metric_of_torch, part.modules())) == 1]
    return all(leaf.__module__.startswith(module) and leaf.__name__.startswith(prefix) for leaf in leaves)
