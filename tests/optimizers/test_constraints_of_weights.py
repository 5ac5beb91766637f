"""Optimizers put weights within their constraints, whoever writes the loop: as in Keras."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras as real
import numpy as np
import pytest
import torch

import lamella

BOTH = pytest.mark.parametrize("keras", [lamella, real], ids=["lamella", "keras"])
X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")


def gradients(loss, weights):
    return torch.autograd.grad(loss, [getattr(weight, "value", weight) for weight in weights])


@BOTH
def test_a_loop_of_ones_own(keras):
    layer = keras.layers.Dense(3, kernel_constraint="non_neg")
    layer.build((None, 4))
    weights = layer.trainable_weights
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(weights)
    with torch.no_grad():
        assert layer.get_weights()[0].min() < 0
    found = gradients(layer(torch.tensor(X)).mean(), weights)
    with torch.no_grad():
        optimizer.apply(found, weights)
    assert layer.get_weights()[0].min() == 0


@BOTH
def test_a_train_step_of_ones_own(keras):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3, kernel_constraint=keras.constraints.MaxNorm(0.5))

        def call(self, inputs):
            return self.dense(inputs)

        def train_step(self, data):
            loss = (self(data[0]) ** 2).mean()
            weights = self.trainable_weights
            found = gradients(loss, weights)
            with torch.no_grad():
                self.optimizer.apply(found, weights)
            return {"loss": loss}

    model = Model()
    model.compile("sgd")
    model.fit(X, X[:, :3], epochs=1, verbose=0)
    norms = np.linalg.norm(model.dense.get_weights()[0], axis=0)
    assert norms.max() <= 0.5 + 1e-5


def test_a_weight_knows_its_constraint_and_its_copies_do():
    layer = lamella.layers.Dense(3, kernel_constraint="unit_norm", kernel_regularizer="l2")
    layer.build((None, 4))
    assert layer.kernel.constraint is layer.kernel_constraint
    assert layer.kernel.regularizer is layer.kernel_regularizer
    assert layer.bias.constraint is None
    twin = lamella.models.clone_model(lamella.Sequential([lamella.Input((4,)), layer]))
    twin.compile(lamella.optimizers.SGD(1.0), "mse")
    twin.fit(X, X[:, :3], epochs=1, verbose=0)
    np.testing.assert_allclose(np.linalg.norm(twin.layers[0].get_weights()[0], axis=0), 1, rtol=1e-5)


def test_an_optimizer_of_several_and_one_that_scales():
    for make in (
        lambda: lamella.optimizers.LossScaleOptimizer(lamella.optimizers.SGD(0.1)),
        lambda: lamella.optimizers.MultiOptimizer(lambda weight: lamella.optimizers.SGD(0.1)),
        lambda: lamella.optimizers.SGD(0.1, gradient_accumulation_steps=2),
    ):
        weight = lamella.Variable([-1.0, 2.0])
        weight.constraint = lamella.constraints.NonNeg()
        make().apply_gradients([(torch.zeros(2), weight)])
        assert weight.numpy().tolist() == [0.0, 2.0]


def test_gradients_may_be_numpy_arrays():
    ours, keras = lamella.Variable([1.0, 2.0]), real.Variable([1.0, 2.0])
    gradient = np.array([0.5, -1.0], "float32")
    lamella.optimizers.Adam(0.1).apply_gradients([(gradient, ours)])
    real.optimizers.Adam(0.1).apply_gradients([(torch.tensor(gradient), keras)])
    np.testing.assert_allclose(ours.numpy(), real.ops.convert_to_numpy(keras), rtol=1e-6)


def test_names_count_on_as_in_keras():
    lamella.utils.clear_session()
    real.utils.clear_session()
    for name in ("Adam", "RMSprop", "AdamW"):
        for _ in range(2):
            assert getattr(lamella.optimizers, name)().name == getattr(real.optimizers, name)().name
