"""`compile(jit_compile=True)`: which calls are compiled, how often, and that the numbers stay."""

import copy
import shutil
from functools import partial

import numpy as np
import pytest
import torch

import lamella
from lamella import layers
from lamella.engine import kernels
from lamella.errors import ArgumentError, NonFiniteError

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
Y = np.arange(64) % 3


@pytest.fixture
def graphs(monkeypatch):
    """The graphs that were compiled; each is run as it is, which takes no compiler."""
    found = []

    def backend(graph, inputs):
        found.append(graph)
        return graph.forward

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    return found


def classifier(activation="relu"):
    return lamella.Sequential(
        [lamella.Input((4,)), layers.Dense(5, activation), layers.BatchNormalization(), layers.Dense(3, "softmax")]
    )


def compiled(model, jit_compile=True, **arguments):
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=jit_compile, **arguments)
    return model


def test_the_numbers_are_those_without(graphs):
    first = compiled(classifier(), metrics=["accuracy"])
    second = lamella.models.clone_model(first)
    second.set_weights(first.get_weights())
    compiled(second, False, metrics=["accuracy"])
    for data in ((X * 50, Y), (X, Y)):  # probabilities of 0 at first
        one, other = (
            model.fit(*data, epochs=3, shuffle=False, validation_data=data, verbose=0) for model in (first, second)
        )
        for name, values in one.history.items():
            np.testing.assert_allclose(values, other.history[name], rtol=1e-4)
    assert graphs
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_each_kind_of_call_is_compiled_once(graphs):
    model = compiled(classifier())
    model.fit(X, Y, verbose=0)
    assert len(graphs) == 1
    model.fit(X, Y, epochs=2, verbose=0)
    model.train_on_batch(X[:32], Y[:32])
    assert len(graphs) == 1
    model.evaluate(X, Y, verbose=0)
    assert len(graphs) == 2
    model.predict(X, verbose=0)
    model.test_on_batch(X[:32], Y[:32])
    assert len(graphs) == 2
    model(torch.ones(7, 4))
    assert len(graphs) == 2, "a call by hand is no step"


def test_many_models_one_after_another(graphs):
    """torch compiles the code of one function eight times at most."""
    activations = ("relu", "tanh", "gelu", "sigmoid", "elu", "selu", "softplus", "softsign", "silu", "linear")
    for count, activation in enumerate(activations, 1):
        compiled(classifier(activation)).fit(X, Y, verbose=0)
        assert len(graphs) == count


def test_predict_alone(graphs):
    model = compiled(classifier())
    found = model.predict(X, batch_size=16, verbose=0)
    assert len(graphs) == 1
    np.testing.assert_allclose(found, model(torch.tensor(X)).detach().numpy(), rtol=1e-5)


class Adversaries(lamella.Model):
    """Two models that a step of its own trains; it is never called itself."""

    def __init__(self):
        super().__init__()
        self.generator = lamella.Sequential([layers.Dense(8, "relu"), layers.Dense(4)])
        self.critic = lamella.Sequential([layers.Dense(8, "relu"), layers.Dense(1)])

    def train_step(self, data):
        real = data[0] if isinstance(data, tuple) else data
        made = self.generator(torch.randn(len(real), 2), training=True)
        loss = (self.critic(made, training=True) ** 2 + (self.critic(real, training=True) - 1) ** 2).mean()
        self.minimize(loss)
        return {"loss": loss.detach()}


@pytest.mark.filterwarnings("default:The .grad attribute")  # torch hides it where warnings are no errors
def test_the_models_in_a_step_of_ones_own(graphs):
    model = Adversaries()
    model.compile("adam", jit_compile=True)
    model.fit(X, verbose=0)  # the first calls build them
    assert len(graphs) == 3, "the critic with gradients for what it is given, and without"
    model.fit(X, verbose=0)
    assert len(graphs) == 3


def test_who_looks_at_layers_sees_them_as_written(graphs):
    model = compiled(classifier())
    model.fit(X, Y, verbose=0, callbacks=[lamella.doctor.Doctor()])
    assert len(graphs) == 1
    with torch.no_grad():
        model.layers[0].kernel.fill_(3e38)
    with pytest.raises(NonFiniteError, match="'dense'"):
        model.fit(X, Y, verbose=0)
    assert len(graphs) == 1


def test_copies_are_compiled_anew(graphs):
    model = compiled(classifier())
    model.fit(X, Y, verbose=0)
    again = copy.deepcopy(model)
    again.fit(X, Y, verbose=0)
    assert len(graphs) == 2
    layer = layers.Dense(2)
    torch.nn.Module.compile(layer)
    assert copy.deepcopy(layer)(torch.ones(1, 2)).shape == (1, 2)


def test_recurrent_layers_keep_their_kernels(graphs):
    """torch's compiler fails at oneDNN's LSTM, and takes minutes for a loop over a hundred steps."""
    start = lamella.Input((9, 4))
    inner = lamella.Sequential([lamella.Input((4,)), layers.Dense(4, "gelu")], name="inner")
    outputs = layers.Bidirectional(layers.LSTM(3), name="both")(layers.TimeDistributed(inner)(start))
    model = lamella.Model(start, layers.Dense(3, "softmax")(outputs))
    x = np.repeat(X[:, None], 9, 1)
    with pytest.warns(UserWarning, match="Model 'functional' is not compiled: LSTM 'forward_lstm' has a kernel"):
        compiled(model).fit(x, Y, verbose=0)
    assert len(graphs) == 1, "that of the model inside"


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's compiler needs g++")
def test_by_torchs_own_compiler():
    model = compiled(classifier())
    model.fit(X, Y, epochs=2, verbose=0)
    assert np.isfinite(model.evaluate(X, Y, verbose=0))


def test_without_a_compiler(monkeypatch):
    def backend(graph, inputs):
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    model = compiled(classifier())
    before = model.get_weights()
    with pytest.raises(ArgumentError, match=r"'sequential'.*No working C\+\+ compiler.*g\+\+.*jit_compile=False"):
        model.fit(X, Y, verbose=0)
    np.testing.assert_equal(model.get_weights(), before)
    compiled(model, jit_compile=False).fit(X, Y, verbose=0)


def test_not_with_rematerialize():
    with pytest.raises(ArgumentError, match="do not go together"):
        compiled(classifier(), rematerialize=True)


def test_products_by_the_default_library(graphs):
    """What the compiler makes of attention multiplies small blocks: by the other library in four times the time."""
    chosen = []

    class Look(layers.Layer):
        def call(self, inputs):
            torch.compiler.disable(lambda: chosen.append(kernels.chosen_matmul()))()
            return inputs

    for precision in ("accurate", "fast"):
        model = lamella.Sequential([lamella.Input((4,)), Look(), layers.Dense(3, "softmax")])
        compiled(model, precision=precision)
        with kernels.best_matmul(torch.device("cpu"), precision):
            outside = kernels.chosen_matmul()
            model.fit(X, Y, verbose=0)
            assert kernels.chosen_matmul() == outside
        steps = chosen[-2:]  # before them the model was tried on two samples
        assert set(steps) == {"none" if precision == "accurate" else outside}
