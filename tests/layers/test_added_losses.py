"""`add_loss`: a layer's losses are those of the last call from outside, and of nobody else's."""

import copy
import pickle

import numpy as np
import pytest
import torch

import lamella
from lamella import layers


class Penalty(layers.Layer):
    def call(self, x):
        self.add_loss(x.sum())
        return x


class Outer(layers.Layer):
    def __init__(self, times=1):
        super().__init__()
        self.inner, self.times = Penalty(), times

    def call(self, x):
        for _ in range(self.times):
            x = self.inner(x)
        return x


@pytest.mark.parametrize("make", [Penalty, Outer])
def test_each_call_from_outside_starts_afresh(make):
    layer = make()
    assert layer.losses == []
    for value in (1.0, 2.0):
        layer(torch.full((1, 1), value))
        assert [float(loss) for loss in layer.losses] == [value]


def test_a_layer_that_is_called_twice_in_one_call_adds_twice():
    layer = Outer(2)
    layer(torch.ones(1, 1))
    layer(torch.ones(1, 1))
    assert len(layer.losses) == 2


def test_a_call_of_another_model_leaves_the_losses_alone():
    encoder = lamella.Sequential([lamella.Input((2,)), Penalty()])
    decoder = lamella.Sequential([lamella.Input((2,)), layers.Dense(2)])
    z = encoder(torch.ones(3, 2))
    decoder(z)
    assert [float(loss) for loss in encoder.losses] == [6.0]


def test_losses_of_calls_before_fit_and_of_other_layers_do_not_count():
    other, model = Penalty(), lamella.Sequential([lamella.Input((2,)), layers.Dense(1), Penalty()])
    model.compile(lamella.optimizers.SGD(0.0), None)
    other(torch.full((1, 1), 1e6))
    model(torch.full((5, 2), 1e6))
    x = np.ones((4, 2), "float32")
    expected = float(model.predict(x, verbose=0).sum())
    assert model.fit(x, epochs=2, verbose=0).history["loss"] == pytest.approx([expected] * 2, rel=1e-5)
    assert float(other.losses[0]) == 1e6


def test_a_loss_of_many_numbers_counts_by_its_sum():
    class Each(layers.Layer):
        def call(self, x):
            self.add_loss(x)
            return x

    model = lamella.Sequential([lamella.Input((2,)), layers.Dense(1), Each()])
    model.compile(lamella.optimizers.SGD(0.0), None)
    x = np.ones((4, 2), "float32")
    total = float(model.predict(x, verbose=0).sum())
    assert model.fit(x, verbose=0).history["loss"] == pytest.approx([total], rel=1e-5)
    assert float(model.compute_loss(y_pred=model(x)).detach()) == pytest.approx(total, rel=1e-5)


def test_copies_have_the_losses_of_no_call():
    """What a call added hangs on its gradients, which cannot be copied."""
    model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(2, activity_regularizer="l2")])
    x = torch.ones(3, 2)
    wanted = model(x)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.losses == [] and torch.equal(twin(x), wanted)
    assert len(model.losses) == 1
