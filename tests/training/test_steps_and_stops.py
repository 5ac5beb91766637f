"""How many batches `evaluate` and `predict` take, what stops them, and the limits of `keras.config`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch

import lamella

X = np.arange(6.0, dtype="float32")[:, None]
Y = np.zeros((6, 1), "float32")


def line(library: Any) -> Any:
    layer = library.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = library.Sequential([library.Input((1,)), layer])
    model.compile(library.optimizers.SGD(0.0), "mse")
    return model


def data_set(library: Any) -> Any:
    class Pairs(library.utils.PyDataset):  # type: ignore[name-defined, misc]
        def __len__(self) -> int:
            return 3

        def __getitem__(self, i: int) -> Any:
            return X[2 * i : 2 * i + 2], Y[2 * i : 2 * i + 2]

    return Pairs()


def loader(library: Any) -> Any:
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y)), batch_size=2)


def arrays(library: Any) -> Any:
    return X, Y


@pytest.mark.parametrize("data", [arrays, data_set, loader])
def test_every_validation_begins_at_the_first_batch(data: Any) -> None:
    def losses(library: Any) -> list[float]:
        model = line(library)
        size = {"validation_batch_size": 2} if data is arrays else {}
        fitted = model.fit(X, Y, epochs=3, validation_data=data(library), validation_steps=1, verbose=0, **size)
        return fitted.history["val_loss"]

    assert losses(lamella) == pytest.approx([0.5, 0.5, 0.5])
    assert losses(keras) == pytest.approx([0.5, 0.5, 0.5])


@pytest.mark.filterwarnings("ignore:.*ran out")
@pytest.mark.parametrize("data", [arrays, data_set, loader])
def test_no_sample_is_evaluated_or_predicted_twice(data: Any) -> None:
    def run(library: Any) -> Any:
        model, found = line(library), data(library)
        x, y, size = (X, Y, {"batch_size": 2}) if data is arrays else (found, None, {})
        loss = model.evaluate(x, y, steps=5, verbose=0, **size)
        return loss, model.predict(x, steps=5, verbose=0, **size).ravel().tolist()

    assert run(lamella) == (pytest.approx(run(keras)[0]), X.ravel().tolist())


def test_a_callback_stops_evaluate_and_predict() -> None:
    begun: list[int] = []

    class Stop(lamella.callbacks.Callback):
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_evaluating = batch == 1

        def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
            begun.append(batch)

        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_predicting = batch == 1

    model = line(lamella)

    def endless(with_targets: bool) -> Any:
        while True:
            yield (X, Y) if with_targets else (X,)

    model.evaluate(endless(True), callbacks=[Stop()], verbose=0)
    assert model.predict(endless(False), callbacks=[Stop()], verbose=0).shape == (12, 1)
    assert begun == [0, 1]


@pytest.mark.filterwarnings("ignore:.*is limited")
def test_the_limits_of_the_configuration_count() -> None:
    model = line(lamella)
    lamella.config.set_max_epochs(2)
    lamella.config.set_max_steps_per_epoch(1)
    try:
        assert len(model.fit(X, Y, epochs=5, batch_size=2, shuffle=False, verbose=0).history["loss"]) == 2
        assert model.evaluate(X, Y, batch_size=2, verbose=0) == pytest.approx(0.5)
        assert model.predict(X, batch_size=2, verbose=0).shape == (2, 1)
    finally:
        lamella.config.set_max_epochs(None)
        lamella.config.set_max_steps_per_epoch(None)


def test_compute_loss_without_training_is_evaluated() -> None:
    class Older(lamella.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = lamella.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
            return abs(y - y_pred).mean()

        def test_step(self, data: Any) -> Any:
            return super().test_step(data)

    model = Older()
    model.compile("sgd")
    assert model.evaluate(X, Y, verbose=0) > 0


def test_a_metric_function_may_give_a_number() -> None:
    model = line(lamella)
    model.compile("sgd", "mse", metrics=[lambda y_true, y_pred: 3.0])
    assert model.evaluate(X, Y, verbose=0)[1] == pytest.approx(3.0)


def test_a_clone_is_compiled_as_the_model_is() -> None:
    model = line(lamella)
    model.compile(lamella.optimizers.SGD(0.25), "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    clone = lamella.models.clone_model(model)
    assert clone.compiled and float(clone.optimizer.learning_rate) == 0.25
    assert clone.optimizer is not model.optimizer and set(clone.evaluate(X, Y, return_dict=True)) == {"loss", "mae"}


def test_the_state_tree_goes_out_and_in() -> None:
    layers = [lamella.Input((2,)), lamella.layers.Dense(1, name="d"), lamella.layers.BatchNormalization(name="bn")]
    model = lamella.Sequential(layers)
    model.compile(lamella.optimizers.Adam(name="adam"), "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    tree = model.get_state_tree("numpy_array")
    assert isinstance(tree["trainable_variables"]["d"]["kernel"], np.ndarray)
    assert set(tree["non_trainable_variables"]["bn"]) == {"moving_mean", "moving_variance"}
    assert tree["optimizer_variables"]["adam"]["iteration"] == 1
    assert {"learning_rate", "d_kernel_momentum", "d_kernel_velocity"} <= set(tree["optimizer_variables"]["adam"])
    assert set(tree["metrics_variables"]["loss"]) == {"total", "count"}
    other = lamella.models.clone_model(model)
    other.optimizer.build(other.trainable_weights)
    other.set_state_tree(tree)
    for one, two in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert int(other.optimizer.iterations) == 1
    with pytest.raises(ValueError, match="nothing at"):
        other.set_state_tree({"trainable_variables": {"d": {"kernal": 0}}})


def test_a_generator_that_is_used_up_ends_the_training() -> None:
    def batches() -> Any:
        yield X[:3], Y[:3]
        yield X[3:], Y[3:]

    model, begun = line(lamella), []
    told = lamella.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: begun.append(epoch))
    with pytest.warns(UserWarning, match="ran out after 0 of .*steps_per_epoch"):
        history = model.fit(batches(), epochs=3, validation_data=(X, Y), callbacks=[told], verbose=0)
    assert begun == history.epoch == [0] and len(history.history["loss"]) == len(history.history["val_loss"]) == 1
