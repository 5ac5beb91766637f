"""What `fit`, `evaluate` and `predict` call for each batch, made of a model's layers, loss and metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lamella.data.batch import pack_x_y_sample_weight
from lamella.engine import cluster, marks
from lamella.engine import step as engine_step
from lamella.engine.batches import length
from lamella.engine.captured import TOLERANCE, Captured
from lamella.engine.cuda_graph import graphs_of
from lamella.engine.device import device_of
from lamella.engine.replay import Compute, Replay
from lamella.engine.seed_generator import SeedGenerator
from lamella.engine.variable import whole
from lamella.errors import NotCompiledError
from lamella.layers.added_losses import pop_added_losses
from lamella.training import checks, plain
from lamella.training.jit import with_compiled_calls
from lamella.training.step import overridden

Step = Callable[[Any, Any, Any], None]


def make_train_function(model: Any, recorded: bool = True) -> Step:
    """The function (x, y, sample_weight) -> None that trains on one batch.

    Args:
        model: A prepared model.
        recorded: Whether small steps are recorded and played (`model._replay`): it pays after some six batches.
    """
    return with_compiled_calls(model, _train_function(model, recorded))


def make_test_function(model: Any) -> Step:
    """The function (x, y, sample_weight) -> None that evaluates one batch."""
    return with_compiled_calls(model, _test_function(model))


def make_predict_function(model: Any) -> Callable[[Any, Any, Any], Any]:
    """The function (x, y, sample_weight) -> the outputs for one batch."""
    if overridden(model, "predict_step"):
        return with_compiled_calls(model, lambda *batch: model.predict_step(pack_x_y_sample_weight(*batch)))
    return with_compiled_calls(model, lambda x, y, weight: model(x))


def _train_function(model: Any, recorded: bool) -> Step:
    model._replay = None
    if overridden(model, "train_step") or overridden(model, "compute_metrics"):
        checks.not_in_parts(model)
        return _own(model, model.train_step)
    parameters = model.trainable_weights
    if not parameters:
        return torch.no_grad()(engine_step.test_step(model, _loss_function(model), _observer(model)))
    forward: Any = model
    scale = model.optimizer.scale_loss if getattr(model.optimizer, "scales_loss", False) else None
    if cluster.active is not None:
        checks.mean_losses(model._compiled_loss)
        losses = _loss_function(model, penalized=False)
        forward = cluster.active.forward(forward)
        compute = cluster.gradients(cluster.active, forward, losses, lambda: _penalty(model), parameters, scale)
    else:
        compute = engine_step.gradients(forward, _loss_function(model), parameters, scale)
        if recorded and scale is None and not marks.on and may_be_replayed(model):
            model._replay = _played(model, compute)
            compute = model._replay or compute
    step = engine_step.train_step(
        compute, model.optimizer, _observer(model), lambda loss, x, y, weight: checks.bad_loss(model, loss, x)
    )
    return step


def _test_function(model: Any) -> Step:
    if any(overridden(model, method) for method in ("test_step", "compute_loss", "compute_metrics")):
        return _own(model, model.test_step)
    loss = _loss_function(model, required=model._compiled_loss is not None)  # layers alone may add one
    return engine_step.test_step(model, loss, _observer(model))


def may_be_replayed(model: Any) -> bool:
    """Whether the step is of the kind that `lamella.engine.replay` records, if the model is plain."""
    loss = model._compiled_loss
    single = loss is not None and loss.single is not None and not overridden(model, "compute_loss")
    return single and not model.jit_compile and device_of(model).type in ("cpu", "cuda")


def _played(model: Any, compute: Compute) -> Replay | Captured | None:
    """What records and plays the step where the model is: a CUDA graph, or the list of torch's operations."""
    loss, graphs, layers = model._compiled_loss, graphs_of(device_of(model)), model._flatten_layers()

    def settings() -> Any:
        return plain.settings(model, loss), [each.trainable for each in layers]

    if graphs is None:
        return Replay(compute, settings, lambda: plain.is_plain(model, loss))
    if not plain.is_plain(model, loss) or not type(model.optimizer).__module__.startswith("lamella."):
        return None  # another optimizer may keep gradients, and the next batch comes to lie in the same memory
    rounds = model.precision == "fast" or any(each.compute_dtype in ("float16", "bfloat16") for each in layers)
    return Captured(compute, settings, lambda: _state(model), graphs, 2e-2 if rounds else TOLERANCE)


def _state(model: Any) -> list[torch.Tensor | torch.Generator]:
    """All tensors and generators that layers hold."""
    held = [value for module in model.modules() for value in vars(module).values()]
    seeds = [value.state for value in held if isinstance(value, SeedGenerator)]
    return [*model.parameters(), *model.buffers(), *seeds, *(v for v in held if isinstance(v, torch.Generator))]


def _own(model: Any, step: Any) -> Step:
    """A user's `train_step` or `test_step` as a function of (x, y, weight) that keeps what it returns."""

    def run(x: Any, y: Any, weight: Any) -> None:
        pop_added_losses(model)
        model._last_logs = step((x, y, weight) if weight is not None else pack_x_y_sample_weight(x, y))

    return run


def _loss_function(model: Any, penalized: bool = True, required: bool = True) -> Any:
    """(x, y, y_pred, weight) -> the total loss, without a look at what this model does not have.

    Where there is none, None if it is not `required`.
    """
    own = model.compute_loss if overridden(model, "compute_loss") else None
    losses = model._compiled_loss
    penalties = _penalties(model) if penalized else []

    def loss(x: Any, y: Any, y_pred: Any, weight: Any) -> torch.Tensor | None:
        if own is not None:
            total = own(x, y, y_pred, weight)
            pop_added_losses(model)
        else:
            total = losses(y, y_pred, weight) if losses is not None and y is not None else None
            for parameter, regularizer in penalties:
                penalty = whole(regularizer(parameter))
                total = penalty if total is None else total + penalty
            for added in pop_added_losses(model):
                total = added.sum() if total is None else total + added.sum()
        if total is None and required:
            gave = "compute_loss() gave no loss" if own is not None else "compile() gave no loss, and no layer adds one"
            raise NotCompiledError(f"There is nothing to train: {gave}.")
        return total

    return loss


def _penalty(model: Any) -> torch.Tensor | None:
    """What the regularizers add to the loss of a batch, whatever is in it."""
    if overridden(model, "compute_loss"):
        return None
    found = [whole(regularizer(parameter)) for parameter, regularizer in _penalties(model)]
    return torch.stack(found).sum() if found else None


def _penalties(model: Any) -> list[tuple[torch.Tensor, Any]]:
    """Each weight that is trained and has a regularizer, with it."""
    return [
        (layer._parameters[name], each)
        for layer in model._flatten_layers()
        for name, each in layer._regularizers.items()
        if layer._parameters.get(name) is not None and layer._parameters[name].requires_grad
    ]


def _observer(model: Any) -> Any:
    """The function that adds (loss, targets, predictions, sample weights) to the metrics."""
    tracker, metrics = model._loss_tracker, model._compiled_metrics
    if metrics is not None and not metrics.all:
        metrics = None

    def observe(loss: Any, y: Any, y_pred: Any, weight: Any) -> None:
        if cluster.active is not None and not cluster.active.share:
            return  # a row that another process counts
        if loss is not None:
            tracker.update_state(loss, sample_weight=length(y_pred))
        if metrics is not None and y is not None:
            metrics.count(y, y_pred, weight)

    return observe
