"""A batch without samples goes through every layer: the last one of a stream may be empty."""

import numpy as np
import pytest
import torch

import lamella
from lamella import layers

keras = pytest.importorskip("keras")

CASES = [
    ("Flatten", {}, [(4, 3)]),
    ("Flatten", {}, [()]),
    ("Reshape", {"target_shape": (3, -1)}, [(4, 3)]),
    ("Reshape", {"target_shape": (-1,)}, [(4, 3)]),
    ("UpSampling1D", {"size": 2}, [(4, 3)]),
    ("UpSampling2D", {"size": (1, 2)}, [(4, 3, 2)]),
    ("UpSampling2D", {"interpolation": "bilinear"}, [(4, 3, 2)]),
    ("UpSampling3D", {}, [(4, 3, 2, 1)]),
    ("Dot", {"axes": 2}, [(4, 3), (5, 3)]),
    ("Dot", {"axes": 1}, [(4, 3, 2), (4, 5)]),
    ("Dot", {"axes": 1}, [(4,), (4,)]),
]


@pytest.mark.parametrize(("name", "arguments", "shapes"), CASES)
def test_shapes_as_in_keras(name, arguments, shapes):
    def given(inputs):
        return inputs if len(inputs) > 1 else inputs[0]

    layer, batches = getattr(layers, name)(**arguments), [(0, *shape) for shape in shapes]
    wanted = tuple(getattr(keras.layers, name)(**arguments).compute_output_shape(given(batches)))
    assert tuple(layer(given([torch.zeros(batch) for batch in batches])).shape) == wanted
    assert layer(given([lamella.Input(batch_shape=batch) for batch in batches])).shape == wanted
    assert layer.compute_output_shape(given(batches)) == wanted


@pytest.mark.parametrize("arguments", [{}, {"renorm": True}, {"center": False, "scale": False}])
def test_batch_normalization_keeps_its_averages(arguments):
    layer = layers.BatchNormalization(**arguments)
    layer.build((None, 3))
    layer.set_weights([np.random.rand(*weight.shape).astype("float32") for weight in layer.weights])
    before = layer.get_weights()
    y = layer(torch.zeros(0, 3), training=True)  # Keras's averages become NaN here
    assert tuple(y.shape) == (0, 3)
    for one, other in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["GRU", "LSTM", "SimpleRNN"])
def test_states_of_no_samples(name):
    layer = getattr(layers, name)(2, stateful=True)
    assert tuple(layer(torch.zeros(0, 3, 4)).shape) == (0, 2)
