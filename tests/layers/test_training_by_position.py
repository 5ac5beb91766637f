"""`layer(x, training)`: the mode without its name, as scripts for older Keras give it."""

import pytest
import torch

import lamella
from lamella import layers

X = torch.ones(4, 50)


@pytest.mark.parametrize("training", [True, False, None])
def test_a_layer_a_cell_and_a_model(training):
    dropped = training is True
    entered = lamella.Input((50,))
    functional = lamella.Model(entered, layers.Dropout(0.5)(entered))
    for layer in (layers.Dropout(0.5), lamella.Sequential([layers.Dropout(0.5)]), functional):
        assert bool((layer(X, training) == 0).any()) is dropped
    cell, state = layers.GRUCell(3, dropout=0.9), [torch.zeros(4, 3)]
    by_position, by_name = cell(X, state, training)[0], cell(X, state, training=training)[0]
    assert torch.equal(by_position, by_name)
    assert layers.TimeDistributed(layers.Dropout(0.5))(X[None], training, None).shape == (1, 4, 50)


class Passing(lamella.Model):
    def __init__(self):
        super().__init__()
        self.drop = layers.Dropout(0.5)

    def call(self, x, training=None):
        return self.drop(x, training)


def test_within_a_model():
    model = Passing()
    assert torch.equal(model(X), X) and torch.equal(model(X, False), X)
    assert bool((model(X, True) == 0).any()) and bool((model(X, training=True) == 0).any())


def test_a_symbolic_call_keeps_it():
    entered = lamella.Input((50,))
    always = lamella.Model(entered, layers.Dropout(0.5)(entered, True))
    assert bool((always(X) == 0).any())
