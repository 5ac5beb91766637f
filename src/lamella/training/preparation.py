"""What comes before the first batch: the data as tensors, the weights, and a look at whether they fit."""

from __future__ import annotations

import warnings
from typing import Any, cast

import torch
from torch.utils import _pytree as pytree

from lamella.data.adapters import make_source
from lamella.data.batch import unpack_x_y_sample_weight
from lamella.data.source import Source
from lamella.engine import cluster
from lamella.engine.batches import rows
from lamella.engine.device import device_of
from lamella.engine.dtypes import floatx
from lamella.layers.kept_states import states_kept
from lamella.training import checks, limits
from lamella.training.step import overridden


def source_of(model: Any, x: Any, y: Any = None, sample_weight: Any = None, **options: Any) -> Source:
    """The batches of data of any kind, where the model is and in the type that it takes: see `make_source`."""
    options["steps"] = limits.limited("steps_per_epoch", options.get("steps"), limits.steps_per_epoch)
    device = device_of(model)
    checks.has_data(model, device)
    return make_source(x, y, sample_weight, device=device, dtype=data_dtype(model), **options)


def evaluation_source(model: Any, x: Any, y: Any = None, sample_weight: Any = None, **options: Any) -> Source:
    """As `source_of`; every pass over it begins at the first batch, and none takes a batch twice."""
    source = source_of(model, x, y, sample_weight, **options)
    source.one_round = True
    return source


def validation_source(model: Any, data: Any, batch_size: int | None, steps: int | None) -> Source:
    """The batches of `fit(validation_data=...)`."""
    x, y, weight = unpack_x_y_sample_weight(data) if isinstance(data, (tuple, list)) else (data, None, None)
    streams = y is None and not hasattr(x, "shape")
    return evaluation_source(model, x, y, weight, batch_size=None if streams else batch_size, steps=steps)


def own_share(source: Source) -> Source:
    """The rows of each batch that this process computes with: all, if it is alone."""
    return source if cluster.active is None else cast(Source, cluster.Share(source, cluster.active))


def data_dtype(model: Any) -> torch.dtype:
    """The type that floating-point data come in: layers that compute in less cast them for themselves."""
    return torch.float64 if "float64" in (model.dtype, floatx()) else torch.float32


def build_from(model: Any, x: Any) -> None:
    """Makes the weights, if they do not exist yet, for inputs such as `x`.

    A model that has only a step of its own (for its encoder and decoder, say) is no function of `x`: there each layer
    makes its weights where it is called.
    """
    if not model.built and model.can_be_called:
        with torch.no_grad(), states_kept(model):
            model(rows(x, slice(1)))


def _is_function_of_data(model: Any, source: Source) -> bool:
    """Whether a model with a step of its own can be called on `x`: then it has its weights and metrics from here on."""
    if not model.can_be_called:
        return False
    x, y, _ = source.peek()
    try:
        build_from(model, x)
        if y is not None and model._counts_as_one():
            model._metrics(y, _prediction_like(model, x))
    except Exception:  # the step may call it in another way, and its data may be no targets
        return False
    return True


def prepare(model: Any, source: Source, training: bool) -> None:
    """Builds what is not built yet and refuses data that cannot be right, before anything changes."""
    own_step = overridden(model, "train_step" if training else "test_step")
    ready = not own_step or _is_function_of_data(model, source)
    if training and not own_step:
        checks.has_optimizer(model)
    if not own_step:
        build_from(model, source.peek()[0])
        check_data(model, source)
    device = device_of(model)
    for metric in model.metrics:
        metric.to(device)
    if training:
        if cluster.active is not None:
            _place(model, cluster.active)
        else:
            checks.not_left_in_parts(model)
        if ready or all(layer.built for layer in model._flatten_layers() if layer is not model):
            prepare_optimizer(model)  # else some weights are only made in the first step


def _place(model: Any, distribution: cluster.Distribution) -> None:
    """Spreads the weights over the processes, and with them what the optimizer kept for them (from a file, say)."""
    optimizer, before = model.optimizer, model.trainable_weights
    spread = any(hasattr(weight, "to_local") for weight in before)
    kept = optimizer.state_dict() if optimizer.built and not spread else None
    distribution.place(model)
    if kept is not None and any(a is not b for a, b in zip(before, model.trainable_weights, strict=True)):
        prepare_optimizer(model)
        optimizer.load_state_dict(kept)


def check_data(model: Any, source: Source) -> None:
    """Refuses inputs that do not fit the model and targets that do not fit the loss; makes losses and metrics."""
    x, y, _ = source.peek()
    y_pred = _prediction_like(model, x)
    loss = model._compile_arguments["loss"]
    if y is None and loss is not None:
        checks.needs_targets(model)
    if y is None:
        return
    if loss is not None and not overridden(model, "compute_loss"):  # which may give it other outputs
        model._losses(y_pred).check_targets(source.targets(), y_pred)
    model._metrics(y, y_pred)


def _prediction_like(model: Any, x: Any) -> Any:
    """What the model makes of two samples; tried anew where the inputs' shapes or the layers have changed."""
    leaves, structure = pytree.tree_flatten(x)
    shapes = [(leaf.shape[1:], getattr(leaf, "dtype", None)) for leaf in leaves if hasattr(leaf, "shape")]
    kind = str(structure), shapes, [id(module) for module in model.modules()]
    if model._tried is None or model._tried[0] != kind:
        model._tried = kind, checks.input_fits(model, x)
    return model._tried[1]


def prepare_optimizer(model: Any) -> None:
    """Makes the optimizer's state for the trainable weights, and anew where it is for others."""
    weights = model.trainable_weights
    if model.optimizer is None:
        return
    if not weights:
        warnings.warn(
            "There is nothing to train: the model has no trainable weights. Loss and metrics are computed, and nothing "
            "else changes. Is every layer frozen (trainable = False)?",
            stacklevel=4,
        )
        return
    for layer in model._flatten_layers():
        for name, weight in layer._parameters.items():
            if weight is not None and not getattr(weight, "path", ""):
                weight.path = f"{layer.name}/{name}"  # optimizers that differ by weight go by it
            if name in layer._constraints:
                weight.constraint = layer._constraints[name]  # a weight spread over processes is a new one
    if not model.optimizer.built or [id(each) for each in model.optimizer._weights] != [id(each) for each in weights]:
        model.optimizer.build(weights)
