"""Metrics are reported under the names of their outputs, and keep their own."""

import pytest

import lamella

keras = pytest.importorskip("keras")


def compiled(keras):
    inputs = keras.Input((3,))
    outputs = [keras.layers.Dense(1, name=name)(inputs) for name in ("price", "age")]
    model, metrics = keras.Model(inputs, outputs), [keras.metrics.MeanSquaredError(name=name) for name in ("a", "b")]
    model.compile("sgd", ["mse", "mae"], metrics=[[metrics[0]], [metrics[1], "mae"]], weighted_metrics=[["mae"], []])
    return model, metrics


@pytest.fixture
def data(rng):
    return rng.normal(size=(8, 3)).astype("f"), [rng.normal(size=(8, 1)).astype("f") for _ in range(2)]


def test_a_metric_of_the_users_keeps_its_name(data):
    (ours, metrics), (theirs, _) = compiled(lamella), compiled(keras)
    history = ours.fit(*data, verbose=0).history
    assert set(history) == set(theirs.fit(*data, verbose=0).history) >= {"price_a", "age_b", "age_mae", "price_mae"}
    assert [metric.name for metric in metrics] == ["a", "b"]


def test_a_file_reports_the_same_names_here_and_in_keras(data, tmp_path):
    model, _ = compiled(lamella)
    names = set(model.fit(*data, verbose=0).history)
    model.save(tmp_path / "m.keras")
    for module in (lamella, keras):
        again = module.models.load_model(tmp_path / "m.keras")
        assert set(again.fit(*data, verbose=0).history) == names


def test_own_steps_see_metrics_of_one_name_apart(data):
    class Own(lamella.Model):
        def train_step(self, batch):
            x, y = batch
            outputs = self(x, training=True)
            self.minimize(self.compute_loss(y=y, y_pred=outputs))
            for metric in self.metrics:
                metric.update_state(0.0) if metric.name == "loss" else metric.update_state(y, outputs)
            return {metric.name: metric.result() for metric in self.metrics}

    inputs = lamella.Input((3,))
    model = Own(inputs, lamella.layers.Dense(1)(inputs))
    model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mae"])
    assert set(model.fit(data[0], data[1][0], verbose=0).history) == {"loss", "mae", "weighted_mae"}
