"""What users of Keras change in its layers: the convolution, the activation of a layer that is made, weights' names."""

import numpy as np
import pytest
import torch

import lamella
from lamella import layers

PICTURES = torch.randn(2, 6, 6, 3, generator=torch.Generator().manual_seed(0))


class Doubled(layers.Conv2D):
    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, 2 * kernel)


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize(
    ("settings", "size"), [({"padding": "same"}, 3), ({"strides": 2}, 3), ({"use_bias": False}, 3), ({}, 1)]
)
def test_a_convolution_computes_by_its_convolution_op(activation, settings, size):
    own, plain = (kind(4, size, activation=activation, **settings) for kind in (Doubled, layers.Conv2D))
    own(PICTURES), plain(PICTURES)
    kernel, *bias = own.get_weights()
    plain.set_weights([2 * kernel, *(each + 1 for each in bias)])
    own.set_weights([kernel, *(each + 1 for each in bias)])
    torch.testing.assert_close(own(PICTURES), plain(PICTURES), rtol=1e-5, atol=1e-5)


def test_convolution_op_by_hand():
    layer = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)
    torch.testing.assert_close(layer(PICTURES), layer.convolution_op(PICTURES, layer.kernel), rtol=1e-5, atol=1e-5)


def test_an_own_convolution_trains_with_pooling_after_it():
    model = lamella.Sequential(
        [lamella.Input((6, 6, 3)), Doubled(4, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()]
    )
    model.compile("sgd", "mse")
    before = model.get_weights()[0]
    model.fit(PICTURES, torch.zeros(2, 16), verbose=0)
    assert not np.array_equal(before, model.get_weights()[0])


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (layers.Dense(3, activation="softmax"), PICTURES),
        (layers.Conv2D(3, 1, activation="tanh"), PICTURES),
        (layers.EinsumDense("...a,ab->...b", 3, activation="relu"), PICTURES),
    ],
)
def test_an_activation_can_be_taken_away(layer, x):
    """As scripts for class activation maps do with the last layer of a trained classifier."""
    activated = layer(x)
    function, layer.activation = layer.activation, None
    torch.testing.assert_close(function(layer(x)), activated)
    assert not torch.equal(layer(x), activated)
    assert layer.get_config()["activation"] is None


@pytest.mark.parametrize("name", ["weights", "losses", "input", "training"])
def test_a_weight_may_have_the_name_of_what_every_layer_has(name):
    class Own(layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(name=name, shape=(shape[-1], 2))

        def call(self, x):
            return x @ self.w

    layer = Own()
    assert layer(torch.ones(1, 3)).shape == (1, 2)
    assert len(layer.weights) == 1 and layer.losses == []


def test_the_mask_of_a_symbolic_tensor():
    inputs = lamella.Input((None,), dtype="int32")
    embedded = layers.Embedding(4, 3, mask_zero=True)(inputs)
    assert embedded._keras_mask.shape == (None, None) and embedded._keras_mask.dtype is torch.bool
    assert inputs._keras_mask is None
