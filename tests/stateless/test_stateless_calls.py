"""Layers, optimizers and metrics as functions of their state: gradients flow by torch.func, and nothing changes."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import grad, grad_and_value, vmap

import lamella
from lamella import optimizers
from lamella.errors import ArgumentError, NotBuiltError, ShapeError

sys.path.insert(0, str(Path(__file__).parent.parent / "saving"))
from model_zoo import ZOO, data

keras = pytest.importorskip("keras")


def state(model):
    return [weight.detach().clone() for weight in model.weights]


def unchanged(model, before):
    return all(torch.equal(a, b) for a, b in zip(before, model.weights, strict=True))


def others(weights):
    return [weight.detach().as_subclass(torch.Tensor) * 1.25 + 0.01 for weight in weights]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("make", ZOO, ids=lambda make: make.__name__)
def test_a_call_with_other_weights(make, training):
    """As if the weights were set; every kind of layer is in one of the models."""
    model, other = make(lamella), make(lamella)
    x = torch.as_tensor(data(ZOO[make])[0])
    model(x), other(x)
    values, fixed = others(model.trainable_variables), others(model.non_trainable_variables)
    for weight, value in zip(other.trainable_variables + other.non_trainable_variables, values + fixed, strict=True):
        weight.assign(value)
    before, given = state(model), [value.clone() for value in values + fixed]
    torch.manual_seed(0)
    found, after = model.stateless_call(values, fixed, x, training=training)
    assert unchanged(model, before)
    assert all(map(torch.equal, values + fixed, given))
    torch.manual_seed(0)
    wanted = other(x, training=training)
    torch.testing.assert_close(found, wanted)
    for a, b in zip(after, other.non_trainable_variables, strict=True):
        torch.testing.assert_close(a, b.as_subclass(torch.Tensor))
        assert type(a) is torch.Tensor


def network(library, batch_norm=True):
    layers = library.layers
    hidden = [layers.Dense(8, "relu", kernel_regularizer="l2")]
    hidden += [layers.BatchNormalization()] if batch_norm else []
    return library.Sequential([library.Input((4,)), *hidden, layers.Dense(3)])


X, Y = torch.rand(16, 4), torch.randint(3, (16,))


def loss_of(model, fixed, losses=True):
    def loss(weights, x, y):
        found, after, penalties = model.stateless_call(weights, fixed, x, training=True, return_losses=True)
        total = torch.nn.functional.cross_entropy(found, y)
        return total + sum(penalties) if losses else total, after

    return loss


def test_gradients_are_those_of_autograd():
    model = network(lamella)
    weights, fixed = model.trainable_variables, model.non_trainable_variables
    before = state(model)
    found, (value, after) = grad_and_value(loss_of(model, fixed), has_aux=True)(weights, X, Y)
    assert unchanged(model, before)
    total = torch.nn.functional.cross_entropy(model(X, training=True), Y) + sum(model.losses)
    torch.testing.assert_close(value, total.detach())
    for a, b in zip(found, torch.autograd.grad(total, weights), strict=True):
        torch.testing.assert_close(a, b)
    for a, b in zip(after, model.non_trainable_variables, strict=True):
        torch.testing.assert_close(a, b.as_subclass(torch.Tensor))


def test_values_without_gradients_have_penalties_too():
    model = network(lamella)
    values = others(model.trainable_variables)
    _, _, penalties = model.stateless_call(values, model.non_trainable_variables, X, return_losses=True)
    torch.testing.assert_close(penalties, [0.01 * values[0].square().sum()])


def test_gradients_of_each_sample():
    model = network(lamella, batch_norm=False)
    each = grad(loss_of(model, []), has_aux=True)
    found, _ = vmap(each, (None, 0, 0))(model.trainable_variables, X[:, None], Y[:, None])
    for i in (0, 7):
        alone, _ = each(model.trainable_variables, X[i : i + 1], Y[i : i + 1])
        for a, b in zip(found, alone, strict=True):
            torch.testing.assert_close(a[i], b)


def test_a_recurrent_network_by_torch_func():
    model = lamella.Sequential([lamella.Input((5, 3)), lamella.layers.LSTM(4), lamella.layers.Dense(1)])
    x = torch.rand(6, 5, 3)
    found = grad(lambda weights: model.stateless_call(weights, [], x)[0].square().sum())(model.trainable_variables)
    wanted = torch.autograd.grad(model(x).square().sum(), model.trainable_variables)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b)


NAMES = "SGD Adam AdamW RMSprop Adagrad Adadelta Adamax Nadam Ftrl Lion Lamb Adafactor Muon ScheduleFreeAdamW".split()
OPTIONS = [(name, {}) for name in NAMES] + [
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("Adam", {"use_ema": True, "clipnorm": 0.1}),
    ("Adam", {"gradient_accumulation_steps": 2}),
    ("AdamW", {"learning_rate": optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)}),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=lambda each: str(each)[:40])
def test_steps_of_an_optimizer(name, options):
    """Stateless steps, one after the other, are those of the optimizer, which stays as it was."""
    model = network(lamella)
    steps = [[torch.randn_like(weight) for weight in model.trainable_variables] for _ in range(4)]
    stateful, stateless = (getattr(optimizers, name)(**options) for _ in range(2))
    stateless.build(model.trainable_variables)
    weights = [weight.detach().clone() for weight in model.trainable_variables]
    kept, before = stateless.variables, state(model)
    for grads in steps:
        weights, kept = stateless.stateless_apply(kept, grads, weights)
    assert unchanged(model, before) and stateless.iterations == 0
    stateful.build(model.trainable_variables)
    for grads in steps:
        stateful.apply(grads, model.trainable_variables)
    for a, b in zip(weights, model.trainable_variables, strict=True):
        torch.testing.assert_close(a, b.detach().as_subclass(torch.Tensor))
    for a, b in zip(kept, stateful.variables, strict=True):
        torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b))


def test_optimizers_of_optimizers():
    model = network(lamella)
    grads = [torch.ones_like(weight) for weight in model.trainable_variables]

    def scaled():
        return optimizers.LossScaleOptimizer(optimizers.Adam(0.1), initial_scale=4.0)

    def several():
        of_rank = {1: optimizers.SGD(0.5), 2: optimizers.Adam(0.1)}
        return optimizers.MultiOptimizer(lambda weight: of_rank[weight.ndim])

    for make in (scaled, several):
        one, other = make(), make()
        for optimizer in (one, other):
            optimizer.build(model.trainable_variables)
        weights = [weight.detach().clone() for weight in model.trainable_variables]
        kept, before = one.variables, state(model)
        for _ in range(3):
            weights, kept = one.stateless_apply(kept, grads, weights)
        assert unchanged(model, before)
        for _ in range(3):
            other.apply(grads, model.trainable_variables)
        for a, b in zip(weights, model.trainable_variables, strict=True):
            torch.testing.assert_close(a, b.detach().as_subclass(torch.Tensor))


def trained_stateless(library, value_and_grad, epochs=4):
    """The loop of Keras's guide to its JAX backend: everything that changes is handed from step to step."""
    library.utils.set_random_seed(1)
    model, optimizer = network(library), library.optimizers.Adam(0.01)
    optimizer.build(model.trainable_variables)
    loss_fn = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    metric = library.metrics.SparseCategoricalAccuracy()

    def compute(weights, fixed, x, y):
        y_pred, fixed = model.stateless_call(weights, fixed, x, training=True)
        return loss_fn(y, y_pred), (fixed, y_pred)

    weights, fixed = model.trainable_variables, model.non_trainable_variables
    kept, sums, losses = optimizer.variables, metric.variables, []
    for _ in range(epochs):
        (loss, (fixed, y_pred)), grads = value_and_grad(compute)(weights, fixed, X, Y)
        weights, kept = optimizer.stateless_apply(kept, grads, weights)
        sums = metric.stateless_update_state(sums, Y, y_pred)
        losses.append(float(loss.detach()))
    for variables, values in ((model.trainable_variables, weights), (model.non_trainable_variables, fixed)):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    return model, losses, float(metric.stateless_result(sums))


