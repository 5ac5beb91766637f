"""Outputs in nests, and what `compile` says of them, compared with real Keras on torch."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import keras
import numpy as np
import pytest

import lamella

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y1, Y2 = X[:, :1] * 2, (X[:, 1:2] > 0).astype("float32")
Pair = namedtuple("Pair", ["y1", "y2"])


def two_heads(library: Any, nest: Any) -> Any:
    x = library.Input((3,), name="x")

    def head(name: str) -> Any:
        return library.layers.Dense(1, "sigmoid", name=name, kernel_initializer="ones")(x)

    return library.Model(x, nest(head("y1"), head("y2")))


def history(library: Any, nest: Any, y: Any, **arguments: Any) -> dict[str, list[float]]:
    model = two_heads(library, nest)
    model.compile(library.optimizers.SGD(0.1), **arguments)
    return model.fit(X, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history


DEEP = (lambda a, b: {"p": (a, b), "q": {"r": b}}, {"p": (Y1, Y2), "q": {"r": Y2}})
FLAT = (lambda a, b: {"a": a, "b": b}, {"a": Y1, "b": Y2})
CASES = {
    "deep, one loss": (*DEEP, {"loss": "mse"}),
    "deep, by place": (*DEEP, {"loss": {"p": ("mse", "mae"), "q": {"r": "mse"}}, "loss_weights": [1.0, 0.5, 2.0]}),
    "deep, some": (*DEEP, {"loss": {"p": (None, "mae"), "q": {"r": "mse"}}}),
    "deep, metrics": (*DEEP, {"loss": "mse", "metrics": {"p": (["mae"], ["mse", "mae"]), "q": {"r": ["mae"]}}}),
    "a list of one loss": (*FLAT, {"loss": {"a": "mse", "b": ["mae"]}}),
    "one loss of two outputs": (*FLAT, {"loss": {"b": "mse"}}),
    "metrics twice": (*FLAT, {"loss": "mse", "metrics": {"a": ["mae"]}, "weighted_metrics": {"a": ["mae"]}}),
    "a named tuple": (Pair, Pair(Y1, Y2), {"loss": "mse"}),
}


@pytest.mark.filterwarnings("ignore:.*[Gg]radient")
@pytest.mark.parametrize("case", CASES)
def test_the_history_is_that_of_keras(case: str) -> None:
    nest, y, arguments = CASES[case]
    found, wanted = history(lamella, nest, y, **arguments), history(keras, nest, y, **arguments)
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, err_msg=name)


def test_metrics_of_one_name_of_a_single_output_are_all_reported() -> None:
    def names(library: Any) -> set[str]:
        model = library.Sequential([library.Input((3,)), library.layers.Dense(1)])
        model.compile("sgd", "mse", metrics=["mae", "mae"], weighted_metrics=["mae"])
        return set(model.fit(X, Y1, verbose=0).history)

    assert names(lamella) == names(keras) == {"loss", "mae", "mae_1", "weighted_mae"}


def test_a_loss_of_all_outputs_beside_those_of_each() -> None:
    def together(y_true: Any, y_pred: Any) -> Any:
        return abs(y_true[0] - y_pred[0]) + abs(y_true[1] - y_pred[1])

    def run(library: Any) -> dict[str, list[float]]:
        return history(library, lambda a, b: (a, b), (Y1, Y2), loss=[together, ("mse", "mse")])

    found, wanted = run(lamella), run(keras)
    assert set(found) == set(wanted) == {"loss", "y1_y2_loss", "y1_loss", "y2_loss"}
    np.testing.assert_allclose(found["loss"], wanted["loss"], rtol=1e-5)


def test_several_losses_of_one_output_add_up() -> None:
    both = history(lamella, *FLAT, loss={"a": "mse", "b": ["mse", "mae"]})
    each = [history(lamella, *FLAT, loss={"a": "mse", "b": name}) for name in ("mse", "mae")]
    assert both["b_loss"][0] > max(one["b_loss"][0] for one in each)


@pytest.mark.parametrize(("units", "y"), [(1, Y2), (3, np.arange(8) % 3), (3, np.eye(3)[np.arange(8) % 3])])
def test_crossentropy_is_the_one_of_the_shapes(units: int, y: Any) -> None:
    def run(library: Any) -> float:
        head = library.layers.Dense(units, "sigmoid" if units == 1 else "softmax", kernel_initializer="ones")
        model = library.Sequential([library.Input((3,)), head])
        model.compile("sgd", "crossentropy")
        return model.evaluate(X, y, verbose=0)

    assert run(lamella) == pytest.approx(run(keras), rel=1e-5)


def test_targets_of_outputs_without_a_loss_may_be_left_out() -> None:
    def run(library: Any) -> Any:
        model = two_heads(library, lambda a, b: [a, b])
        model.compile("sgd", loss=["mse", None])
        return model.evaluate(X, [Y1], verbose=0)

    assert run(lamella) == pytest.approx(run(keras), rel=1e-5)


def test_named_tuples_and_ordered_dicts_hold_tensors() -> None:
    model = two_heads(lamella, Pair)
    outputs = model(X)
    assert type(outputs) is Pair and outputs.y2.shape == (8, 1)
    assert type(model.from_config(model.get_config()).output) is tuple
    outputs = two_heads(lamella, lambda a, b: OrderedDict(b=b, a=a))(X)
    assert list(outputs) == ["b", "a"] and outputs["a"].shape == (8, 1)


def test_inputs_in_nested_dicts() -> None:
    a, b, c = (lamella.Input((2,), name=name) for name in "abc")
    model = lamella.Model({"one": a, "more": {"z": b, "y": c}}, a + 10 * b + 100 * c)
    ones = np.ones((1, 2), "float32")
    outputs = model({"more": {"y": 3 * ones, "z": 2 * ones}, "one": ones})
    assert outputs.tolist() == [[321.0, 321.0]]
    with pytest.raises(ValueError, match="lacks"):
        model({"one": ones, "more": {"z": ones}})


def test_a_list_for_a_dict_whose_order_is_not_that_of_its_keys_is_refused() -> None:
    ones = np.ones((1, 2), "float32")
    for library in (lamella, keras):
        a, b = (library.Input((2,), name=name) for name in "ab")
        model = library.Model({"b": b, "a": a}, b - a)
        with pytest.raises(ValueError):
            model([ones, ones])


def test_an_optional_input_may_be_none() -> None:
    class Added(lamella.layers.Layer):
        def call(self, x: Any, extra: Any = None) -> Any:
            return x if extra is None else x + extra

    x, extra = lamella.Input((3,), name="x"), lamella.Input((3,), name="extra", optional=True)
    model = lamella.Model({"extra": extra, "x": x}, lamella.layers.Dense(1)(Added()(x, extra)))
    model.compile("sgd", "mse")
    model.fit({"x": X, "extra": None}, Y1, verbose=0)
    assert model.predict({"x": X, "extra": None}, verbose=0).shape == (8, 1)
    np.testing.assert_allclose(
        model({"x": X, "extra": None}).detach(), model({"x": X, "extra": 0 * X}).detach(), rtol=1e-5
    )
    with pytest.raises(ValueError, match="not optional"):
        model({"x": None, "extra": X})


@pytest.mark.filterwarnings("ignore:.*weights have no gradient", "ignore:Gradients do not exist")
def test_the_loss_of_one_output_alone_is_the_loss() -> None:
    nest, y = DEEP
    names = [list(history(library, nest, y, loss={"q": {"r": "mse"}})) for library in (lamella, keras)]
    assert names[0] == names[1] == ["loss"]


@pytest.mark.parametrize(
    ("arguments", "y", "message"),
    [
        ({"loss": ["mse"] * 2}, DEEP[1], "'mse' for several outputs together.*one for each"),
        ({"loss": "mse"}, {"p": (Y1, Y2), "z": {"r": Y2}}, "outputs are nested as .*'q'.*the targets as .*'z'"),
    ],
)
def test_losses_and_targets_that_fit_no_output(arguments: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        history(lamella, DEEP[0], y, **arguments)
    with pytest.raises(ValueError):
        history(keras, DEEP[0], y, **arguments)
