"""The training loop, and those of evaluation and prediction. Read it from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella.engine import cluster, random
from lamella.engine.batches import length
from lamella.engine.denormals import denormals_as_zeros
from lamella.engine.device import device_of
from lamella.engine.kernels import best_matmul, keep_freed_memory, matmul_choices
from lamella.engine.quickest import QuickestWay
from lamella.engine.variable import as_array
from lamella.training import checks
from lamella.training.batch_size import is_out_of_memory, too_large
from lamella.training.callbacks import CallbackList, History, has_terminate_on_nan
from lamella.training.progress import Progress, resolve_verbose
from lamella.training.train_function import make_predict_function


def train(
    model: Any,
    source: Any,
    validation: Any,
    callbacks: Any,
    epochs: range,
    verbose: int,
    validation_freq: int | Iterable[int],
) -> History:
    """Trains a prepared model, on the device's quickest products and threads; what its errors mean in words."""
    device = device_of(model)
    on_cpu = device.type == "cpu"
    run = CallbackList(callbacks, model, {"epochs": epochs.stop, "steps": source.num_batches, "verbose": verbose})
    model.history = history = History()
    run.append(history)
    run.call("set_data", source, validation)
    model._train_function = model._make_train_function()
    if on_cpu:
        keep_freed_memory()
        libraries = matmul_choices(device, model.precision)
        model._train_function = quickest = QuickestWay(
            model._train_function, libraries, getattr(source, "batch_size", None), model._quickest_way
        )
    try:
        largest = _largest_product(model, source) if on_cpu and random.seeded else None
        with best_matmul(device, model.precision, largest), denormals_as_zeros() if on_cpu else nullcontext():
            fit_epochs(model, source, validation, run, epochs, verbose, validation_freq)
    except Exception as error:
        run.call("on_train_error", error)
        if not isinstance(error, RuntimeError):
            raise
        if cluster.active is not None:
            raise cluster.told(error) from error
        if is_out_of_memory(error):
            raise too_large(model, source.peek(), device, error) from error
        raise
    finally:
        if on_cpu:
            quickest.restore()
            model._quickest_way = quickest.trial
        elif model._replay is not None:
            model._replay.let_go()
    return history


def _largest_product(model: Any, source: Any) -> int | None:
    """The multiplications of the largest product that a weight may take part in.

    None where the data stream, or where no weight is a matrix.
    """
    if not source.lasting:
        return None
    inputs = [each for each in pytree.tree_leaves(source.peek()[0]) if isinstance(each, torch.Tensor)]
    every_step = [cell.recurrent_kernel.numel() for cell in model.modules() if hasattr(cell, "recurrent_kernel")]
    if every_step:  # one product of all steps with the inputs' kernel, and one for each step with this one
        return length(inputs) * max(every_step)
    rows = [math.prod(each.shape[:-1] if each.is_floating_point() else each.shape) for each in inputs]
    sizes = [weight.numel() for weight in model.trainable_weights if weight.ndim == 2]
    return max(rows) * max(sizes) if rows and sizes else None


def watched(model: Any, source: Any, callbacks: Any, verbose: Any) -> tuple[CallbackList, Progress]:
    """The callbacks and the progress bar of an evaluation or a prediction."""
    verbose = resolve_verbose(verbose)
    run = CallbackList(callbacks, model, {"steps": source.num_batches, "verbose": verbose})
    return run, Progress(verbose, source.num_batches)


def fit_epochs(
    model: Any,
    source: Any,
    validation: Any,
    callbacks: CallbackList,
    epochs: Sequence[int],
    verbose: int,
    validation_freq: int | Iterable[int],
) -> None:
    """Trains for the epochs given; Ctrl-C ends it cleanly."""
    model.stop_training = False
    callbacks.call("on_train_begin", {})
    logs: dict[str, Any] = {}
    try:
        for epoch in epochs:
            if callbacks.skips(epoch):  # trained before the run was cut off: see BackupAndRestore
                continue
            callbacks.call("on_epoch_begin", epoch, {})
            progress = Progress(verbose, source.num_batches, f"Epoch {epoch + 1}/{epochs[-1] + 1}")
            try:
                found = train_epoch(model, source, callbacks, progress)
                if not progress.steps:
                    break  # a generator that is used up
                logs = found
                if validation is not None and _validates(epoch, validation_freq):
                    found = evaluate_batches(model, validation, callbacks, Progress(0, None))
                    logs |= {f"val_{name}": value for name, value in found.items()}
                progress.finish({**logs, **callbacks.shown()})
            finally:
                progress.close()
            logs = dict(sorted(logs.items()))
            callbacks.call("on_epoch_end", epoch, {**logs})  # which they may add to
            if model.stop_training:
                break
    except KeyboardInterrupt:
        print("\nInterrupted: training ends here; the history and the weights so far are kept.")
        model.stop_training = True
    finally:
        model.eval()
    if hasattr(model.optimizer, "finalize_variable_values"):
        model.optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.call("on_train_end", logs)


