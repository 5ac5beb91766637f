"""`compile`, `fit`, `evaluate`, `predict`: the part of a model that trains it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import _pytree as pytree

from lamella import optimizers
from lamella.data.adapters import train_validation_split
from lamella.data.arrays import flat
from lamella.engine.captured import Captured
from lamella.engine.device import device_of
from lamella.engine.kernels import best_matmul
from lamella.engine.replay import Replay
from lamella.engine.variable import as_array
from lamella.errors import ArgumentError, NotCompiledError
from lamella.training import checks, limits
from lamella.training.batch_size import measured_batch_size
from lamella.training.callbacks import History
from lamella.training.compile_config import arguments_of, compile_config
from lamella.training.fit import evaluate_batches, predict_batches, read_metrics, train, watched
from lamella.training.predict_at_once import predict_at_once, takes_at_once
from lamella.training.preparation import (
    build_from,
    check_data,
    evaluation_source,
    own_share,
    prepare,
    prepare_optimizer,
    source_of,
    validation_source,
)
from lamella.training.progress import resolve_verbose
from lamella.training.rematerialize import set_rematerialize
from lamella.training.step import Step, overridden
from lamella.training.train_function import make_predict_function, make_test_function, make_train_function


class Trainer(Step):
    """What makes a `Layer` trainable. `Model` is a `Trainer` and a `Layer`."""

    output_names: list[str]

    def _init_trainer(self) -> None:
        self._init_step()
        self.compiled = False
        self.optimizer = None
        self.loss = None
        self.precision = "accurate"
        self.run_eagerly = self.jit_compile = False
        self.steps_per_execution = 1
        self.history: Any = None
        self.stop_training = False
        self.stop_evaluating = False
        self.stop_predicting = False
        self._train_function: Any = None
        self._replay: Replay | Captured | None = None
        self._quickest_way: Any = None
        self._jitted: Any = None  # its calls by `torch.compile`
        self._last_logs: dict[str, Any] | None = None  # what a step of the user's own returned
        self._accept_bad_loss = False
        self._trainable_when_compiled: set[str] | None = set()  # None for all, of a model that had no weights yet
        self._tried: tuple[Any, Any] | None = None  # a kind of inputs, and the prediction for two of them
        self._in_segments = False
        self._on_cpu: bool | None = None  # asked at the first predict, and again when the model was moved

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
            optimizer: A name (`"adam"`) or an optimizer object; None for a model that is not trained, or trained by
                a `train_step` of its own.
            loss: A name, a loss, a function (y_true, y_pred), or a list or dict of them for several outputs.
            loss_weights: The weight of each output's loss.
            metrics: Names, metrics or functions; a list of lists or a dict for several outputs.
            weighted_metrics: Metrics that count samples by `sample_weight` and `class_weight`.
            run_eagerly: Kept for Keras's signature: a step always runs eagerly unless `jit_compile`.
            steps_per_execution: Kept for Keras's signature; steps are never waited for.
            jit_compile: True compiles the calls of the model in `fit`, `evaluate` and `predict` by `torch.compile`, and
                in a step of your own those of the models in it. The first batch of each kind takes some seconds.
            auto_scale_loss: Whether the optimizer of a `"mixed_float16"` model is put into a `LossScaleOptimizer`.
            precision: `"accurate"`, or `"fast"`: products of float32 matrices may round their factors where the
                hardware then is quicker (TF32, bfloat16 units). Weights, sums and all else stay float32.
            rematerialize: Whether activations are computed again for the gradients rather than kept: those of about
                sqrt(n) of n layers are kept, for a third more time. Or the names of the layers for which.

        Raises:
            UnknownNameError: A name that is not known; the message lists the nearest.
            ArgumentError: Metrics in the place of `loss_weights`, another `precision`, a layer that is not there, or
                `rematerialize` with `jit_compile`.
        """
        if precision not in ("accurate", "fast"):
            raise ArgumentError(f"compile(): `precision` must be 'accurate' or 'fast'; got {precision!r}.")
        if rematerialize and jit_compile is True:
            raise ArgumentError(
                "compile(): `rematerialize` and `jit_compile=True` do not go together: torch.compile chooses by itself "
                "what it computes again for the gradients. Leave one of them out."
            )
        checks.known_losses(loss)  # every name is checked here, before any data
        checks.are_weights(loss_weights)
        checks.known_metrics(metrics)
        checks.known_metrics(weighted_metrics)
        set_rematerialize(self, rematerialize)
        trained = {name for name, w in self.named_parameters() if w.requires_grad}  # type: ignore[attr-defined]
        self._trainable_when_compiled = None if self.trainable and not self.built else trained  # type: ignore[attr-defined]
        self.optimizer = optimizers.get(optimizer)
        halves = self.dtype_policy.name == "mixed_float16"  # type: ignore[attr-defined]
        scales = self.optimizer is None or isinstance(self.optimizer, optimizers.LossScaleOptimizer)
        if auto_scale_loss and halves and not scales:
            self.optimizer = optimizers.LossScaleOptimizer(self.optimizer)
        if loss is not None:
            self.loss = loss  # a model may have a loss of its own by this name
        self._compile_arguments = {
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        self.run_eagerly = run_eagerly
        self.steps_per_execution = steps_per_execution
        self.jit_compile = jit_compile is True and not run_eagerly
        self.precision = precision
        self._compiled_loss = None
        self._compiled_metrics = None
        self._train_function = None
        self._tried = None
        self.stop_training = False
        self.compiled = True

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was given, as plain data; None if it was not called."""
        return compile_config(self) if self.compiled else None

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as `get_compile_config` (here or in Keras) says, and makes the optimizer's state if it can.

        A class of yours with a `compile` of its own is left alone, as in Keras: what that takes is not known here.
        Write `get_compile_config` and `compile_from_config` for it.
        """
        compile_ = type(self).compile
        if not compile_.__module__.startswith("lamella."):
            warnings.warn(
                f"{type(self).__name__} {self.name!r} was not compiled as it was loaded, because its compile() is its "  # type: ignore[attr-defined]
                f"own. Call compile(), or write get_compile_config() and compile_from_config() for it.",
                stacklevel=2,
            )
            return
        self.compile(**arguments_of(config))
        if self.built and self.trainable_weights:  # type: ignore[attr-defined]
            prepare_optimizer(self)

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
        epochs = limits.limited("epochs", epochs, limits.epochs) or 0
        verbose = resolve_verbose(verbose)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = train_validation_split((x, y, sample_weight), validation_split)
        if isinstance(batch_size, str):
            batch_size = measured_batch_size(self, (x, y, sample_weight), class_weight, batch_size, verbose)
        source = source_of(
            self,
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            steps=steps_per_epoch,
            shuffle=shuffle,
            class_weight=class_weight,
        )
        source, validation = own_share(source), None
        if validation_data is not None:
            size = validation_batch_size or batch_size
            validation = own_share(validation_source(self, validation_data, size, validation_steps))
        prepare(self, source, training=True)
        if validation is not None and not overridden(self, "test_step"):
            check_data(self, validation)
        return train(self, source, validation, callbacks, range(initial_epoch, epochs), verbose, validation_freq)

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
        source = own_share(evaluation_source(self, x, y, sample_weight, batch_size=batch_size, steps=steps))
        prepare(self, source, training=False)
        run, progress = watched(self, source, callbacks, verbose)
        with best_matmul(device_of(self), self.precision):  # type: ignore[arg-type]
            logs = evaluate_batches(self, source, run, progress)
        return logs if return_dict else self._listed(logs)

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
        if (
            verbose == 0
            and steps is None
            and callbacks is None
            and limits.steps_per_epoch is None
            and takes_at_once(self, x, batch_size or 32)
        ):
            return predict_at_once(self, x)
        source = evaluation_source(self, x, batch_size=batch_size, steps=steps)
        first = source.peek()[0]
        build_from(self, first)
        checks.input_fits(self, first)
        run, progress = watched(self, source, callbacks, verbose)
        with best_matmul(device_of(self), self.precision):  # type: ignore[arg-type]
            return predict_batches(self, source, run, progress)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch; the metrics of it.

        A model that was frozen as a whole after `compile` is trained as it was compiled: so the discriminators of GANs
        are, which are frozen only for the model that trains the generator.
        """
        self._require_compiled("train_on_batch")
        source = _one_batch(self, x, y, sample_weight, class_weight)
        with self._as_compiled():
            prepare(self, source, training=True)
            self._last_logs = None
            self.reset_metrics()
            self.train()  # type: ignore[attr-defined]
            try:
                batch = source.peek()
                make_train_function(self, recorded=False)(*batch)
            finally:
                self.eval()  # type: ignore[attr-defined]
        logs = read_metrics(self)
        checks.loss_is_finite(self, logs, batch[0])
        return logs if return_dict else self._listed(logs)

    @contextmanager
    def _as_compiled(self) -> Iterator[None]:
        frozen = []
        if not (self.trainable or self.trainable_weights):  # type: ignore[attr-defined]
            names = self._trainable_when_compiled
            weights = dict(self.named_parameters())  # type: ignore[attr-defined]
            frozen = [w for name, w in weights.items() if (names is None or name in names) and w.is_floating_point()]
        for weight in frozen:
            weight.requires_grad_(True)
        try:
            yield
        finally:
            for weight in frozen:
                weight.requires_grad_(False)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The metrics of one batch."""
        self._require_compiled("test_on_batch")
        source = _one_batch(self, x, y, sample_weight)
        prepare(self, source, training=False)
        self._last_logs = None
        self.reset_metrics()
        with torch.no_grad():
            self._test_function()(*source.peek())
        return self._metrics_so_far(return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as NumPy arrays."""
        if takes_at_once(self, x, len(x)):
            return predict_at_once(self, x)
        x = _one_batch(self, x).peek()[0]
        build_from(self, x)
        with torch.no_grad():
            return pytree.tree_map(as_array, make_predict_function(self)(x, None, None))

    def _require_compiled(self, what: str) -> None:
        if not self.compiled:
            raise NotCompiledError(
                f"{what}() needs to know the optimizer and the loss: call compile() first, for instance "
                f"model.compile('adam', 'mse')."
            )

    def _metrics_so_far(self, as_dict: bool) -> Any:
        logs = read_metrics(self)
        return logs if as_dict else self._listed(logs)

    def _listed(self, logs: dict[str, Any]) -> Any:
        """The loss, or the loss and the metrics, in the order of `metrics_names`."""
        values = [logs[name] for name in self._in_order(logs)]
        return values[0] if len(values) == 1 else values

    def _make_train_function(self) -> Any:
        return make_train_function(self)

    def _test_function(self) -> Any:
        return make_test_function(self)


def _one_batch(model: Any, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None) -> Any:
    size = max(len(flat(x)[0]), 1)
    return source_of(model, x, y, sample_weight, batch_size=size, class_weight=class_weight)


__all__ = ["Trainer"]
