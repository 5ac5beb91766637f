"""Callbacks that change learning rates do so for each optimizer inside a MultiOptimizer; paths choose among them."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras as real
import numpy as np
import pytest

import lamella

BOTH = pytest.mark.parametrize("keras", [lamella, real], ids=["lamella", "keras"])
X = np.ones((4, 2), "float32")


def model_of(keras, *callbacks):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="a"), keras.layers.Dense(1, name="b")])
    inner = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.25, name="rest"))
    inner["a/.*"] = keras.optimizers.SGD(0.5, name="first")
    model.compile(keras.optimizers.MultiOptimizer(inner), "mse")
    history = model.fit(X, X[:, :1], epochs=3, verbose=0, callbacks=list(callbacks))
    return {name: values for name, values in history.history.items() if name.startswith("learning_rate")}


@BOTH
def test_scheduler(keras):
    found = model_of(keras, keras.callbacks.LearningRateScheduler(lambda epoch, rate: float(rate) * 0.5))
    assert found == {
        "learning_rate_first": [0.25, 0.125, 0.0625],
        "learning_rate_rest": [0.125, 0.0625, 0.03125],
    }


@BOTH
def test_plateau(keras):
    plateau = keras.callbacks.ReduceLROnPlateau(
        monitor="loss", mode="max", factor=0.5, patience=1, min_delta=10, min_lr=0.125
    )
    found = model_of(keras, plateau)
    assert found == {"learning_rate_first": [0.5, 0.5, 0.25], "learning_rate_rest": [0.25, 0.25, 0.125]}


def test_two_of_one_name_are_both_changed():
    model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(2, name="a"), lamella.layers.Dense(1)])
    first, rest = lamella.optimizers.SGD(0.5, name="sgd"), lamella.optimizers.SGD(0.25, name="sgd")
    model.compile(lamella.optimizers.MultiOptimizer(lamella.optimizers.OptimizerMap(rest, {"a/.*": first})), "mse")
    halve = lamella.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    model.fit(X, X[:, :1], verbose=0, callbacks=[halve])
    assert (first.learning_rate, rest.learning_rate) == (0.25, 0.125)


def test_a_loss_that_is_not_finite_names_all_rates():
    model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(1, name="a")])
    inner = lamella.optimizers.OptimizerMap(lamella.optimizers.SGD(0.25), {"a/.*": lamella.optimizers.SGD(1e30)})
    model.compile(lamella.optimizers.MultiOptimizer(inner), "mse")
    with pytest.raises(lamella.errors.NonFiniteError, match=r"1e\+30, 0\.25"):
        model.fit(X, X[:, :1], epochs=5, verbose=0)


@BOTH
def test_scopes_are_in_the_paths_of_variables(keras):
    with keras.name_scope("outer"), keras.name_scope("inner"):
        assert keras.Variable(1.0, name="gain").path == "outer/inner/gain"
    assert keras.Variable(1.0, name="gain").path == "gain"


def test_a_seed_generator_goes_through_its_config():
    config = lamella.saving.serialize_keras_object(lamella.random.SeedGenerator(7, name="seeds"))
    assert config == real.saving.serialize_keras_object(real.random.SeedGenerator(7, name="seeds"))
    assert lamella.saving.deserialize_keras_object(config).next().tolist() == [7, 0]


def test_variables_of_an_optimizer_have_values_as_weights_have():
    optimizer = lamella.optimizers.Adam()
    optimizer.build([lamella.Variable([1.0, 2.0])])
    assert [tuple(each.value.shape) for each in optimizer.variables] == [(), (), (2,), (2,)]
    optimizer.variables[2].assign([3.0, 4.0])
    assert optimizer.variables[2].numpy().tolist() == [3.0, 4.0]


def test_ctc_in_half_the_precision():
    arguments = np.array([[1, 2]]), np.random.default_rng(0).normal(size=(1, 4, 3)).astype("float32")
    ours = lamella.losses.CTC(dtype="bfloat16")(*arguments)
    assert str(ours.dtype) == "torch.bfloat16"
    np.testing.assert_allclose(float(ours), float(lamella.losses.CTC()(*arguments)), rtol=0.02)