def train_epoch(model: Any, source: Any, callbacks: CallbackList, progress: Progress) -> dict[str, Any]:
    """One pass over the data; the metrics of it."""
    step = model._train_function
    begins = callbacks.listeners("on_train_batch_begin")
    ends = callbacks.listeners("on_train_batch_end")
    quiet_nan = has_terminate_on_nan(callbacks)
    model._last_logs = None
    model._accept_bad_loss = quiet_nan
    model.reset_metrics()
    model.train()
    if model._replay is not None:
        model._replay.new_epoch(paused=bool(begins or ends))
    index = 0
    try:
        _let_metrics_wait(model, source.lasting and not (begins or ends))
        for x, y, weight in progress.timed(source.batches()):
            if begins:
                callbacks.call("on_train_batch_begin", index, {})
            step(x, y, weight)
            if progress.step(length(x)):
                logs = read_metrics(model)
                checks.loss_is_finite(model, logs, x)
                progress.show(logs)
            if ends:
                logs = read_metrics(model)
                callbacks.call("on_train_batch_end", index, logs)
            index += 1
            if model.stop_training:
                break
    finally:
        model.eval()
        _let_metrics_wait(model, False)
    if cluster.active is not None:
        cluster.active.settle(model)
    logs = read_all_metrics(model)
    if index:
        checks.loss_is_finite(model, logs, x)
    return logs


def evaluate_batches(model: Any, source: Any, callbacks: CallbackList, progress: Progress) -> dict[str, Any]:
    """The metrics over all batches of the source."""
    step = model._test_function()
    ends = callbacks.listeners("on_test_batch_end")
    begins = callbacks.listeners("on_test_batch_begin")
    model._last_logs = None
    model.stop_evaluating = False
    model.reset_metrics()
    callbacks.call("on_test_begin", {})
    try:
        _let_metrics_wait(model, source.lasting and not (begins or ends))
        with torch.no_grad():
            for index, (x, y, weight) in enumerate(source.batches()):
                if begins:
                    callbacks.call("on_test_batch_begin", index, {})
                step(x, y, weight)
                if progress.step(length(x)):
                    progress.show(read_metrics(model))
                if ends:
                    callbacks.call("on_test_batch_end", index, read_metrics(model))
                if model.stop_evaluating:
                    break
        logs = read_all_metrics(model)
        progress.finish(logs)
    finally:
        progress.close()
        _let_metrics_wait(model, False)
    callbacks.call("on_test_end", logs)
    return logs


def _let_metrics_wait(model: Any, patient: bool) -> None:
    if model._compiled_metrics is not None:
        model._compiled_metrics.patient = patient


def predict_batches(model: Any, source: Any, callbacks: CallbackList, progress: Progress) -> Any:
    """The outputs for all batches of the source, joined, as NumPy arrays."""
    step = make_predict_function(model)
    begins = callbacks.listeners("on_predict_batch_begin")
    ends = callbacks.listeners("on_predict_batch_end")
    model.stop_predicting = False
    callbacks.call("on_predict_begin", {})
    parts: list[Any] = []
    try:
        with torch.no_grad():
            for index, (x, y, weight) in enumerate(source.batches()):
                if begins:
                    callbacks.call("on_predict_batch_begin", index, {})
                output = step(x, y, weight)
                parts.append(output)
                progress.step(length(x))
                if ends:
                    callbacks.call("on_predict_batch_end", index, {"outputs": pytree.tree_map(as_array, output)})
                if model.stop_predicting:
                    break
        progress.finish({})
    finally:
        progress.close()
    callbacks.call("on_predict_end", {})
    leaves = [pytree.tree_leaves(part) for part in parts]
    spec = pytree.tree_structure(parts[0])
    return pytree.tree_unflatten([_joined(column) for column in zip(*leaves, strict=True)], spec)


def _joined(tensors: Sequence[torch.Tensor]) -> np.ndarray:
    return as_array(torch.cat(list(tensors)) if len(tensors) > 1 else tensors[0])


def read_all_metrics(model: Any) -> dict[str, Any]:
    """The metrics over the samples of all processes."""
    if cluster.active is None:
        return read_metrics(model)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(cluster.active.summed([sums for metric in model.metrics for sums in metric.variables]))
        for metric in model._metrics_and_inner():
            stack.enter_context(metric.gathered(cluster.active.group))
        return read_metrics(model)


def read_metrics(model: Any) -> dict[str, Any]:
    """The metrics so far as Python numbers (this waits for the device)."""
    return host_values(model._last_logs if model._last_logs is not None else model.get_metrics_result())


def _validates(epoch: int, frequency: int | Iterable[int]) -> bool:
    if isinstance(frequency, int):
        return (epoch + 1) % frequency == 0
    return epoch + 1 in frequency


def host_values(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics as Python numbers (this waits for the device); those of a metric with several values each by its name.

    They stand in the order of their names, as in Keras.
    """
    found: dict[str, Any] = {}
    for name, value in sorted(logs.items()):
        found.update(host_values(value) if isinstance(value, Mapping) else {name: _host_value(value)})
    return found


def _host_value(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.item() if value.numel() == 1 else value.tolist()
    return float(value) if isinstance(value, np.generic) else value
