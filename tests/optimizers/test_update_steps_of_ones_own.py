"""A subclass of an optimizer with an `update_step` of its own, which calls that of its base: as in Keras."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras as real
import numpy as np
import pytest
import torch

import lamella

NAMES = [
    "SGD",
    "Adam",
    "AdamW",
    "Nadam",
    "Adamax",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Ftrl",
    "Lion",
    "Lamb",
    "Adafactor",
    "Muon",
]
GRADIENTS = np.random.default_rng(0).normal(size=(3, 2, 4, 3)).astype("float32")


def halved(keras, name):
    class Halved(getattr(keras.optimizers, name)):
        called = 0

        def update_step(self, gradient, variable, learning_rate):
            type(self).called += 1
            super().update_step(gradient * 0.5, variable, learning_rate * 2)

    return Halved


def trained(keras, name):
    kind = halved(keras, name)
    optimizer = kind(0.01)
    weights = [keras.Variable(np.full((4, 3), start, "float32"), name=f"w{start}") for start in (1, 2)]
    optimizer.build(weights)
    for step in GRADIENTS:
        optimizer.apply([torch.tensor(each) for each in step], weights)
    assert kind.called == 6
    return [keras.ops.convert_to_numpy(weight) for weight in weights]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_subclass_changes(name):
    for ours, keras in zip(trained(lamella, name), trained(real, name), strict=True):
        np.testing.assert_allclose(ours, keras, rtol=2e-5, atol=2e-6)


def test_a_base_without_an_update_says_so():
    class Empty(lamella.optimizers.Optimizer):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no update"):
        Empty().apply([torch.ones(2)], [lamella.Variable([1.0, 2.0])])
