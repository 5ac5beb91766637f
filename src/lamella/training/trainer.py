"""`compile`, `fit`, `evaluate`, `predict`: the part of a model that trains it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella import losses as losses_module
from lamella import metrics as metrics_module
from lamella import optimizers
from lamella.data.adapters import Source, make_source, train_validation_split, unpack_x_y_sample_weight
from lamella.data.arrays import check_finite
from lamella.engine import cluster, marks, masking
from lamella.engine import step as engine_step
from lamella.engine.device import device_of
from lamella.engine.dtypes import floatx
from lamella.engine.kernels import best_matmul, keep_freed_memory
from lamella.engine.registry import get_registered_object, serialize
from lamella.engine.replay import Replay
from lamella.engine.threads import QuickestThreads
from lamella.engine.variable import as_array, whole
from lamella.errors import ArgumentError, NotBuiltError, NotCompiledError, nearest
from lamella.layers.base import Layer, pop_added_losses
from lamella.metrics import Metric
from lamella.training import checks, plain
from lamella.training.batch_size import SMALLEST, is_out_of_memory, quickest_batch_size, too_large
from lamella.training.callbacks import CallbackList, History
from lamella.training.compiled import CompiledLoss, CompiledMetrics
from lamella.training.fit import evaluate_batches, fit_epochs, predict_batches
from lamella.training.progress import Progress, resolve_verbose


class Trainer:
    """What makes a `Layer` trainable. `Model` is a `Trainer` and a `Layer`."""

    stop_training: bool
    optimizer: Any
    compiled: bool
    output_names: list[str]

    def _init_trainer(self) -> None:
        self.compiled = False
        self.precision = "accurate"
        self._in_segments = False
        self._on_cpu: bool | None = None  # asked at the first predict, and again when the model was moved
        self.optimizer = None
        self.loss: Any = None
        self.history: Any = None
        self.stop_training = False
        self._compile_arguments: dict[str, Any] = {}
        self._compiled_loss: CompiledLoss | None = None
        self._compiled_metrics: CompiledMetrics | None = None
        self._loss_tracker = metrics_module.Mean(name="loss")
        self._own_metrics: list[Metric] = []
        self._train_function: Any = None
        self._replay: Replay | None = None
        self._trained_with: list[int] = []
        self._tried: tuple[Any, Any] | None = None  # a kind of inputs, and the prediction for two of them

    # -- compile ------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: str | bool | None = "auto",
        auto_scale_loss: bool = True,
        precision: str = "accurate",
        rematerialize: bool | Sequence[str] = False,
    ) -> None:
        """Says how to train: with which optimizer, loss and metrics.

        Args:
            optimizer: A name (`"adam"`) or an optimizer object.
            loss: A name, a loss, a function (y_true, y_pred), or a list or dict of them for several outputs.
            loss_weights: The weight of each output's loss.
            metrics: Names, metrics or functions; a list of lists or a dict for several outputs.
            weighted_metrics: Metrics that count samples by `sample_weight` and `class_weight`.
            run_eagerly: Kept for Keras's signature: a step always runs eagerly unless `jit_compile`.
            steps_per_execution: Kept for Keras's signature; steps are never waited for.
            jit_compile: True runs the forward pass and the loss through `torch.compile`.
            auto_scale_loss: Whether the optimizer of a `"mixed_float16"` model is put into a `LossScaleOptimizer`.
            precision: `"accurate"`, or `"fast"`: products of float32 matrices may round their factors where the
                hardware then is quicker (TF32, bfloat16 units). Weights, sums and all else stay float32.
            rematerialize: Whether activations are computed again for the gradients rather than kept: those of about
                sqrt(n) of n layers are kept, for a third more time. Or the names of the layers for which.

        Raises:
            UnknownNameError: A name that is not known; the message lists the nearest.
        """
        if precision not in ("accurate", "fast"):
            raise ArgumentError(f"compile(): `precision` must be 'accurate' or 'fast'; got {precision!r}.")
        loss_names = (
            loss if isinstance(loss, (list, tuple)) else list(loss.values()) if _is_dict_of_losses(loss) else [loss]
        )
        for each in loss_names:  # every name is checked here, before any data
            checks.known_loss(each)
        checks.known_metrics(metrics)
        checks.known_metrics(weighted_metrics)
        self.optimizer = optimizers.get(optimizer)
        halves = self.dtype_policy.name == "mixed_float16"  # type: ignore[attr-defined]
        if auto_scale_loss and halves and not isinstance(self.optimizer, optimizers.LossScaleOptimizer):
            self.optimizer = optimizers.LossScaleOptimizer(self.optimizer)
        self.loss = loss
        self._compile_arguments = {
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        self.run_eagerly = run_eagerly
        self.steps_per_execution = steps_per_execution
        self.jit_compile = jit_compile is True and not run_eagerly
        self.precision = precision
        self._set_rematerialize(rematerialize)
        self._compiled_loss = None
        self._compiled_metrics = None
        self._train_function = None
        self._tried = None
        self.stop_training = False
        self.compiled = True

    def _set_rematerialize(self, wanted: bool | Sequence[str]) -> None:
        """A graph goes through in segments; the layers of a subclassed model, or those named, one by one."""
        names = [wanted] if isinstance(wanted, str) else list(wanted) if not isinstance(wanted, bool) else []
        within = {layer.name: layer for layer in self._flatten_layers() if layer is not self}  # type: ignore[attr-defined]
        unknown = [name for name in names if name not in within]
        if unknown:
            raise ArgumentError(
                f"compile(): `rematerialize` names {unknown[0]!r}, which is no layer of the model. Nearest: "
                f"{nearest(unknown[0], list(within)) or list(within)}."
            )
        self._in_segments = wanted is True
        has_graph = getattr(self, "_graph", None) is not None or hasattr(self, "_chain")
        chosen = names if not self._in_segments or has_graph else [layer.name for layer in self.layers]  # type: ignore[attr-defined]
        for name, layer in within.items():
            layer.rematerialize = name in chosen

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was given, as plain data; None if it was not called."""
        if not self.compiled:
            return None
        arguments = {"optimizer": self.optimizer, "loss": self.loss, **self._compile_arguments}
        config = {name: serialize(value) for name, value in arguments.items()}
        return {
            **config,
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
            "jit_compile": "auto",  # a matter of the machine that it is loaded on
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as `get_compile_config` (here or in Keras) says, and makes the optimizer's state if it can."""
        arguments = {name: config.get(name) for name in _COMPILE_ARGUMENTS if config.get(name) is not None}
        arguments = {name: _compiled(name, value) for name, value in arguments.items()}
        self.compile(**arguments)  # type: ignore[arg-type]
        if self.built and self.trainable_weights:  # type: ignore[attr-defined]
            self._prepare_optimizer()

    @property
    def metrics(self) -> list[Metric]:
        """The loss tracker, the metrics of `compile`, and metrics that are attributes of the model."""
        found: list[Metric] = []
        if self.compiled and (self.loss is not None or type(self).train_step is Trainer.train_step):
            found.append(self._loss_tracker)
        if self._compiled_loss is not None:
            found.extend(self._compiled_loss.trackers)
        if self._compiled_metrics is not None:
            found.extend(self._compiled_metrics.all)
        for layer in self._flatten_layers():  # type: ignore[attr-defined]
            own = {name: value for name, value in vars(layer).items() if name != "_loss_tracker"}
            found.extend(metric for metric in own.values() if isinstance(metric, Metric))
        found.extend(self._own_metrics)
        return list({id(metric): metric for metric in found}.values())

    @property
    def metrics_names(self) -> list[str]:
        """The names of the metrics."""
        return [metric.name for metric in self.metrics]

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
            results.update(value if isinstance(value, dict) else {metric.name: value})
        return results

    # -- one step, as users override it -----------------------------------------------------------------

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
        self._loss_tracker.update_state(loss.detach(), sample_weight=_batch_size(x))
        parameters = self.trainable_weights  # type: ignore[attr-defined]
        self.optimizer.apply(
            torch.autograd.grad(self.optimizer.scale_loss(loss), parameters, allow_unused=True), parameters
        )
        with torch.no_grad():
            return self.compute_metrics(x, y, y_pred, weight)

    def test_step(self, data: Any) -> dict[str, Any] | None:
        """Evaluates one batch; override it together with `train_step`."""
        x, y, weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        loss = self.compute_loss(x, y, y_pred, weight, training=False)
        if loss is not None:
            self._loss_tracker.update_state(loss, sample_weight=_batch_size(x))
        return self.compute_metrics(x, y, y_pred, weight)

    def predict_step(self, data: Any) -> Any:
        """Predicts one batch."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)  # type: ignore[operator]

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
        if self.loss is not None and y is not None:
            total = self._losses(y_pred)(y, y_pred, sample_weight)
        extra = self.losses  # type: ignore[attr-defined]
        if extra:
            total = sum(extra) if total is None else total + sum(extra)
        pop_added_losses()
        return total

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Adds a batch to the metrics of `compile`; their values so far."""
        if y is not None:
            self._metrics(y, y_pred).update(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def stateless_compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """`compute_loss` under its other Keras name."""
        return self.compute_loss(*args, **kwargs)

    def _losses(self, y_pred: Any) -> CompiledLoss:
        if self._compiled_loss is None:
            names = self._names_of_outputs(y_pred)
            self._compiled_loss = CompiledLoss(self.loss, self._compile_arguments["loss_weights"], names)
            for tracker in self._compiled_loss.trackers:
                tracker.to(device_of(self))  # type: ignore[arg-type]
        return self._compiled_loss

    def _metrics(self, y: Any, y_pred: Any) -> CompiledMetrics:
        if self._compiled_metrics is None:
            arguments = self._compile_arguments
            self._compiled_metrics = CompiledMetrics(
                arguments.get("metrics"),
                arguments.get("weighted_metrics"),
                self._names_of_outputs(y_pred),
                y,
                y_pred,
            )
        return self._compiled_metrics

    def _names_of_outputs(self, y_pred: Any) -> list[str]:
        names = getattr(self, "output_names", None)
        if isinstance(y_pred, Mapping):
            return list(y_pred)
        count = len(y_pred) if isinstance(y_pred, (list, tuple)) else 1
        return list(names) if names and len(names) == count else [f"output_{i}" for i in range(count)]

    # -- fit, evaluate, predict -----------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | str | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
    ) -> History:
        """Trains the model.

        Args:
            x: Inputs: arrays, tensors, data frames, lists or dicts of them; or a generator, `DataLoader` or
                `PyDataset` that gives `(x, y)` or `(x, y, sample_weight)`.
            y: Targets, one for each sample of `x`.
            batch_size: Samples in one step; 32 by default. 1 is stochastic, all samples is batch gradient descent.
                `"auto"` measures: the smallest that is nearly as quick, sample for sample, as all that fit.
            epochs: The epoch to train up to.
            verbose: 0 silent, 1 a progress bar, 2 a line an epoch.
            callbacks: Callback objects.
            validation_split: The share of the last samples that is kept for validation.
            validation_data: `(x, y)`, `(x, y, sample_weight)`, or a stream as for `x`.
            shuffle: Whether samples come in a new order each epoch.
            class_weight: A weight for each class.
            sample_weight: A weight for each sample.
            initial_epoch: The epoch to go on from.
            steps_per_epoch: Batches in an epoch; all by default.
            validation_steps: Batches in a validation.
            validation_batch_size: Samples in one batch of it.
            validation_freq: Validate after every n epochs, or after those listed.

        Returns:
            The history: a number for each metric and epoch. Ctrl-C ends training early and keeps what there is.

        Raises:
            NotCompiledError: `compile` was not called.
            DataError: Data that cannot be used: lengths that differ, NaN, labels out of range, ...
            ShapeError: Data that do not fit the model.
            NonFiniteError: The loss became NaN; the message names the first layer concerned.
            OutOfMemoryError: A batch does not fit; the message has the size of the largest that does.
        """
        self._require_compiled("fit")
        checks.whole_number("epochs", epochs, 0)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = train_validation_split((x, y, sample_weight), validation_split)
        device = device_of(self)  # type: ignore[arg-type]
        if isinstance(batch_size, str):
            if batch_size != "auto":
                raise ArgumentError(f"`batch_size` must be a whole number or 'auto'; got {batch_size!r}.")
            batch_size = self._quickest_batch_size((x, y, sample_weight), class_weight, resolve_verbose(verbose))
        source = make_source(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            steps=steps_per_epoch,
            shuffle=shuffle,
            class_weight=class_weight,
            device=device,
            dtype=self._data_dtype(),
        )
        validation = None
        if validation_data is not None:
            validation = self._validation_source(validation_data, validation_batch_size or batch_size, validation_steps)
        if cluster.active is not None:
            source = cast(Source, cluster.Share(source, cluster.active))
            validation = validation and cluster.Share(validation, cluster.active)
        self._prepare(source, training=True)
        if validation is not None:
            self._check_validation(validation)
        run = CallbackList(
            callbacks,
            self,
            {"epochs": epochs, "steps": source.num_batches, "verbose": resolve_verbose(verbose)},
        )
        self.history = History()
        self.history.set_model(self)
        run.callbacks.append(self.history)
        _tell(run, "set_data", source, validation)
        if device.type == "cpu":
            keep_freed_memory()
            self._train_function = quickest = QuickestThreads(self._train_function)
        try:
            with best_matmul(device, self.precision):
                fit_epochs(
                    self,
                    source,
                    validation,
                    run,
                    range(initial_epoch, epochs),
                    resolve_verbose(verbose),
                    validation_freq,
                )
        except RuntimeError as error:
            _tell(run, "on_train_error", error)
            if cluster.active is not None:
                raise cluster.told(error) from error
            if not is_out_of_memory(error):
                raise
            raise too_large(self, source.peek(), device, error) from error
        finally:
            if device.type == "cpu":
                quickest.restore()
        return self.history

    def _data_dtype(self) -> torch.dtype:
        """The type that floating-point data come in: layers that compute in less cast them for themselves."""
        return torch.float64 if "float64" in (self.dtype, floatx()) else torch.float32  # type: ignore[attr-defined]

    def _quickest_batch_size(self, arrays: tuple[Any, Any, Any], class_weight: Any, verbose: int) -> int:
        device = device_of(self)  # type: ignore[arg-type]

        def source_of(size: int) -> Any:
            return make_source(
                *arrays, batch_size=size, class_weight=class_weight, device=device, dtype=self._data_dtype()
            )

        first = source_of(SMALLEST)
        self._prepare(first, training=True)
        with best_matmul(device, self.precision):
            found = quickest_batch_size(self, lambda size: source_of(size).peek(), first.num_samples, device)
        if verbose:
            print(f"batch_size='auto': {found}")
        return found

    def _validation_source(self, data: Any, batch_size: int | None, steps: int | None) -> Any:
        x, y, weight = unpack_x_y_sample_weight(data) if isinstance(data, (tuple, list)) else (data, None, None)
        streams = y is None and not hasattr(x, "shape")
        return make_source(
            x,
            y,
            weight,
            batch_size=None if streams else batch_size,
            steps=steps,
            device=device_of(self),  # type: ignore[arg-type]
            dtype=self._data_dtype(),
        )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The loss and the metrics on data that the model does not train on.

        Args:
            x: As for `fit`.
            y: As for `fit`.
            batch_size: Samples in one batch; 32 by default.
            verbose: 0 silent, 1 a progress bar, 2 a line.
            sample_weight: A weight for each sample.
            steps: Batches to evaluate; all by default.
            callbacks: Callback objects.
            return_dict: Whether to return a dict by name rather than a list.

        Returns:
            The loss, or `[loss, *metrics]` (or a dict of them), as Python numbers.
        """
        if kwargs:
            raise ArgumentError(f"evaluate() has no argument {', '.join(map(repr, kwargs))}.")
        self._require_compiled("evaluate")
        device = device_of(self)  # type: ignore[arg-type]
        source = make_source(
            x, y, sample_weight, batch_size=batch_size, steps=steps, device=device, dtype=self._data_dtype()
        )
        if cluster.active is not None:
            source = cast(Source, cluster.Share(source, cluster.active))
        self._prepare(source, training=False)
        run = CallbackList(callbacks, self, {"steps": source.num_batches, "verbose": resolve_verbose(verbose)})
        progress = Progress(resolve_verbose(verbose), source.num_batches)
        with best_matmul(device, self.precision):
            logs = evaluate_batches(self, source, run, progress)
        if return_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The model's outputs, as NumPy arrays (in the structure of the model's output).

        Args:
            x: Inputs, as for `fit`, or a stream of them.
            batch_size: Samples in one batch; 32 by default.
            verbose: 0 silent, 1 a progress bar, 2 a line.
            steps: Batches to predict; all by default.
            callbacks: Callback objects.
        """
        if verbose == 0 and steps is None and callbacks is None and self._takes_at_once(x, batch_size or 32):
            return self._predict_at_once(x)
        device = device_of(self)  # type: ignore[arg-type]
        source = make_source(x, batch_size=batch_size, steps=steps, device=device, dtype=self._data_dtype())
        self._build_from(source.peek()[0])
        checks.input_fits(self, source.peek()[0])
        run = CallbackList(callbacks, self, {"steps": source.num_batches, "verbose": resolve_verbose(verbose)})
        progress = Progress(resolve_verbose(verbose), source.num_batches)
        with best_matmul(device, self.precision):
            return predict_batches(self, source, run, progress)

    def _takes_at_once(self, x: Any, batch_size: int) -> bool:
        """Whether `x` is one batch for a plain model on the CPU: there, what `predict` sets up costs more than it."""
        own = self.__dict__  # torch's own look-up takes as long as a small layer
        if type(x) is not np.ndarray or x.dtype not in _PLAIN or own.get("_graph") is None or not x.flags.carray:
            return False
        if own["_on_cpu"] is None:
            own["_on_cpu"] = device_of(self).type == "cpu"  # type: ignore[arg-type]
        return (
            0 < len(x) <= batch_size
            and own["_on_cpu"]
            and not (own["_forward_hooks"] or own["_forward_pre_hooks"] or masking.in_use)
            and type(self).predict_step is Trainer.predict_step
            and cluster.active is None
        )

    def _predict_at_once(self, x: np.ndarray) -> Any:
        if x.dtype.kind == "f":
            flat = x.reshape(-1)
            if not math.isfinite(flat.dot(flat)):  # or so large that their squares are not
                check_finite("x", torch.from_numpy(x))
        tensor = torch.from_numpy(x)
        tensor = tensor.to(self._data_dtype()) if x.dtype == np.float64 else tensor
        with torch.inference_mode():
            if len(x) == 1:
                outputs = _STRAIGHT(self, tensor)
            else:
                with best_matmul(tensor.device, self.precision):
                    outputs = _STRAIGHT(self, tensor)
        if type(outputs) is torch.Tensor and outputs.dtype is torch.float32:
            return outputs.numpy()
        return pytree.tree_map(as_array, outputs)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch; the metrics of it."""
        self._require_compiled("train_on_batch")
        source = self._one_batch(x, y, sample_weight, class_weight)
        self._prepare(source, training=True)
        self.reset_metrics()
        self.train()  # type: ignore[attr-defined]
        try:
            self._train_function(*next(iter(source.batches())))
        finally:
            self.eval()  # type: ignore[attr-defined]
        return self._as_numbers(return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The metrics of one batch."""
        self._require_compiled("test_on_batch")
        source = self._one_batch(x, y, sample_weight, None)
        self._prepare(source, training=False)
        self.reset_metrics()
        with torch.no_grad():
            self._test_function()(*next(iter(source.batches())))
        return self._as_numbers(return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as NumPy arrays."""
        if self._takes_at_once(x, len(x)):
            return self._predict_at_once(x)
        source = self._one_batch(x, None, None, None)
        batch = source.peek()
        self._build_from(batch[0])
        with torch.no_grad():
            return pytree.tree_map(as_array, self(batch[0]))  # type: ignore[operator]

    def _one_batch(self, x: Any, y: Any, sample_weight: Any, class_weight: Any) -> Any:
        first = pytree.tree_leaves(x)[0]
        size = max(len(first), 1)
        device = device_of(self)  # type: ignore[arg-type]
        return make_source(
            x, y, sample_weight, batch_size=size, class_weight=class_weight, device=device, dtype=self._data_dtype()
        )

    def _as_numbers(self, return_dict: bool) -> Any:
        logs = host_values(self.get_metrics_result())
        if return_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values

    # -- preparation -----------------------------------------------------------------------------------

    def _require_compiled(self, what: str) -> None:
        if not self.compiled:
            raise NotCompiledError(
                f"{what}() needs to know the optimizer and the loss: call compile() first, for instance "
                f"model.compile('adam', 'mse')."
            )

    def _build_from(self, x: Any) -> None:
        """Makes the weights, if they do not exist yet, for inputs such as `x`."""
        if not self.built:  # type: ignore[attr-defined]
            with torch.no_grad():
                self(pytree.tree_map_only(torch.Tensor, lambda t: t[:1], x))  # type: ignore[operator]

    def _prepare(self, source: Any, training: bool) -> None:
        """Builds what is not built yet and refuses data that cannot be right, before anything changes."""
        x, y, _ = source.peek()
        self._build_from(x)
        own_step = (
            type(self).train_step is not Trainer.train_step
            if training
            else type(self).test_step is not Trainer.test_step
        )
        device = device_of(self)  # type: ignore[arg-type]
        if not own_step:
            y_pred = self._prediction_like(x)
            if y is None and self.loss is not None:
                checks.needs_targets(self)
            if y is not None and self.loss is not None:
                losses = self._losses(y_pred)
                shapes = pytree.tree_map_only(torch.Tensor, lambda t: (None, *t.shape[1:]), y_pred)
                shapes = (
                    list(shapes.values())
                    if isinstance(shapes, dict)
                    else list(shapes)
                    if isinstance(shapes, list)
                    else shapes
                )
                losses.check_targets(source.targets(), shapes)
            if y is not None:
                self._metrics(y, y_pred)
        for metric in self.metrics:
            metric.to(device)
        if training:
            if cluster.active is not None:
                cluster.active.place(self)  # type: ignore[arg-type]
            self._prepare_optimizer()
            self._train_function = self._make_train_function()

    def _prediction_like(self, x: Any) -> Any:
        """What the model makes of two samples; tried anew where the inputs' shapes or the layers have changed."""
        leaves, structure = pytree.tree_flatten(x)
        shapes = [(leaf.shape[1:], leaf.dtype) for leaf in leaves if isinstance(leaf, torch.Tensor)]
        kind = str(structure), shapes, [id(module) for module in self.modules()]  # type: ignore[attr-defined]
        if self._tried is None or self._tried[0] != kind:
            self._tried = kind, checks.input_fits(self, x)
        return self._tried[1]

    def _prepare_optimizer(self) -> None:
        weights = self.trainable_weights  # type: ignore[attr-defined]
        if not weights:
            raise NotBuiltError(
                "There is nothing to train: the model has no trainable weights. Is every layer frozen "
                "(trainable = False)?"
            )
        for layer in self._flatten_layers():  # type: ignore[attr-defined]
            for name, weight in layer._parameters.items():
                if weight is not None:
                    weight.path = f"{layer.name}/{name}"  # optimizers that differ by weight go by it
        identity = [id(weight) for weight in weights]
        if not self.optimizer.built or identity != self._trained_with:
            self.optimizer.build(weights)
            self._trained_with = identity

    def _make_train_function(self) -> Any:
        cls = type(self)
        if cls.train_step is not Trainer.train_step or cls.compute_metrics is not Trainer.compute_metrics:
            checks.not_in_parts(self)
            return self._own_step(self.train_step)
        parameters = self.trainable_weights  # type: ignore[attr-defined]
        constraints = self._constrained_weights()
        observe = self._observer()
        scale = self.optimizer.scale_loss if getattr(self.optimizer, "scales_loss", False) else None
        self._replay = None
        if cluster.active is not None:
            checks.mean_losses(self._compiled_loss)
            forward = cluster.active.forward(self._forward_function())
            losses = self._loss_function(penalized=False)
            compute = cluster.gradients(cluster.active, forward, losses, self._penalty, parameters, scale)
        else:
            compute = engine_step.gradients(self._forward_function(), self._loss_function(), parameters, scale)
        if cluster.active is None and scale is None and not marks.on and self._may_be_replayed():
            loss = self._compiled_loss
            compute = self._replay = Replay(compute, lambda: plain.settings(self, loss))  # type: ignore[arg-type]
        step = engine_step.train_step(
            compute,
            self.optimizer,
            observe,
            lambda loss, x, y, weight: checks.bad_loss(self, loss, x),
        )
        if not constraints:
            return step

        def constrained(x: Any, y: Any, weight: Any) -> None:
            step(x, y, weight)
            with torch.no_grad():
                for parameter, constraint in constraints:
                    parameter.copy_(constraint(parameter))

        return constrained

    def _may_be_replayed(self) -> bool:
        single = self._compiled_loss is not None and self._compiled_loss.single is not None
        single = single and type(self).compute_loss is Trainer.compute_loss
        on_cpu = device_of(self).type == "cpu"  # type: ignore[arg-type]
        return single and on_cpu and not self.jit_compile and plain.is_plain(self, self._compiled_loss)  # type: ignore[arg-type]

    def _forward_function(self) -> Any:
        return torch.compile(self) if self.jit_compile else self  # type: ignore[call-overload]

    def _penalties(self) -> list[tuple[torch.Tensor, Any]]:
        return [
            (layer._parameters[name], regularizer)
            for layer in self._flatten_layers()  # type: ignore[attr-defined]
            for name, regularizer in layer._regularizers.items()
            if layer._parameters.get(name) is not None and layer._parameters[name].requires_grad
        ]

    def _penalty(self) -> torch.Tensor | None:
        """What the regularizers add to the loss of a batch, whatever is in it."""
        if type(self).compute_loss is not Trainer.compute_loss:
            return None
        found = [whole(regularizer(parameter)) for parameter, regularizer in self._penalties()]
        return torch.stack(found).sum() if found else None

    def _loss_function(self, penalized: bool = True) -> Any:
        """(x, y, y_pred, weight) -> the total loss, without a look at what this model does not have."""
        if type(self).compute_loss is not Trainer.compute_loss:
            return self._own_loss
        losses = self._compiled_loss
        penalties = self._penalties() if penalized else []

        def loss(x: Any, y: Any, y_pred: Any, weight: Any) -> torch.Tensor:
            total = losses(y, y_pred, weight) if losses is not None and y is not None else None
            for parameter, regularizer in penalties:
                penalty = whole(regularizer(parameter))
                total = penalty if total is None else total + penalty
            for added in pop_added_losses():
                total = added if total is None else total + added
            if total is None:
                raise NotCompiledError("There is nothing to train: compile() gave no loss, and no layer adds one.")
            return total

        return loss

    def _own_loss(self, x: Any, y: Any, y_pred: Any, weight: Any) -> torch.Tensor:
        loss = self.compute_loss(x, y, y_pred, weight)
        if loss is None:
            raise NotCompiledError("There is nothing to train: compute_loss() gave no loss.")
        return loss

    def _observer(self) -> Any:
        tracker, metrics = self._loss_tracker, self._compiled_metrics
        if metrics is not None and not metrics.all:
            metrics = None

        def observe(loss: Any, y: Any, y_pred: Any, weight: Any) -> None:
            if cluster.active is not None and not cluster.active.share:
                return  # a row that another process counts
            if loss is not None:
                size = len(y_pred) if isinstance(y_pred, torch.Tensor) else _batch_size(y_pred)
                tracker.update_state(loss.detach(), sample_weight=size)
            if metrics is not None and y is not None:
                metrics.update(y, y_pred, weight)

        return observe

    def _test_function(self) -> Any:
        cls = type(self)
        if (
            cls.test_step is not Trainer.test_step
            or cls.compute_loss is not Trainer.compute_loss
            or cls.compute_metrics is not Trainer.compute_metrics
        ):
            return self._own_step(self.test_step)
        loss = self._loss_function() if self._compiled_loss is not None else None
        return engine_step.test_step(self, loss, self._observer())  # type: ignore[arg-type]

    def _own_step(self, step: Any) -> Any:
        """A user's `train_step` or `test_step` as a function of (x, y, weight) that keeps what it returns."""

        def run(x: Any, y: Any, weight: Any) -> None:
            pop_added_losses()
            self._last_logs = step(_packed(x, y, weight))

        return run

    def _constrained_weights(self) -> list[tuple[torch.Tensor, Any]]:
        return [
            (layer._parameters[name], constraint)
            for layer in self._flatten_layers()  # type: ignore[attr-defined]
            for name, constraint in layer._constraints.items()
            if layer._parameters.get(name) is not None
        ]

    def _check_validation(self, source: Any) -> None:
        if type(self).test_step is not Trainer.test_step:
            return
        x, y, _ = source.peek()
        y_pred = checks.input_fits(self, x)
        if y is not None and self._compiled_loss is not None:
            shapes = pytree.tree_map_only(torch.Tensor, lambda t: (None, *t.shape[1:]), y_pred)
            shapes = (
                list(shapes.values())
                if isinstance(shapes, dict)
                else list(shapes)
                if isinstance(shapes, list)
                else shapes
            )
            self._compiled_loss.check_targets(source.targets(), shapes)


class _Straight(torch.nn.Module):
    """Calls a model's `call` alone; layers that ask whether they were called by hand see that they were not."""

    def forward(self, model: Any, x: torch.Tensor) -> Any:
        return model.call(x)


_STRAIGHT = _Straight()
_PLAIN = frozenset(map(np.dtype, ("float32", "float64", "uint8", "int32", "int64")))
_COMPILE_ARGUMENTS = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly")


def _compiled(name: str, config: Any) -> Any:
    """An argument of `compile` as its config says: names stay names, as in the script that was saved."""
    kinds: Any = {"optimizer": optimizers, "loss": losses_module, "metrics": metrics_module}
    kind = kinds.get(name.replace("weighted_", ""))
    if kind is None or isinstance(config, str):
        return config
    if isinstance(config, dict) and "class_name" in config:
        if config["class_name"] == "function" and isinstance(config.get("config"), str):
            return get_registered_object(config.get("registered_name") or config["config"]) or config["config"]
        return kind.deserialize(config)
    if isinstance(config, dict):
        return {key: _compiled(name, value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [_compiled(name, value) for value in config]
    return config


def host_values(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics as Python numbers (this waits for the device)."""
    return {
        name: (value.item() if value.ndim == 0 else value.tolist())
        if isinstance(value, torch.Tensor)
        else float(value)
        if isinstance(value, np.generic)
        else value
        for name, value in logs.items()
    }


def _tell(callbacks: CallbackList, event: str, *args: Any) -> None:
    """Calls what few callbacks have: `set_data(source, validation)` and `on_train_error(error)`."""
    for callback in callbacks.callbacks:
        if hasattr(callback, event):
            getattr(callback, event)(*args)


def _packed(x: Any, y: Any, weight: Any) -> Any:
    if weight is not None:
        return (x, y, weight)
    if y is not None:
        return (x, y)
    return (x,) if isinstance(x, (list, tuple)) else x


def _batch_size(structure: Any) -> int:
    return len(next(leaf for leaf in pytree.tree_leaves(structure) if isinstance(leaf, torch.Tensor)))


def _is_dict_of_losses(loss: Any) -> bool:
    return isinstance(loss, dict) and "class_name" not in loss


__all__ = ["Layer", "Trainer", "host_values"]
