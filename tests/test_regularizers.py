"""Every regularizer against real Keras: penalty, gradient, names, configs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from lamella import regularizers
from lamella.errors import ArgumentError, ShapeError, UnknownNameError

keras = pytest.importorskip("keras")

CASES: list[tuple[str, dict[str, Any]]] = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L1", {"l1": None}),
    ("L2", {}),
    ("L2", {"l2": 2}),
    ("L2", {"l2": None}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.1}),
    ("L1L2", {"l2": 0.2}),
    ("L1L2", {"l1": 0.1, "l2": 0.2}),
    ("L1L2", {"l1": None, "l2": 0.2}),
    ("OrthogonalRegularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
    ("OrthogonalRegularizer", {"factor": 0.5, "mode": "rows"}),
]
IDS = [f"{name}-{kwargs}" for name, kwargs in CASES]


def penalty_and_gradient(regularizer, x):
    x = torch.tensor(x, requires_grad=True)
    penalty = regularizer(x)
    # Keras's L1L2 of two zeros is a constant, which has no gradient.
    gradient = torch.autograd.grad(penalty, x)[0] if penalty.requires_grad else torch.zeros_like(x)
    return penalty.detach(), gradient


def shapes(name):
    return [(5, 4), (4, 7)] if name == "OrthogonalRegularizer" else [(5, 4), (4, 7), (3, 3, 2, 4), (6,)]


@pytest.mark.parametrize(("name", "kwargs", "shape"), [(*case, s) for case in CASES for s in shapes(case[0])], ids=str)
def test_penalty_and_gradient(name, kwargs, shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    if name != "OrthogonalRegularizer":
        x.flat[0] = 0.0  # the kink of |x|
    ours = penalty_and_gradient(getattr(regularizers, name)(**kwargs), x)
    theirs = penalty_and_gradient(getattr(keras.regularizers, name)(**kwargs), x)
    assert ours[0].shape == ()
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=IDS)
def test_dtype_is_kept(name, kwargs, dtype):
    assert getattr(regularizers, name)(**kwargs)(torch.ones(3, 2, dtype=dtype)).dtype == dtype


def test_orthogonal_regularizer_of_a_row_of_zeros():
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0]], requires_grad=True)
    penalty = regularizers.OrthogonalRegularizer(1.0)(x)
    penalty.backward()
    assert penalty == 0.0
    assert torch.isfinite(x.grad).all()  # Keras gives NaN


def test_orthogonal_regularizer_counts_rows_or_columns():
    parallel_rows = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    assert regularizers.OrthogonalRegularizer(1.0, "rows")(parallel_rows) == 1.0
    assert regularizers.OrthogonalRegularizer(1.0, "columns")(parallel_rows) == 0.0


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "0.1", True])
@pytest.mark.parametrize(
    ("name", "argument"),
    [("L1", "l1"), ("L2", "l2"), ("L1L2", "l1"), ("L1L2", "l2"), ("OrthogonalRegularizer", "factor")],
)
def test_refused_factors(name, argument, value):
    with pytest.raises(ArgumentError, match=f"{argument} must be a finite number, 0 or more; got"):
        getattr(regularizers, name)(**{argument: value})


def test_refused_mode_and_shape():
    with pytest.raises(ArgumentError, match="mode must be 'rows' or 'columns'; got 'row'"):
        regularizers.OrthogonalRegularizer(mode="row")
    with pytest.raises(ShapeError, match=r"takes a matrix; got shape \(2, 2, 2\)"):
        regularizers.OrthogonalRegularizer()(torch.ones(2, 2, 2))


def test_every_public_name_exists():
    public = [name for name in dir(keras.regularizers) if not name.startswith("_")]
    assert len(public) > 8
    assert [name for name in public if not hasattr(regularizers, name)] == []


@pytest.mark.parametrize(
    ("name", "aliases"),
    [
        ("L1", ["l1"]),
        ("L2", ["l2"]),
        ("L1L2", ["l1_l2", "l1l2"]),
        ("OrthogonalRegularizer", ["orthogonal_regularizer"]),
        ("Regularizer", ["regularizer"]),
    ],
)
def test_get(name, aliases):
    cls = getattr(regularizers, name)
    for identifier in (name, *aliases, cls, {"class_name": name, "config": {}}):
        assert type(regularizers.get(identifier)) is cls
    made = cls()
    assert regularizers.get(made) is made
    for alias in (name, aliases[-1]):
        assert type(keras.regularizers.get(alias)).__name__ == name


def test_get_of_none_and_of_a_function():
    assert regularizers.get(None) is None
    assert regularizers.get(torch.sum) is torch.sum


@pytest.mark.parametrize(
    ("identifier", "error", "message"),
    [
        ("orthogonal_regulariser", UnknownNameError, "Unknown regularizer .* Did you mean 'orthogonal_regularizer'"),
        (0.01, ArgumentError, "Cannot make a regularizer of 0.01"),
    ],
)
def test_get_refuses(identifier, error, message):
    with pytest.raises(error, match=message):
        regularizers.get(identifier)


def rounded(config):
    """Keras keeps some factors as float32: 0.01 comes back as 0.009999999776."""
    if isinstance(config, dict):
        return {key: rounded(value) for key, value in config.items()}
    return round(config, 6) if isinstance(config, float) else config


@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=IDS)
def test_config_round_trips(name, kwargs):
    ours, theirs = getattr(regularizers, name)(**kwargs), getattr(keras.regularizers, name)(**kwargs)
    config = json.loads(json.dumps(regularizers.serialize(ours)))
    from_keras = keras.regularizers.serialize(theirs)
    assert rounded(config) == rounded(from_keras)
    for again in (regularizers.deserialize(config), regularizers.get(from_keras)):
        assert type(again) is type(ours)
        assert rounded(again.get_config()) == rounded(ours.get_config())
    assert type(keras.regularizers.deserialize(config)) is type(theirs)


def test_a_regularizer_of_ones_own():
    class Cubed(regularizers.Regularizer):
        def __init__(self, factor=1.0):
            self.factor = factor

        def __call__(self, x):
            return self.factor * x.abs().pow(3).sum()

    again = regularizers.deserialize(regularizers.serialize(Cubed(0.5)), {"Cubed": Cubed})
    assert again(torch.tensor([2.0])) == 4.0
    assert regularizers.Regularizer()(torch.ones(2)) == 0.0