def test_the_loop_of_the_guide_trains_as_fit_does():
    def value_and_grad(function):
        def both(*args):
            grads, (loss, aux) = grad_and_value(function, has_aux=True)(*args)
            return (loss, aux), grads

        return both

    model, losses, accuracy = trained_stateless(lamella, value_and_grad)
    lamella.utils.set_random_seed(1)
    other = network(lamella)
    other.layers[0]._regularizers.clear()  # the loop has none
    other.compile(lamella.optimizers.Adam(0.01), lamella.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = other.fit(X, Y, batch_size=16, epochs=4, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(losses, history, rtol=1e-5)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert 0 < accuracy < 1


def test_compute_loss():
    model = network(lamella)
    model.compile("sgd", lamella.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(X, Y, verbose=0)
    values, fixed, sums = (others(each) for each in (model.trainable_variables, model.non_trainable_variables, []))
    sums = [state.detach().clone() for state in model.metrics_variables]
    before = state(model)
    y_pred, _ = model.stateless_call(values, fixed, X)
    loss, (same, after, counts) = model.stateless_compute_loss(values, fixed, sums, x=X, y=Y, y_pred=y_pred)
    wanted = torch.nn.functional.cross_entropy(y_pred, Y) + 0.01 * values[0].square().sum()
    torch.testing.assert_close(loss, wanted)
    assert same is values and unchanged(model, before)
    assert len(after) == len(fixed) and all(map(torch.equal, counts, sums))


def test_a_metric_within_a_transform():
    metric = lamella.metrics.MeanSquaredError()

    def loss(w):
        sums = metric.stateless_update_state(metric.variables, X[:, 0], X[:, 1] * w)
        return (X[:, 1] * w - X[:, 0]).square().sum(), metric.stateless_result(sums)

    _, found = grad(loss, has_aux=True)(torch.tensor(2.0))
    torch.testing.assert_close(found, (X[:, 1] * 2 - X[:, 0]).square().mean())
    assert float(metric.result()) == 0


def test_a_result_that_is_the_sum_itself():
    class Largest(lamella.metrics.Metric):
        def __init__(self):
            super().__init__()
            self.largest = self.add_variable((), "zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.largest.assign(torch.maximum(self.largest, y_pred.max()))

        def result(self):
            return self.largest

    metric = Largest()
    (found,) = metric.stateless_update_state(metric.variables, None, torch.tensor([1.0, 3.0]))
    assert (float(found), float(metric.stateless_result([found])), float(metric.result())) == (3.0, 3.0, 0.0)


def test_what_is_refused():
    model = network(lamella)
    with pytest.raises(NotBuiltError, match="no weights yet"):
        lamella.layers.Dense(2).stateless_call([], [], X)
    with pytest.raises(ArgumentError, match="`trainable_variables` needs a tensor for each of the 6"):
        model.stateless_call([], model.non_trainable_variables, X)
    wrong = [torch.zeros(2)] * 6
    with pytest.raises(ShapeError, match=r"\[0\] has shape \(2,\)"):
        model.stateless_call(wrong, model.non_trainable_variables, X)
    with pytest.raises(NotBuiltError, match="no state yet"):
        optimizers.Adam().stateless_apply([], [], [])
    before = state(model)
    with pytest.raises(ShapeError):
        model.stateless_call(others(model.trainable_variables), model.non_trainable_variables, torch.ones(2, 5))
    assert unchanged(model, before)
