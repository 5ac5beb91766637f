"""`TorchModule`: modules that overwrite their inputs harm neither the data nor other layers."""

import numpy as np
import pytest
import torch
from torch import nn

import lamella
from lamella import layers


def data(rng):
    return rng.normal(size=(20, 4)).astype("float32"), rng.normal(size=(20, 1)).astype("float32")


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("first", [lambda: nn.ReLU(inplace=True), lambda: nn.Dropout(0.5, inplace=True)])
def test_the_users_arrays_stay_as_they_are(first, built, rng):
    x, y = data(rng)
    kept = x.copy()
    model = lamella.Sequential([*[lamella.Input((4,))] * built, first(), layers.Dense(1)])
    model.compile("sgd", "mse")
    for _ in range(2):
        model.predict(x, verbose=0)
        model.predict_on_batch(x)
        model.evaluate(x, y, verbose=0)
        model.fit(x, y, batch_size=7, shuffle=False, epochs=2, verbose=0)
        model.fit(torch.from_numpy(x), y, shuffle=False, verbose=0)
        model.train_on_batch(x, y)
        np.testing.assert_array_equal(x, kept)


def test_other_layers_see_what_was_there(rng):
    x, _ = data(rng)
    inputs = lamella.Input((4,))
    outputs = layers.TorchModule(nn.ReLU(inplace=True))(inputs) + inputs
    expected = np.maximum(x, 0) + x
    np.testing.assert_array_equal(lamella.Model(inputs, outputs).predict(x, verbose=0), expected)


def test_other_modules_get_the_tensor_itself():
    class Same(nn.Module):
        def forward(self, x):
            return x.view_as(x)

    layer, x = layers.TorchModule(Same()), torch.ones(3)
    layer(x)
    assert layer(x).data_ptr() == x.data_ptr()
