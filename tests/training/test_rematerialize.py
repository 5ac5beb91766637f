"""Rematerialization: the same training to the last bit, with less kept for the gradients."""

from itertools import accumulate

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import lamella
from lamella import layers
from lamella.errors import ArgumentError

PICTURES = np.random.default_rng(0).random((32, 8, 8, 3)).astype("float32")
CLASSES = np.random.default_rng(1).integers(0, 4, 32)


def sequential():
    return lamella.Sequential(
        [
            lamella.Input((8, 8, 3)),
            layers.Conv2D(8, 3, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.5),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Dropout(0.3, seed=3),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(16, activation="gelu"),
            layers.Dense(4, activation="softmax"),
        ]
    )


def functional():
    inputs = lamella.Input((8, 8, 3))
    first = x = layers.Conv2D(8, 3, padding="same")(inputs)
    for _ in range(4):
        h = layers.ReLU()(layers.BatchNormalization()(x))  # one function in the model
        h = layers.Conv2D(8, 3, padding="same", activation="relu")(h)
        x = x + layers.Dropout(0.1)(h)
    x = layers.Concatenate()([x, first])
    pooled = layers.GlobalAveragePooling2D()(x)
    return lamella.Model(inputs, layers.Dense(4, activation="softmax")(pooled))


class Blocks(lamella.Model):
    def __init__(self):
        super().__init__()
        self.blocks = [sequential_block() for _ in range(3)]
        self.last = layers.Dense(4, activation="softmax")

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.last(x.mean((1, 2)))


def sequential_block():
    convolution = layers.SpectralNormalization(layers.Conv2D(6, 3))  # which changes its kernel in each call
    return lamella.Sequential([convolution, layers.BatchNormalization(), layers.Dropout(0.2)])


def trained(make, **options):
    lamella.utils.set_random_seed(1)
    model = make()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    history = model.fit(PICTURES, CLASSES, 8, epochs=2, verbose=0).history
    return history, model.get_weights()


@pytest.mark.parametrize("make", [sequential, functional, Blocks])
def test_the_same_bits(make):
    (plain, weights), (again, others) = trained(make), trained(make, rematerialize=True)
    assert plain == again
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)


def test_layers_by_name():
    model = sequential()
    names = [layer.name for layer in model.layers if isinstance(layer, layers.Conv2D)]
    model.compile("sgd", "sparse_categorical_crossentropy", rematerialize=names)
    assert [layer.name for layer in model.layers if layer.rematerialize] == names
    model.fit(PICTURES, CLASSES, verbose=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert not any(layer.rematerialize for layer in model.layers)
    with pytest.raises(ArgumentError, match="conv2d_x"):
        model.compile("sgd", "sparse_categorical_crossentropy", rematerialize=["conv2d_x"])


def peak(rematerialize):
    """The most bytes that tensors of one step take at a time, beyond those that were there before."""
    model = lamella.Sequential([lamella.Input((64,))] + [layers.Dense(64, "tanh") for _ in range(36)])
    model.compile("sgd", "mse", rematerialize=rematerialize)
    x = torch.zeros(512, 64)
    model.train_on_batch(x[:2], x[:2])
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        model.train_on_batch(x, x)
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in events))


def test_less_memory():
    layer = 512 * 64 * 4  # bytes of its outputs
    plain, again = peak(False), peak(True)
    assert plain > 36 * layer
    assert again < 20 * layer  # those of 6 segments, of the layers of one, and the gradients of the weights
