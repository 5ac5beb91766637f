"""Regularizers and constraints against real Keras."""

import numpy as np
import pytest
import torch

from lamella import constraints, regularizers

keras = pytest.importorskip("keras")

W = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")

REGULARIZERS = [
    ("L1", {"l1": 0.3}),
    ("L2", {"l2": 0.3}),
    ("L1L2", {"l1": 0.1, "l2": 0.2}),
    ("L1L2", {}),
    ("OrthogonalRegularizer", {"factor": 0.3}),
    ("OrthogonalRegularizer", {"factor": 0.3, "mode": "columns"}),
]
CONSTRAINTS = [
    ("MaxNorm", {"max_value": 1.1}),
    ("MaxNorm", {"axis": 1}),
    ("NonNeg", {}),
    ("UnitNorm", {"axis": (0, 1)}),
    ("MinMaxNorm", {"min_value": 1.0, "max_value": 1.5, "rate": 0.7}),
]


@pytest.mark.parametrize(("name", "arguments"), REGULARIZERS)
def test_regularizer(name, arguments):
    ours, theirs = getattr(regularizers, name)(**arguments), getattr(keras.regularizers, name)(**arguments)
    a, b = torch.tensor(W, requires_grad=True), torch.tensor(W, requires_grad=True)
    one, other = ours(a), theirs(b)
    torch.testing.assert_close(one, torch.as_tensor(other), rtol=1e-5, atol=1e-6)
    if any(arguments.values()):
        grads = torch.autograd.grad(one, a) + torch.autograd.grad(other, b)
        torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-6)
    assert regularizers.serialize(ours)["config"] == pytest.approx(keras.regularizers.serialize(theirs)["config"])
    assert regularizers.deserialize(keras.regularizers.serialize(theirs))(a).item() == pytest.approx(one.item())


@pytest.mark.parametrize(("name", "arguments"), CONSTRAINTS)
def test_constraint(name, arguments):
    ours, theirs = getattr(constraints, name)(**arguments), getattr(keras.constraints, name)(**arguments)
    torch.testing.assert_close(ours(torch.tensor(W)), theirs(torch.tensor(W)), rtol=1e-5, atol=1e-6)
    again = constraints.deserialize(keras.constraints.serialize(theirs))
    torch.testing.assert_close(again(torch.tensor(W)), ours(torch.tensor(W)))
    assert keras.constraints.deserialize(constraints.serialize(ours)).get_config() == theirs.get_config()


@pytest.mark.parametrize(("ours", "theirs"), [(regularizers, keras.regularizers), (constraints, keras.constraints)])
def test_every_name_of_keras_is_here(ours, theirs):
    assert {name for name in dir(theirs) if not name.startswith("_")} <= set(dir(ours))


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match="l2 must be a finite number, 0 or more; got -1"):
        regularizers.L2(-1)
    with pytest.raises(ValueError, match="takes a matrix"):
        regularizers.OrthogonalRegularizer()(torch.ones(3))
    with pytest.raises(ValueError, match="Did you mean .*'max_norm'"):
        constraints.get("maxnorms")
