"""The order in which losses and metrics are listed, what callbacks may add to it, and which outputs a list is for."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import lamella

X = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
Y = np.abs(X[:, :1])
RESULTS = {"zed": Y, "alpha": 2 * Y}


def one(library: Any) -> Any:
    layers = [library.Input((3,)), library.layers.Dense(1, kernel_initializer="ones", name="zed")]
    return library.Sequential(layers)


def several(library: Any, form: Any = list) -> Any:
    x = library.Input((3,))
    outputs = {name: library.layers.Dense(1, kernel_initializer="ones", name=name)(x) for name in RESULTS}
    return library.Model(x, list(outputs.values()) if form is list else outputs)


def of_no_names(library: Any, form: Any = list) -> Any:
    class Own(library.Model):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.one = library.layers.Dense(1, kernel_initializer="ones")
            self.two = library.layers.Dense(1, kernel_initializer="zeros")

        def call(self, x: Any) -> Any:
            outputs = {"zed": self.one(x), "alpha": self.two(x)}
            return outputs if form is dict else list(outputs.values())

    return Own()


def listed(library: Any, make: Any, y: Any, **arguments: Any) -> Any:
    """The epochs, the history, the metrics of an evaluation as a dict and as a list; all in order."""
    model = make(library)
    model.compile(library.optimizers.SGD(0.01), **arguments)
    history = model.fit(X, y, epochs=2, batch_size=5, shuffle=False, verbose=0, validation_data=(X, y)).history
    by_name = model.evaluate(X, y, verbose=0, return_dict=True)
    values = [model.evaluate(X, y, verbose=0), model.test_on_batch(X, y)]
    return list(history), list(history.values()), list(by_name), list(by_name.values()), values


CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "one": (one, Y, {"loss": "mse", "metrics": ["mse", "mae"], "weighted_metrics": ["mape"]}),
    "several": (several, list(RESULTS.values()), {"loss": ["mse", "mae"], "metrics": [["mse", "mae"], ["mae"]]}),
    "dict": (lambda k: several(k, dict), RESULTS, {"loss": {"zed": "mse", "alpha": "mae"}, "metrics": {"zed": "mae"}}),
    "dict, in a list": (lambda k: several(k, dict), RESULTS, {"loss": ["mse", "mae"], "metrics": [["mse"], ["mae"]]}),
    "no names": (of_no_names, list(RESULTS.values()), {"loss": ["mse", "mae"], "metrics": [["mse"], ["mae"]]}),
    "dict, no names": (
        lambda k: of_no_names(k, dict),
        RESULTS,
        {"loss": "mse", "metrics": [["mse"], ["mae"]]},
    ),
    "dict, no names, in a list": (
        lambda k: of_no_names(k, dict),
        RESULTS,
        {"loss": ["mse", "mae"], "loss_weights": [2.0, 0.5]},
    ),
    "a dict for one output": (one, Y, {"loss": "mse", "metrics": {"whatever": ["mae"]}}),
}


@pytest.mark.parametrize("case", CASES)
def test_as_in_keras(case: str) -> None:
    make, y, arguments = CASES[case]
    ours, theirs = (listed(library, make, y, **arguments) for library in (lamella, keras))
    assert ours[0] == theirs[0] and ours[2] == theirs[2]
    for one, two in zip(ours[1::2] + ours[4:], theirs[1::2] + theirs[4:], strict=True):
        np.testing.assert_allclose(np.array(one), np.array(two), rtol=1e-5, atol=1e-6)


def test_metrics_of_one_name_are_numbered_where_outputs_have_no_names() -> None:
    names = []
    for library in (lamella, keras):
        model = of_no_names(library)
        model.compile("sgd", ["mse", "mae"], metrics=[["mae"], ["mae"]], weighted_metrics=[["mae"], []])
        names.append(list(model.fit(X, list(RESULTS.values()), verbose=0).history))
    assert names[0] == names[1] and {"mae", "mae_1", "weighted_mae"} < set(names[0])


def test_metrics_names_are_in_the_order_of_evaluate() -> None:
    model = several(lamella)
    model.compile("sgd", ["mse", "mae"], metrics=[["mse", "mae"], ["mae"]])
    values = model.evaluate(X, list(RESULTS.values()), verbose=0)
    assert dict(zip(model.metrics_names, values, strict=True)) == model.evaluate(
        X, list(RESULTS.values()), verbose=0, return_dict=True
    )


def test_what_a_callback_adds_to_an_epoch_is_seen_by_those_after_it_and_not_at_the_end_of_training() -> None:
    seen = []
    for library in (lamella, keras):
        events: list[Any] = []

        class Adding(library.callbacks.Callback):  # type: ignore[name-defined, misc]
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                logs["added"] = 1.0

            def on_train_batch_end(self, batch: int, logs: Any = None, events: list[Any] = events) -> None:
                events.append(list(logs))

            def on_train_end(self, logs: Any = None, events: list[Any] = events) -> None:
                events.append(list(logs))

        model = one(library)
        model.compile("sgd", "mse", metrics=["mae", "mse"], weighted_metrics=["mse"])
        history = model.fit(X, Y, validation_split=0.5, callbacks=[Adding()], verbose=0).history
        seen.append((events, list(history)))
    assert seen[0] == seen[1] and seen[0][1][-1] == "added"


def test_callbacks_get_predictions_as_arrays() -> None:
    kinds = []
    for library in (lamella, keras):

        class Looking(library.callbacks.Callback):  # type: ignore[name-defined, misc]
            def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
                kinds.append((type(logs["outputs"]), logs["outputs"].shape))

        one(library).predict(X, batch_size=8, callbacks=[Looking()], verbose=0)
    assert kinds[:2] == kinds[2:] == [(np.ndarray, (8, 1)), (np.ndarray, (4, 1))]


def test_sample_weights_under_a_name_that_is_no_output() -> None:
    for library in (lamella, keras):
        model = one(library)
        model.compile("sgd", "mse")
        with pytest.raises(ValueError) as error:
            model.fit(X, Y, sample_weight={"zeb": np.ones(12)}, verbose=0)
        assert library is keras or ("'zeb'" in str(error.value) and "'zed'" in str(error.value))
