"""`StatelessScope`: other values, nothing changed, gradients; `RematScope`: which layers, and the same numbers."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import lamella
from lamella import RematScope, StatelessScope, layers
from lamella.errors import ArgumentError, ShapeError

sys.path.insert(0, str(Path(__file__).parent.parent / "saving"))
from model_zoo import ZOO, data

keras = pytest.importorskip("keras")


def flow(library):
    """What goes in and out of a scope, in the words of both libraries."""
    a, b, c = (library.Variable(np.zeros(2, "float32")) for _ in range(3))
    one = library.ops.ones((2,))
    with library.StatelessScope([(a, one), (b, 2 * one)]) as scope:
        c.assign(a + b)
        inside = c + 0.0
        c.assign_add(one)
        b.assign(7 * one)
        held = b * 1.0
    outside = c + 0.0
    found = [inside, held, outside, a + 0.0, b + 0.0, *(scope.get_current_value(each) for each in (a, b, c))]
    c.assign(scope.get_current_value(c))
    return [np.asarray(each.detach()).tolist() for each in (*found, c.value)]


def test_values_are_those_of_keras():
    assert flow(lamella) == flow(keras)


def test_a_variable_that_the_scope_does_not_know():
    variable, other = lamella.Variable([1.0]), lamella.Variable([1.0])
    with StatelessScope() as scope:
        other.assign_sub([3.0])
        assert scope.get_current_value(variable) is None and scope.get_current_value(other) == -2
    assert float(other.detach()) == 1


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("make", ZOO, ids=lambda make: make.__name__)
def test_outputs_and_gradients_are_those_of_a_stateless_call(make):
    model = make(lamella)
    x = torch.as_tensor(data(ZOO[make])[0])
    model(x)
    own, fixed = model.trainable_variables, model.non_trainable_variables
    values = [(weight.detach().as_subclass(torch.Tensor) * 1.25 + 0.01).requires_grad_() for weight in own]
    before = [weight.detach().clone() for weight in model.weights]
    torch.manual_seed(0)
    with StatelessScope(zip(own, values, strict=True)) as scope:
        found = model(x, training=True)
    torch.manual_seed(0)
    wanted, after = model.stateless_call(values, fixed, x, training=True)
    for weight, value in zip(fixed, after, strict=True):
        held = scope.get_current_value(weight)
        torch.testing.assert_close(weight.as_subclass(torch.Tensor) if held is None else held, value)
    assert all(torch.equal(a, b) for a, b in zip(before, model.weights, strict=True))
    results = [torch.utils._pytree.tree_leaves(each) for each in (found, wanted)]
    torch.testing.assert_close(*results)
    gradients = [
        torch.autograd.grad(sum(output.square().sum() for output in each), values, allow_unused=True)
        for each in results
    ]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_gradients_by_torch_func_through_a_scope():
    layer = layers.Dense(2)
    layer.build((None, 3))
    x = torch.rand(5, 3)

    def loss(values):
        with StatelessScope(zip(layer.trainable_variables, values, strict=True)):
            return layer(x).square().sum()

    values = [weight.detach() + 1 for weight in layer.trainable_variables]
    found = torch.func.grad(loss)(values)
    kernel, bias = (value.as_subclass(torch.Tensor).requires_grad_() for value in values)
    wanted = torch.autograd.grad((x @ kernel + bias).square().sum(), (kernel, bias))
    torch.testing.assert_close(found, list(wanted))


def test_metrics_and_optimizers_within_a_scope():
    metric, weight = lamella.metrics.Sum(), lamella.Variable([1.0, 2.0])
    optimizer = lamella.optimizers.SGD(1.0, momentum=0.9)
    optimizer.build([weight])
    with StatelessScope() as scope:
        metric.update_state(torch.tensor([3.0, 4.0]))
        optimizer.apply([torch.ones(2)], [weight])
        assert float(metric.result()) == 7
    assert float(metric.result()) == 0 and weight.numpy().tolist() == [1, 2]
    assert scope.get_current_value(weight).tolist() == [0, 1]


def test_losses_are_collected():
    layer = layers.ActivityRegularization(l2=1.0)
    with StatelessScope(collect_losses=True) as scope:
        layer(torch.ones(1, 2))
    assert [float(loss) for loss in scope.losses] == [2.0]


def test_scopes_within_scopes():
    variable = lamella.Variable([1.0])
    with StatelessScope([(variable, [2.0])]) as outer:
        with StatelessScope([(variable, [3.0])]) as inner:
            assert float(variable * 1) == 3
            variable.assign([4.0])
        assert float(variable * 1) == 2
    assert (float(outer.get_current_value(variable)), float(inner.get_current_value(variable))) == (2, 4)
    assert float(variable.detach()) == 1


def test_what_a_stateless_scope_refuses():
    with pytest.raises(ArgumentError, match="must be a variable"):
        StatelessScope([(torch.ones(2), torch.ones(2))])
    with pytest.raises(ShapeError, match=r"shape \(3,\) for a variable of shape \(2,\)"):
        StatelessScope([(lamella.Variable([1.0, 2.0]), torch.ones(3))])


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, [True, True, True]),
        ({"mode": None}, [False, False, False]),
        ({"mode": "activations"}, [True, False, False]),
        ({"mode": "larger_than", "output_size_threshold": 20}, [True, False, False]),
        ({"mode": "list_of_layers", "layer_names": ["b"]}, [False, True, False]),
    ],
)
def test_which_layers_are_rematerialized(options, wanted):
    def make():
        made = [layers.Dense(32, "relu", name="a"), layers.Dense(16, name="b"), layers.Dense(4, name="c")]
        return made, lamella.Sequential([lamella.Input((8,)), *made])

    lamella.utils.set_random_seed(0)
    with RematScope(**options):
        made, model = make()
    assert [layer.rematerialize for layer in made] == wanted
    assert not model.rematerialize and not layers.Dense(1).rematerialize
    lamella.utils.set_random_seed(0)
    _, other = make()
    x = torch.rand(4, 8)
    results = []
    for each in (model, other):
        each.train()
        results.append(torch.autograd.grad(each(x).square().sum(), each.trainable_variables))
    torch.testing.assert_close(*results)


def test_larger_than_without_an_input():
    with RematScope("larger_than", output_size_threshold=20):
        made = [layers.Dense(32), layers.Dense(16)]
    for layer in made:
        layer(torch.ones(3, 8))
    assert [layer.rematerialize for layer in made] == [True, False]


def test_a_mode_that_is_none():
    with pytest.raises(ArgumentError, match="'some'"):
        RematScope("some")
