"""What is refused before training starts, and what went wrong when a loss is no number."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.utils import _pytree as pytree

from lamella import metrics
from lamella.engine import cluster
from lamella.engine.batches import length, rows
from lamella.engine.non_finite import first_non_finite, has_non_finite, name_of
from lamella.errors import ArgumentError, DataError, LamellaError, NonFiniteError, NotBuiltError, NotCompiledError
from lamella.layers.kept_states import states_kept
from lamella.optimizers.rate import steps_of, with_rates
from lamella.training.loss_of_output import loss_of_output


def known_losses(loss: Any) -> None:
    """Raises UnknownNameError for a name that is no loss: one for all outputs, or anywhere in a nest of them."""
    if isinstance(loss, dict) and "class_name" not in loss:
        loss = list(loss.values())
    if isinstance(loss, (list, tuple)):
        for each in loss:
            known_losses(each)
    elif loss is not None:
        loss_of_output(loss)


def known_metrics(names: Any) -> None:
    """Raises UnknownNameError for a name, anywhere in the structure, that is no metric."""
    for leaf in pytree.tree_leaves(names):
        if isinstance(leaf, str) and leaf not in ("accuracy", "acc", "crossentropy", "ce"):
            metrics.get(leaf)


def are_weights(loss_weights: Any) -> None:
    """Raises ArgumentError for metrics, which often stand where Keras's order of arguments has `loss_weights`."""
    for leaf in pytree.tree_leaves(loss_weights):
        if isinstance(leaf, (str, metrics.Metric)) or callable(leaf):
            raise ArgumentError(
                f"compile(): `loss_weights` must hold numbers; found {leaf!r}. It is the third positional argument, "
                f"and `metrics` is the fourth: write metrics=[...]."
            )


