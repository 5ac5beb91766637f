"""Every constraint against real Keras: the projected weight, names, configs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from lamella import constraints
from lamella.errors import ArgumentError, UnknownNameError

keras = pytest.importorskip("keras")

CASES: list[tuple[str, dict[str, Any]]] = [
    ("Constraint", {}),
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 0.7, "axis": 1}),
    ("MaxNorm", {"max_value": 0.7, "axis": [0, 1, 2]}),
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": -1}),
    ("UnitNorm", {"axis": [0, 1, 2]}),
    *[(name, {"axis": None}) for name in ("MaxNorm", "UnitNorm", "MinMaxNorm")],
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 1.0, "max_value": 2.0, "axis": 1}),
    ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.0, "rate": 0.3, "axis": [0, 1, 2]}),
]
IDS = [f"{name}-{kwargs}" for name, kwargs in CASES]
SHAPES = [(5, 4), (3, 3, 4, 6)]


def weight(shape: tuple[int, ...], scale: float) -> np.ndarray:
    w = scale * np.random.default_rng(0).normal(size=shape).astype("float32")
    w[..., 0] = 0.0  # a unit without weights: no division by zero
    return w


@pytest.mark.parametrize("scale", [0.1, 1.0, 50.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=IDS)
def test_projection(name, kwargs, shape, scale):
    if isinstance(kwargs.get("axis"), list) and len(shape) < 4:
        kwargs = {**kwargs, "axis": [0, 1]}
    w = weight(shape, scale)
    before = w.copy()
    ours = getattr(constraints, name)(**kwargs)(torch.from_numpy(w))
    theirs = getattr(keras.constraints, name)(**kwargs)(torch.tensor(before))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(w, before)  # the argument itself is left alone


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("name", "kwargs"), [case for case in CASES if "axis" not in case[1]], ids=str)
def test_dtype_is_kept(name, kwargs, dtype):
    assert getattr(constraints, name)(**kwargs)(torch.ones(3, 2, dtype=dtype)).dtype == dtype


def test_norms_after_projection():
    w = torch.tensor(weight((20, 6), 3.0))[:, 1:]
    assert (constraints.MaxNorm(2.0)(w).norm(dim=0) <= 2.0).all()
    torch.testing.assert_close(constraints.UnitNorm()(w).norm(dim=0), torch.ones(5))
    small = constraints.MaxNorm(2.0)(w / 100)
    torch.testing.assert_close(small, w / 100)  # what is short enough stays
    norms = constraints.MinMaxNorm(1.0, 2.0, rate=0.5)(w).norm(dim=0)
    torch.testing.assert_close(norms, (w.norm(dim=0) + 2.0) / 2)  # half of the way


def test_every_public_name_exists():
    public = [name for name in dir(keras.constraints) if not name.startswith("_")]
    assert len(public) > 8
    assert [name for name in public if not hasattr(constraints, name)] == []


@pytest.mark.parametrize("name", ["Constraint", "MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm"])
def test_get(name):
    cls = getattr(constraints, name)
    snake = {"MaxNorm": "max_norm", "NonNeg": "non_neg", "UnitNorm": "unit_norm", "MinMaxNorm": "min_max_norm"}
    for identifier in (name, snake.get(name, "constraint"), cls, {"class_name": name, "config": {}}):
        assert type(constraints.get(identifier)) is cls
    made = cls()
    assert constraints.get(made) is made
    assert made.get_config() == getattr(keras.constraints, name)().get_config()


def test_get_of_none_and_of_a_function():
    assert constraints.get(None) is None
    assert constraints.get(torch.abs) is torch.abs


@pytest.mark.parametrize(
    ("identifier", "error", "message"),
    [
        ("max_nrm", UnknownNameError, "Unknown constraint 'max_nrm'. Did you mean 'max_norm'"),
        (3.5, ArgumentError, "Cannot make a constraint of 3.5"),
    ],
)
def test_get_refuses(identifier, error, message):
    with pytest.raises(error, match=message):
        constraints.get(identifier)


@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=IDS)
def test_config_round_trips(name, kwargs):
    ours, theirs = getattr(constraints, name)(**kwargs), getattr(keras.constraints, name)(**kwargs)
    config = json.loads(json.dumps(constraints.serialize(ours)))
    assert config == json.loads(json.dumps(keras.constraints.serialize(theirs)))
    for again in (constraints.deserialize(config), constraints.get(keras.constraints.serialize(theirs))):
        assert type(again) is type(ours)
        assert again.get_config() == ours.get_config()
    there = keras.constraints.deserialize(config)
    assert type(there) is type(theirs)
    assert there.get_config() == theirs.get_config()


def test_a_constraint_of_ones_own():
    class Halved(constraints.Constraint):
        def __init__(self, by=2.0):
            self.by = by

        def __call__(self, w):
            return w / self.by

    config = constraints.serialize(Halved(4.0))
    again = constraints.deserialize(config, {"Halved": Halved})
    torch.testing.assert_close(again(torch.ones(2)), torch.full((2,), 0.25))


@pytest.mark.parametrize("name", ["MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm"])
def test_arrays(name):
    w = np.array([[-1.0, 3.0], [2.0, -4.0]], "float32")
    ours, theirs = getattr(constraints, name)(), getattr(keras.constraints, name)()
    np.testing.assert_allclose(ours(w), theirs(w).cpu(), rtol=1e-6)
