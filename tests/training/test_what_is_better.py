"""`mode="auto"`: whether a callback looks for larger or smaller values of a metric."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import lamella

METRICS = {
    "mean_io_u": ("MeanIoU", {"num_classes": 2}),
    "p": ("Precision", {}),
    "cosine_similarity": ("CosineSimilarity", {}),
    "fbeta_score": ("FBetaScore", {"average": "macro"}),
    "pearson_correlation": ("PearsonCorrelation", {}),
    "mean_absolute_error": ("MeanAbsoluteError", {}),
    "root_mean_squared_error": ("RootMeanSquaredError", {}),
    "h": ("Hinge", {}),
    "false_positives": ("FalsePositives", {}),
}
LIBRARIES = [lamella, keras]
X = np.random.default_rng(0).random((8, 2)).astype("float32")


def trained(library: Any, metrics: Any, callback: Any) -> None:
    model = library.Sequential([library.Input((2,)), library.layers.Dense(2, "sigmoid")])
    model.compile("sgd", "mse", metrics=metrics)
    model.fit(X, X.round(), validation_data=(X, X.round()), epochs=2, verbose=0, callbacks=[callback])


def says_larger(library: Any, metrics: Any, name: str) -> bool | None:
    stopping = library.callbacks.EarlyStopping(f"val_{name}", patience=5)
    try:
        trained(library, metrics, stopping)
    except ValueError:
        return None
    return bool(stopping.monitor_op(1.0, 0.0))


@pytest.mark.parametrize("name", METRICS)
def test_auto_is_as_in_keras(name: str) -> None:
    kind, arguments = METRICS[name]
    given = {"name": name}  # that of some counts how many there were
    ours, theirs = (says_larger(each, [getattr(each.metrics, kind)(**arguments, **given)], name) for each in LIBRARIES)
    assert ours is theirs


def accident_rate(y_true: Any, y_pred: Any) -> Any:
    return (y_true - y_pred) ** 2


@pytest.mark.parametrize("name", ["accident_rate", "misspelt"])
def test_a_metric_of_which_nothing_is_known_is_refused_as_in_keras(name: str) -> None:
    assert says_larger(lamella, [accident_rate], name) is says_larger(keras, [accident_rate], name) is None
    with pytest.raises(lamella.errors.ArgumentError, match=r"mode='max'.*the model reports loss, accident_rate"):
        trained(lamella, [accident_rate], lamella.callbacks.ReduceLROnPlateau(name))


@pytest.mark.parametrize(("said", "larger"), [("up", True), ("down", False)])
def test_a_metric_of_ones_own_may_say_it(said: str, larger: bool) -> None:
    def of(library: Any) -> bool | None:
        metric = library.metrics.Mean(name="size")
        metric.update_state = lambda y, y_pred, sample_weight=None: type(metric).update_state(metric, y_pred)
        metric._direction = said
        return says_larger(library, [metric], "size")

    assert of(lamella) is of(keras) is larger


def test_metrics_and_losses_of_several_outputs_are_known() -> None:
    x = lamella.Input((2,))
    model = lamella.Model(x, [lamella.layers.Dense(1, name=name)(x) for name in ("accuracy", "b")])
    model.compile("sgd", "mse", metrics=[["mae"], [lamella.metrics.R2Score()]])
    watched = {"accuracy_loss": False, "accuracy_mae": False, "b_r2_score": True}
    stops = [lamella.callbacks.EarlyStopping(name, patience=5) for name in watched]
    model.fit(X, [X[:, :1], X[:, 1:]], verbose=0, callbacks=stops)
    assert [bool(each.monitor_op(1.0, 0.0)) for each in stops] == list(watched.values())


@pytest.mark.parametrize("mode", ["min", "max", "auto"])
def test_callbacks_built_on_ours_ask_it_as_they_ask_keras(mode: str) -> None:
    def asked(library: Any) -> list[Any]:
        stopping = library.callbacks.EarlyStopping("loss", min_delta=-0.5, mode=mode)
        found = [stopping.best, stopping.monitor_op]
        stopping.set_model(library.Sequential())
        stopping._set_monitor_op()
        pairs = [(1.0, 0.0), (0.0, 1.0), (0.3, 0.0), (0.0, 0.3), (0.5, None)]
        return [*found, stopping.min_delta, *(bool(stopping._is_improvement(*pair)) for pair in pairs)]

    assert asked(lamella) == asked(keras)


def test_a_subclass_may_find_its_number_elsewhere() -> None:
    def best(library: Any) -> float:
        class Halved(library.callbacks.EarlyStopping):
            def get_monitor_value(self, logs: Any) -> float:
                return 0.5 * len(logs)

        stopping = Halved("loss", patience=3)
        trained(library, [], stopping)
        return float(stopping.best)

    assert best(lamella) == best(keras) == 1.0


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_unknown_mode_is_told_and_taken_for_auto(library: Any) -> None:
    with pytest.warns(UserWarning, match="unknown"):
        stopping = library.callbacks.EarlyStopping(mode="least")
    assert stopping.mode == "auto"


def test_a_metric_that_is_missing_is_told() -> None:
    model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match=r"no metric 'val_loss'.*validation_data"):
        model.fit(X, X[:, :1], verbose=0, callbacks=[lamella.callbacks.EarlyStopping()])


def test_a_metric_of_one_number_in_a_list_is_that_number() -> None:
    stopping = lamella.callbacks.EarlyStopping("f1", patience=3)
    model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(1, "sigmoid", kernel_initializer="ones")])
    model.compile("sgd", "mse", metrics=[lamella.metrics.F1Score(name="f1")])
    history = model.fit(X, np.ones((8, 1), "float32"), verbose=0, callbacks=[stopping]).history
    assert history["f1"] == [stopping.best] == pytest.approx([1.0])
    with pytest.raises(lamella.errors.ArgumentError, match=r"2 numbers.*average='macro'"):
        trained(lamella, [lamella.metrics.F1Score(name="f1")], lamella.callbacks.EarlyStopping("f1"))


def test_the_first_value_is_better_than_none() -> None:
    checkpoint = lamella.callbacks.ModelCheckpoint("m.keras", monitor="val_p", mode="max", save_best_only=True)
    assert checkpoint._is_improvement(0.3, None) and not checkpoint._is_improvement(float("nan"), None)