def whole_number(name: str, value: Any, least: int) -> None:
    """Raises ArgumentError for anything but a whole number of at least `least`."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise ArgumentError(f"`{name}` must be a whole number, {least} or more; got {value!r}.")


def has_optimizer(model: Any) -> None:
    """Raises NotCompiledError for a model that was compiled without an optimizer."""
    if model.optimizer is None:
        raise NotCompiledError(
            f"{type(model).__name__} {model.name!r} was compiled with optimizer=None: it can be evaluated, but not "
            f"trained. Call compile() with an optimizer, such as 'adam'."
        )


def has_data(model: Any, device: torch.device) -> None:
    """Raises NotBuiltError for a model whose weights are shapes alone."""
    if device.type == "meta":
        raise NotBuiltError(
            f"The weights of {type(model).__name__} {model.name!r} have no data: they are on the device 'meta'. "
            f"Call model.to_empty(device='cpu') and then load_weights(), or load_state_dict(state, assign=True)."
        )


def not_in_parts(model: Any) -> None:
    """Raises ArgumentError where several processes are to run a `train_step` that was written for one."""
    if cluster.active is not None:
        raise ArgumentError(
            f"{type(model).__name__} has a train_step (or compute_metrics) of its own, which takes its own gradients: "
            f"it cannot be spread over processes. Write compute_loss() in its place, or set_distribution(None)."
        )


def not_left_in_parts(model: Any) -> None:
    """Raises ArgumentError where a process is to train alone with weights that lie in parts in several."""
    if any(hasattr(weight, "to_local") for weight in model.trainable_weights[:1]):  # all do, or none
        raise ArgumentError(
            f"The weights of {model.name!r} lie in parts in several processes, but there is no distribution by which "
            f"these would add up their gradients. Train it under the one that spread them (set_distribution), or "
            f"save() it under that, and load_model() it without."
        )


def mean_losses(compiled: Any) -> None:
    """Raises ArgumentError for a loss that is no mean over the samples: parts of a batch would not add up to it."""
    for loss in compiled.losses if compiled is not None else []:
        reduction = getattr(loss, "reduction", "sum_over_batch_size")
        if reduction not in ("sum_over_batch_size", "mean"):
            raise ArgumentError(
                f"Over several processes, a loss must be a mean over the samples: use reduction='sum_over_batch_size'. "
                f"{loss.name!r} has reduction={reduction!r}."
            )


def needs_targets(model: Any) -> None:
    """Raises DataError where a loss is to be computed without targets."""
    raise DataError("There are no targets: pass y to fit(), or let the data set give (x, y) pairs.")


def input_fits(model: Any, x: Any) -> Any:
    """Runs the model on two samples; a wrong shape gives the layer's own error. Returns the prediction.

    A model whose layers keep states from batch to batch is run on the whole batch, and its states are put back. So is
    one that fails on two samples: it may be written for batches of one size.
    """
    states = [state for name, state in model.named_buffers() if "rnn_state" in name]
    stateful = any(getattr(module, "stateful", False) for module in model.modules())
    with torch.no_grad(), states_kept(model):
        kept = [state.clone() for state in states]
        outputs = model(x) if stateful else _on_two_samples(model, x)
        for state, before in zip(states, kept, strict=True):
            state.copy_(before)
        return outputs


def _on_two_samples(model: Any, x: Any) -> Any:
    try:
        return model(rows(x, slice(2)))
    except LamellaError:
        raise
    except Exception:
        if length(x) <= 2:
            raise
    return model(x)


def loss_is_finite(model: Any, logs: dict[str, Any], x: Any) -> None:
    """Raises NonFiniteError if the loss so far is no number (found when metrics are read)."""
    loss = logs.get("loss")
    if isinstance(loss, float) and not math.isfinite(loss) and not model._accept_bad_loss:
        bad_loss(model, loss, x, updated=True)


def bad_loss(model: Any, loss: Any, x: Any, updated: bool = False) -> None:
    """Raises NonFiniteError naming the first layer whose output is not finite, unless the user stops quietly.

    Args:
        model: The model.
        loss: Its loss, NaN or infinite.
        x: The inputs of the batch.
        updated: Whether the weights were updated since, as where a loss is not waited for: on a GPU, and in a step
            of the user's own.
    """
    if model._accept_bad_loss:
        model.stop_training = True
        return
    with torch.no_grad():
        value = float(loss)
        where = told_non_finite(model, x)
    rates = ", ".join(f"{float(each.learning_rate):g}" for _, each in with_rates(model.optimizer))
    when, kept = f"at step {steps_of(model.optimizer) + 1}", "The weights are those before this step."
    if updated:
        when = f"by step {steps_of(model.optimizer)}"
        kept = (
            "The weights were updated since: go back to a checkpoint (ModelCheckpoint and BackupAndRestore keep them)."
        )
    raise NonFiniteError(
        f"The loss became {value} {when}. {where} {kept} Often the learning rate ({rates}) is too large: try a tenth "
        f"of it, clip the gradients (clipnorm=1.0), or scale the inputs. To stop quietly instead, pass the callback "
        f"TerminateOnNaN()."
    )


def told_non_finite(model: Any, x: Any) -> str:
    """In words: where, from the inputs on, the first value is NaN or infinite."""
    if has_non_finite(x):
        return "The inputs of this batch already have NaN or infinite values."
    for name, parameter in model.named_parameters():
        if has_non_finite(parameter):
            return f"The weight {name!r} has NaN or infinite values."
    if cluster.active is not None:  # the others may have finite losses, and would not compute with this one
        return "Train in one process to hear which layer is the first with such values."
    first = first_non_finite(model, x)
    if first is None:
        told = "Every layer's output is finite: it is the loss itself (a logarithm of 0, or an overflow)."
        return told + _of_no_probabilities(model)
    return f"The first layer with NaN or infinite outputs is {name_of(first)!r} ({type(first).__name__})."


def _of_no_probabilities(model: Any) -> str:
    """In words: that the loss takes probabilities and the last layer gives none; nothing where it does or may."""
    loss = model._compile_arguments["loss"]
    name = loss if isinstance(loss, str) else getattr(loss, "name", None)
    last: Any = model.layers[-1] if model.layers else None
    activation = getattr(getattr(last, "activation", None), "__name__", "softmax")
    if not str(name).endswith("crossentropy") or activation in ("softmax", "sigmoid"):
        return ""
    if getattr(loss, "from_logits", False):
        return ""
    return (
        f" {name} takes probabilities, but the last layer {last.name!r} ends in {activation!r}: end it in softmax "
        f"(or sigmoid), or leave its activation out and give the loss from_logits=True."
    )
