"""Layers and models with a `forward` of their own, as PyTorch's users write them."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import lamella
from lamella import layers

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


class Net(lamella.Model):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.ReLU())
        self.last = layers.Dense(1)

    def forward(self, x):
        return self.last(self.net(x))


class Scaled(layers.Layer):
    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units))

    def forward(self, x, training=False):
        return x @ self.kernel * (2 if training else 1)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Shifted(Scaled):
    def forward(self, x, training=False):
        return super().forward(x, training) + 1


class Called(Scaled):
    def call(self, x, training=False):
        return super().forward(x, training) - 1


def test_a_model_is_trained_saved_and_copied(tmp_path):
    model = Net()
    model.compile("adam", "mse")
    history = model.fit(X, Y, epochs=3, verbose=0).history["loss"]
    assert model.built and history[-1] < history[0]
    model.save_weights(tmp_path / "m.weights.h5")
    other = Net()
    other(X)
    other.load_weights(tmp_path / "m.weights.h5")
    for each in (other, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(each(X), model(X))


@pytest.mark.parametrize(("kind", "more"), [(Scaled, 0), (Shifted, 1), (Called, -1)])
def test_a_layer_has_all_that_is_around_call(kind, more, tmp_path):
    layer = kind(units=2)
    assert layer(X.tolist()).shape == (64, 2) and layer.built  # lists, and weights at the first call
    torch.testing.assert_close(layer(X), torch.as_tensor(X) @ layer.kernel + more)
    torch.testing.assert_close(layer(X, training=True), 2 * torch.as_tensor(X) @ layer.kernel + more)
    inputs = lamella.Input((4,))
    model = lamella.Model(inputs, kind(2)(inputs))
    model.save(tmp_path / "m.keras")
    loaded = lamella.saving.load_model(tmp_path / "m.keras", custom_objects={kind.__name__: kind})
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


def test_weights_made_while_only_inferring_can_be_trained():
    model = lamella.Sequential([layers.Dense(4), layers.BatchNormalization(), layers.Dense(1)])
    with torch.inference_mode():
        model(X)
    assert not any(weight.is_inference() for weight in model.weights)
    model.compile("adam", "mse")
    model.fit(X, Y, epochs=1, verbose=0)
