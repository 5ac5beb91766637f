"""Every activation against real Keras: values, gradients, names, configs; on tensors, arrays and symbolic tensors."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch

import lamella
from lamella import activations
from lamella.engine.registry import register_keras_serializable
from lamella.errors import ArgumentError, UnknownNameError

keras = pytest.importorskip("keras")

CASES: list[tuple[str, dict[str, Any]]] = [
    ("relu", {}),
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"max_value": 6.0}),
    ("relu", {"max_value": 4.5}),
    ("relu", {"threshold": 0.5}),
    ("relu", {"threshold": -1.0}),
    ("relu", {"threshold": -1.0, "max_value": 4.5}),
    ("relu", {"negative_slope": 0.1, "max_value": 4.5}),
    ("relu", {"negative_slope": 0.1, "threshold": 1.0}),
    ("relu", {"negative_slope": 0.1, "threshold": -1.0}),
    ("relu", {"negative_slope": 0.3, "max_value": 4.5, "threshold": 1.0}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("relu6", {}),
    ("softmax", {}),
    ("softmax", {"axis": 0}),
    ("softmax", {"axis": 1}),
    ("log_softmax", {}),
    ("log_softmax", {"axis": 0}),
    ("celu", {}),
    ("celu", {"alpha": 0.3}),
    ("elu", {}),
    ("elu", {"alpha": 2.0}),
    ("selu", {}),
    ("softplus", {}),
    ("softsign", {}),
    ("soft_shrink", {}),
    ("soft_shrink", {"threshold": 1.0}),
    ("hard_shrink", {}),
    ("hard_shrink", {"threshold": 1.0}),
    ("squareplus", {}),
    ("squareplus", {"b": 0.5}),
    ("sparse_plus", {}),
    ("sparsemax", {}),
    ("sparsemax", {"axis": 0}),
    ("sparse_sigmoid", {}),
    ("tanh", {}),
    ("tanh_shrink", {}),
    ("threshold", {"threshold": 0.5, "default_value": -2.0}),
    ("threshold", {"threshold": -1.0, "default_value": 0.0}),
    ("sigmoid", {}),
    ("silu", {}),
    ("swish", {}),
    ("exponential", {}),
    ("hard_sigmoid", {}),
    ("hard_silu", {}),
    ("hard_swish", {}),
    ("hard_tanh", {}),
    ("log_sigmoid", {}),
    ("gelu", {}),
    ("gelu", {"approximate": True}),
    ("glu", {}),
    ("glu", {"axis": 0}),
    ("linear", {}),
    ("mish", {}),
]
IDS = [name + "".join(f"-{key}={value}" for key, value in kwargs.items()) for name, kwargs in CASES]
LIKE_KERAS = [case for case in CASES if case[0] != "sparsemax"]  # Keras's sparsemax is another function, see below

KINKS = [-6.0, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 6.0]
FAR = [-1e4, -700.0, -88.0, -30.0, -20.5, -7.5, 7.5, 20.5, 30.0, 80.0, 700.0, 1e4]
SPECIAL = {"kinks": np.array([KINKS, KINKS[::-1]], "float32"), "far": np.array([FAR, FAR[::-1]], "float32")}


def sample(kind: str) -> np.ndarray:
    return SPECIAL[kind] if kind in SPECIAL else 2 * np.random.default_rng(1).normal(size=(4, 6)).astype("float32")


def value_and_gradient(function, x, kwargs):
    x = torch.tensor(x, requires_grad=True)
    y = function(x, **kwargs)
    weights = torch.linspace(0.5, 1.5, y.numel()).reshape(y.shape)  # so that no gradient cancels, as softmax's would
    (y * weights).sum().backward()
    return y.detach(), x.grad


@pytest.mark.parametrize("kind", ["usual", "kinks", "far"])
@pytest.mark.parametrize(("name", "kwargs"), LIKE_KERAS, ids=[i for i in IDS if "sparsemax" not in i])
def test_value_and_gradient(name, kwargs, kind):
    ours = value_and_gradient(getattr(activations, name), sample(kind), kwargs)
    theirs = value_and_gradient(getattr(keras.activations, name), sample(kind), kwargs)
    if kind == "kinks" and torch.__version__ >= "2.15":  # each way to clip has a slope of its own there
        ours, theirs = ours[:1], theirs[:1]
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-5, atol=1e-6)


def public_functions() -> list[str]:
    service = {"get", "serialize", "deserialize"}
    return [n for n, f in vars(keras.activations).items() if inspect.isfunction(f) and n not in service]


def test_every_public_name_exists():
    public = [name for name in dir(keras.activations) if not name.startswith("_")]
    assert len(public) > 30
    assert [name for name in public if not hasattr(activations, name)] == []
    assert set(public_functions()) <= {name for name, _ in CASES}


@pytest.mark.parametrize("name", public_functions())
def test_arguments_and_defaults(name):
    def parameters(function):
        return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]

    assert parameters(getattr(activations, name)) == parameters(getattr(keras.activations, name))


@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=IDS)
def test_symbolic(name, kwargs):
    x = torch.tensor(sample("usual"))
    inputs = lamella.Input(shape=(6,))
    output = getattr(activations, name)(inputs, **kwargs)
    model = lamella.Model(inputs, output)
    torch.testing.assert_close(model(x), getattr(activations, name)(x, **kwargs))


@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=IDS)
def test_arrays_and_lists(name, kwargs):
    function = getattr(activations, name)
    x = sample("usual")
    expected = function(torch.tensor(x), **kwargs)
    np.testing.assert_allclose(function(x, **kwargs), expected, rtol=1e-6)
    if name != "linear":  # which gives back the very list
        np.testing.assert_allclose(function(x.tolist(), **kwargs), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=IDS)
def test_dtype_is_kept(name, kwargs, dtype):
    y = getattr(activations, name)(torch.tensor(sample("usual")).to(dtype), **kwargs)
    assert y.dtype == dtype
    assert torch.isfinite(y).all()


@pytest.mark.parametrize("kwargs", [kwargs for name, kwargs in CASES if name == "relu"], ids=str)
def test_relu_of_infinities_and_nan(kwargs):
    low, high, nan = activations.relu([-float("inf"), float("inf"), float("nan")], **kwargs)
    assert high == kwargs.get("max_value", float("inf"))
    assert low == (-float("inf") if "negative_slope" in kwargs else 0.0)
    assert nan.isnan()  # a NaN must not hide behind a threshold


@pytest.mark.parametrize("x", [[[-2, 0, 3]], [[1, 1, 1]]])
def test_relu_of_integers(x):
    torch.testing.assert_close(activations.relu(x), torch.clamp(torch.tensor(x), min=0))


def test_plain_relu_is_one_operation():
    x = torch.randn(3, requires_grad=True)
    assert type(activations.relu(x).grad_fn).__name__ == "ReluBackward0"


@pytest.mark.parametrize("axis", [(0, 1), (0, 2), (1, 2), (0, 1, 2), None], ids=str)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_over_several_axes(name, axis):
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32") * 3
    theirs = value_and_gradient(getattr(keras.activations, name), x, {"axis": axis})
    ours = value_and_gradient(getattr(activations, name), x, {"axis": axis})
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis", [[1, 2], (1, -1), [-2, -1]], ids=str)
def test_softmax_axes_may_be_a_list_or_negative(axis):
    x = torch.randn(3, 4, 5)
    torch.testing.assert_close(activations.softmax(x, axis), activations.softmax(x, (1, 2)))


def test_softmax_remembers_its_logits_along_the_last_axis_only():
    x = torch.randn(2, 3)
    for axis in (-1, 1):
        assert activations.softmax(x, axis)._keras_logits is x
    assert not hasattr(activations.softmax(x, 0), "_keras_logits")


def test_softmax_of_a_scalar():
    with pytest.raises(ArgumentError, match="needs an axis"):
        activations.softmax(1.0)


def simplex_projection(x: np.ndarray) -> np.ndarray:
    """max(x - t, 0) along the last axis, t found by bisection so that it sums to one: sparsemax by its definition."""
    x = x.astype("float64")
    low, high = x.max(-1, keepdims=True) - 1, x.max(-1, keepdims=True)
    for _ in range(60):
        middle = (low + high) / 2
        too_much = np.maximum(x - middle, 0).sum(-1, keepdims=True) > 1
        low, high = np.where(too_much, middle, low), np.where(too_much, high, middle)
    return np.maximum(x - low, 0)


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("kind", ["usual", "kinks", "far"])
def test_sparsemax_projects_onto_the_simplex(kind, axis):
    x = sample(kind)
    y = activations.sparsemax(torch.tensor(x), axis)
    expected = np.moveaxis(simplex_projection(np.moveaxis(x, axis, -1)), -1, axis)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-6 * abs(x).max())


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_sparsemax_gradient(axis):
    x = torch.randn(8, 6, dtype=torch.float64, requires_grad=True)
    assert ((activations.sparsemax(x, axis) > 0).sum(axis) > 1).any()
    assert torch.autograd.gradcheck(lambda x: activations.sparsemax(x, axis), x)


def test_sparsemax_where_keras_agrees():
    x = torch.eye(4) * 3  # one entry takes all: with two or more, Keras's result does not sum to one
    torch.testing.assert_close(activations.sparsemax(x), keras.activations.sparsemax(x))
    two = torch.tensor([[2.0, 1.5, -1.0]])
    assert activations.sparsemax(two).sum() == 1.0
    assert keras.activations.sparsemax(two).sum() != 1.0


# Names and configs


@pytest.mark.parametrize("name", public_functions())
def test_get_and_serialize(name):
    function = getattr(activations, name)
    assert activations.get(name) is function
    assert activations.get(function) is function
    assert activations.serialize(function) == keras.activations.serialize(getattr(keras.activations, name))
    assert activations.deserialize(activations.serialize(function)) is function
    assert keras.activations.deserialize(activations.serialize(function)) is getattr(keras.activations, name)


@pytest.mark.parametrize("name", public_functions())
def test_full_config_from_keras(name):
    config = keras.saving.serialize_keras_object(getattr(keras.activations, name))
    assert isinstance(config, dict)
    assert activations.get(config) is getattr(activations, name)


def test_get_of_other_things():
    assert activations.get(None) is activations.linear
    assert activations.get(torch.tanh) is torch.tanh
    layer = lamella.layers.ReLU()
    assert activations.get(layer) is layer


@pytest.mark.parametrize(
    ("identifier", "error", "message"),
    [
        ("rellu", UnknownNameError, "Unknown activation 'rellu'. Did you mean 'relu'"),
        ("nothing like it", UnknownNameError, "Known names: .*softmax"),
        (3, ArgumentError, "Cannot make an? activation of 3"),
    ],
)
def test_get_refuses(identifier, error, message):
    with pytest.raises(error, match=message):
        activations.get(identifier)
    with pytest.raises(ValueError):
        keras.activations.get(identifier)


def test_a_registered_function_goes_through_its_config():
    @register_keras_serializable(package="test_activations")
    def shifted(x):
        return x + 1

    keras.saving.register_keras_serializable(package="test_activations")(shifted)
    for config in (activations.serialize(shifted), keras.activations.serialize(shifted)):
        assert config["config"] == "test_activations>shifted"
        assert activations.get(config) is shifted
        assert keras.activations.get(config) is shifted


def test_custom_objects():
    def shifted(x):
        return x + 1

    assert activations.deserialize("shifted", {"shifted": shifted}) is shifted
