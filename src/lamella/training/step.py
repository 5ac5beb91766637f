"""What a model does with one batch: the methods that a training algorithm of one's own overrides."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch

from lamella import metrics as metrics_module
from lamella import tree
from lamella.data.batch import unpack_x_y_sample_weight
from lamella.engine.batches import length
from lamella.engine.device import device_of
from lamella.engine.stateless import Exchange
from lamella.errors import NotCompiledError
from lamella.metrics import Metric
from lamella.training import checks
from lamella.training.compile_metrics import CompileMetrics
from lamella.training.compiled import CompiledLoss, CompiledMetrics
from lamella.training.nested_loss import NestedLoss, is_nested, takes_several


class Step:
    """The part of a `Trainer` that computes: the loss, its update, and the metrics."""

    compiled: bool
    optimizer: Any
    loss: Any

    def _init_step(self) -> None:
        self._compile_arguments: dict[str, Any] = {}
        # The loss and the metrics are made when the outputs are known.
        self._compiled_loss: CompiledLoss | NestedLoss | None = None
        self._compiled_metrics: CompiledMetrics | None = None
        self._loss_tracker = metrics_module.Mean(name="loss")
        self._own_metrics: list[Metric] = []

    def train_step(self, data: Any) -> dict[str, Any] | None:
        """Trains on one batch; override it for a training algorithm of your own, in torch.

        Args:
            data: `(x, y)` or `(x, y, sample_weight)`, as `fit` was given, as tensors.

        Returns:
            The metrics by name; or None, and the model's metrics are read when they are shown.
        """
        x, y, weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=True)  # type: ignore[operator]
        loss = self.compute_loss(x, y, y_pred, weight)
        if loss is None:
            raise NotCompiledError("There is nothing to train: compile() gave no loss, and no layer adds one.")
        self._loss_tracker.update_state(loss.detach(), sample_weight=length(x))
        self.minimize(loss)
        with torch.no_grad():
            return self.compute_metrics(x, y, y_pred, weight)

    def test_step(self, data: Any) -> dict[str, Any] | None:
        """Evaluates one batch; override it together with `train_step`."""
        x, y, weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        loss = self.compute_loss(x, y, y_pred, weight, **_not_training(self))
        if loss is not None:
            self._loss_tracker.update_state(loss, sample_weight=length(x))
        return self.compute_metrics(x, y, y_pred, weight)

    def predict_step(self, data: Any) -> Any:
        """Predicts one batch."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)  # type: ignore[operator]

    def minimize(self, loss: torch.Tensor) -> None:
        """One update of the trainable weights against the gradients of `loss`: the end of a `train_step`.

        Args:
            loss: A scalar that was computed with gradients.

        Example:
            >>> import lamella, torch
            >>> class Fit(lamella.Model):
            ...     def __init__(self):
            ...         super().__init__()
            ...         self.dense = lamella.layers.Dense(1)
            ...     def call(self, x):
            ...         return self.dense(x)
            ...     def train_step(self, data):
            ...         x, y = data
            ...         loss = (self(x) - y).abs().amax()
            ...         self.minimize(loss)
            ...         return {"largest_error": loss.detach()}
            >>> model = Fit()
            >>> model.compile("adam")
            >>> history = model.fit(torch.ones(8, 2), torch.ones(8, 1), epochs=9, verbose=0)
            >>> history.history["largest_error"][-1] < history.history["largest_error"][0]
            True
        """
        weights = self.trainable_weights  # type: ignore[attr-defined]
        if not weights:
            return
        checks.has_optimizer(self)
        gradients = torch.autograd.grad(self.optimizer.scale_loss(loss), weights, allow_unused=True)
        self.optimizer.apply(gradients, weights)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> torch.Tensor | None:
        """The loss of `compile`, with the penalties of regularizers and of `add_loss`."""
        total = None
        if self._compile_arguments.get("loss") is not None and y is not None:
            total = self._losses(y_pred)(y, y_pred, sample_weight)
        extra = [added.sum() for added in self.losses]  # type: ignore[attr-defined]
        if extra:
            total = sum(extra) if total is None else total + sum(extra)
        return total

    def compiled_loss(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, regularization_losses: Any = None
    ) -> torch.Tensor:
        """The loss of `compile`, as a `train_step` of Keras 2 asks for it; newer ones call `compute_loss`."""
        loss = self._losses(y_pred)(y_true, y_pred, sample_weight)
        self._loss_tracker.update_state(loss.detach(), sample_weight=length(y_pred))
        return loss + sum(regularization_losses) if regularization_losses else loss

    @property
    def compiled_metrics(self) -> SimpleNamespace:
        """The metrics of `compile`, as a `train_step` of Keras 2 updates them; newer ones call `compute_metrics`."""

        def update_state(y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self._metrics(y_true, y_pred).update(y_true, y_pred, sample_weight)

        return SimpleNamespace(update_state=update_state)

    def stateless_compute_loss(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        metrics_variables: Sequence[Any],
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tuple[Any, tuple[Any, Any, Any]]:
        """`compute_loss` with other weights and states, which changes nothing.

        Args:
            trainable_variables: A tensor for each of `model.trainable_variables`.
            non_trainable_variables: A tensor for each of `model.non_trainable_variables`.
            metrics_variables: A tensor for each of `model.metrics_variables`.
            x: As for `compute_loss`.
            y: As for `compute_loss`.
            y_pred: As for `compute_loss`.
            sample_weight: As for `compute_loss`.
            training: As for `compute_loss`.

        Returns:
            The loss, and the three lists with the values that states have after it.
        """
        fixed, sums = self.non_trainable_variables, self.metrics_variables  # type: ignore[attr-defined]
        holders = [*self.modules(), *self._metrics_and_inner()]  # type: ignore[attr-defined]
        exchange = Exchange(holders)
        exchange.put(self.trainable_variables, trainable_variables, "trainable_variables")  # type: ignore[attr-defined]
        exchange.put(fixed, non_trainable_variables, "non_trainable_variables")
        exchange.put(sums, metrics_variables, "metrics_variables")
        with exchange:
            loss = self.compute_loss(x, y, y_pred, sample_weight, training)
            return loss, (trainable_variables, exchange.now(fixed), exchange.now(sums))

    @property
    def metrics_variables(self) -> list[torch.Tensor]:
        """The sums of all metrics, that of the loss first."""
        return [state for metric in self._plain_metrics() for state in metric.variables]

    def _plain_metrics(self) -> list[Metric]:
        found = (metric.metrics if isinstance(metric, CompileMetrics) else [metric] for metric in self.metrics)
        return [metric for several in found for metric in several]

    def _metrics_and_inner(self) -> list[Metric]:
        """The metrics one by one, and those that they are made of."""
        return [each for metric in self._plain_metrics() for each in metric.with_inner()]

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Adds a batch to the metrics of `compile`; their values so far."""
        if y is not None:
            self._metrics(y, y_pred).update(y, y_pred, sample_weight)
        return self.get_metrics_result()

    @property
    def metrics(self) -> list[Metric]:
        """The loss tracker, the metrics of `compile`, the losses of outputs, and metrics that the model holds."""
        found: list[Metric] = []
        if self.compiled and (self._compile_arguments["loss"] is not None or not overridden(self, "train_step")):
            found.append(self._loss_tracker)
        if self._compiled_metrics is not None:
            self._compiled_metrics.settle()
        if self._counts_as_one():
            found.append(CompileMetrics(self))
        elif self._compiled_metrics is not None:
            found.extend(self._compiled_metrics.all)
        if self._compiled_loss is not None:
            found.extend(self._compiled_loss.trackers)
        for layer in self._flatten_layers():  # type: ignore[attr-defined]
            for name, value in vars(layer).items():
                if isinstance(value, Metric) and name != "_loss_tracker":
                    found.append(value)
        found.extend(self._own_metrics)
        return list({id(metric): metric for metric in found}.values())

    def _counts_as_one(self) -> bool:
        """Whether `compile`'s metrics are one: before their first batch, and in own steps that would mix them up."""
        if self._compiled_metrics is None:
            return self.compiled and any(self._compile_arguments.get(name) for name in ("metrics", "weighted_metrics"))
        own_steps = overridden(self, "train_step") or overridden(self, "test_step")
        return own_steps and (self._compiled_metrics.renames or not self._compiled_metrics.is_single)

    @property
    def metrics_names(self) -> list[str]:
        """The names of the metrics, in the order of what `evaluate` lists."""
        return self._in_order([self._name_of(metric) for metric in self.metrics])

    def _in_order(self, names: Iterable[str]) -> list[str]:
        """First those under which metrics know themselves, in the order of `metrics`; then the others by name."""
        known = [metric.name for metric in self._plain_metrics()]
        place = {name: i for i, name in reversed([*enumerate(known)])}
        return sorted(names, key=lambda name: (place.get(name, len(known)), name))

    def _name_of(self, metric: Metric) -> str:
        """The name that a metric is reported under: of several outputs, that of its output comes first."""
        return metric.name if self._compiled_metrics is None else self._compiled_metrics.name_of(metric)

    def add_metric(self, metric: Metric) -> Metric:
        """Adds a metric that the model updates itself (in `call` or `train_step`)."""
        self._own_metrics.append(metric)
        return metric

    def reset_metrics(self) -> None:
        """Starts every metric afresh."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The value of each metric so far, as tensors."""
        results: dict[str, Any] = {}
        for metric in self.metrics:
            value = metric.result()
            results.update(value if isinstance(value, dict) else {self._name_of(metric): value})
        return results

    def _losses(self, y_pred: Any) -> CompiledLoss | NestedLoss:
        if self._compiled_loss is None:
            names, named = _names_of_outputs(self, y_pred)
            loss, weights = (self._compile_arguments[name] for name in ("loss", "loss_weights"))
            if is_nested(y_pred) or takes_several(loss, y_pred):
                self._compiled_loss = NestedLoss(loss, weights, y_pred, names)
            else:
                listed = _losses_in_order(self, loss, y_pred, names)
                self._compiled_loss = CompiledLoss(loss, weights, names, named, listed)
            for tracker in self._compiled_loss.trackers:
                tracker.to(device_of(self))  # type: ignore[arg-type]
        return self._compiled_loss

    def _metrics(self, y: Any, y_pred: Any) -> CompiledMetrics:
        if self._compiled_metrics is None:
            plain, weighted = (self._compile_arguments.get(name) for name in ("metrics", "weighted_metrics"))
            names, named = _names_of_outputs(self, y_pred)
            self._compiled_metrics = CompiledMetrics(plain, weighted, names, y, y_pred, named)
        return self._compiled_metrics


def _losses_in_order(model: Any, loss: Any, y_pred: Any, names: list[str]) -> list[str]:
    """The names of the outputs in the order in which Keras lists their losses."""
    if not isinstance(y_pred, Mapping) or isinstance(loss, (list, tuple)):
        return names
    if isinstance(loss, Mapping) and set(loss) <= set(names):
        return list(loss)
    return names if getattr(model, "_graph", None) is not None else list(y_pred)


def _not_training(model: Any) -> dict[str, bool]:
    """`training=False` for `compute_loss`, unless it is a user's own and takes no such argument, as in older Keras."""
    taken = inspect.signature(model.compute_loss).parameters if overridden(model, "compute_loss") else {}
    takes = not taken or "training" in taken or any(each.kind is each.VAR_KEYWORD for each in taken.values())
    return {"training": False} if takes else {}


def overridden(model: Any, method: str) -> bool:
    """Whether a subclass of `Model` wrote this method of `Step` anew."""
    return getattr(type(model), method) is not getattr(Step, method)


def _names_of_outputs(model: Any, y_pred: Any) -> tuple[list[str], bool]:
    """The names of the outputs, and whether the model gave them."""
    graph = getattr(model, "_graph", None)
    if is_nested(y_pred):
        given = tree.flatten(graph.outputs) if graph is not None else []
        named = len(given) == len(tree.flatten(y_pred))
        paths = (path for path, _ in tree.flatten_with_path(y_pred))
        return [each.node.name for each in given] if named else ["_".join(map(str, path)) for path in paths], named
    if isinstance(y_pred, Mapping):
        return [path[0] for path, _ in tree.flatten_with_path(y_pred)], True  # a list goes by the names' order
    names = getattr(model, "output_names", None)
    count = len(y_pred) if isinstance(y_pred, (list, tuple)) else 1
    if names and len(names) == count:
        return list(names), True
    return [f"output_{i}" for i in range(count)], False
