"""Small batches wait for each other before the metrics count them: no number changes, and nobody sees too few."""

import numpy as np
import pytest
import torch

import lamella
from lamella import layers, metrics
from lamella.training import compiled, progress

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(330, 6)).astype("float32"), RNG.integers(0, 3, 330)


pytestmark = pytest.mark.usefixtures("every_step_is_recorded")


@pytest.fixture
def updates(monkeypatch):
    """The lengths of what the metrics are given."""
    seen = []
    update = compiled.CompiledMetrics.update

    def counted(self, y, y_pred, sample_weight=None):
        seen.append(len(y_pred))
        update(self, y, y_pred, sample_weight)

    monkeypatch.setattr(compiled.CompiledMetrics, "update", counted)
    return seen


def a_model(found=("accuracy", "sparse_top_k_categorical_accuracy")):
    lamella.utils.set_random_seed(1)
    model = lamella.Sequential([lamella.Input((6,)), layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=list(found))
    return model


def test_history_is_the_same_whether_batches_wait_or_not(updates, monkeypatch):
    fit = {"batch_size": 4, "epochs": 2, "verbose": 0, "validation_split": 0.1}
    waited = a_model().fit(X, Y, **fit).history
    assert 64 in updates
    monkeypatch.setattr(compiled, "_TOGETHER", 1)
    updates.clear()
    assert waited == a_model().fit(X, Y, **fit).history
    assert max(updates) == 4


def test_when_the_bar_reads_them_changes_nothing(monkeypatch, capsys):
    silent = a_model().fit(X, Y, batch_size=4, epochs=2, verbose=0).history
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    assert a_model().fit(X, Y, batch_size=4, epochs=2, verbose=1).history == silent
    assert "accuracy" in capsys.readouterr().out


def test_evaluation_counts_every_sample(updates):
    model = a_model()
    found = model.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True)
    assert 64 in updates
    right = float((model.predict(X, verbose=0).argmax(1) == Y).mean())
    assert found["accuracy"] == pytest.approx(right, abs=1e-7)


def test_a_callback_sees_each_batch_counted(updates):
    class Watch(lamella.callbacks.Callback):
        seen = 0

        def on_train_batch_end(self, batch, logs=None):
            self.seen += 1
            assert float(self.model.metrics[1].count) == min(4 * (batch + 1), 330)

    watch = Watch()
    a_model().fit(X, Y, batch_size=4, verbose=0, callbacks=[watch])
    assert watch.seen == 83
    assert max(updates) == 4


def test_metrics_read_in_the_middle_are_up_to_date():
    own = metrics.SparseCategoricalAccuracy()
    model = a_model([own])
    model.fit(X, Y, batch_size=4, verbose=0)
    model._compiled_metrics.patient = True
    model.reset_metrics()
    with torch.no_grad():
        for count in range(1, 20):
            model._compiled_metrics.count(torch.zeros(2, dtype=torch.int64), torch.eye(3)[:2])
            assert model.get_metrics_result()["sparse_categorical_accuracy"] == 0.5
            assert float(own.count) == 2 * count


def test_labels_that_a_generator_writes_over_are_counted_in_time(updates):
    labels = np.zeros(8, dtype="int64")

    def batches():
        for start in range(0, 320, 8):
            labels[:] = Y[start : start + 8]
            yield X[start : start + 8], labels

    stream = a_model().fit(batches(), verbose=0).history
    assert max(updates) == 8
    assert stream == a_model().fit(X[:320], Y[:320], batch_size=8, shuffle=False, verbose=0).history


@pytest.mark.parametrize("own", ["subclass", "function", "mean_squared_error"])
def test_other_metrics_never_wait(updates, own):
    class Own(metrics.SparseCategoricalAccuracy):
        def update_state(self, y_true, y_pred, sample_weight=None):
            super().update_state(y_true, y_pred, sample_weight)

    def share(y_true, y_pred):
        return y_pred.max(dim=-1).values

    chosen = {"subclass": Own(), "function": share}.get(own, own)
    y = np.eye(3)[Y] if own == "mean_squared_error" else Y
    model = a_model([chosen])
    model.compile("adam", "mse" if y.ndim == 2 else "sparse_categorical_crossentropy", metrics=[chosen, "accuracy"])
    model.fit(X, y, batch_size=4, verbose=0)
    assert max(updates) == 4


def test_weighted_samples_never_wait(updates):
    a_model().fit(X, Y, sample_weight=np.ones(330), batch_size=4, verbose=0)
    assert max(updates) == 4


def test_a_mean_of_numbers_does_not_depend_on_when_it_is_read():
    values = RNG.normal(size=1000).tolist()
    at_once, often, tensors = metrics.Mean(), metrics.Mean(), metrics.Mean()
    for value in values:
        at_once.update_state(value, sample_weight=7)
        often.update_state(value, sample_weight=7)
        float(often.result())
        tensors.update_state(torch.tensor(value, dtype=torch.float64), sample_weight=7)
    assert float(at_once.total) == float(often.total)
    assert float(often.total) == pytest.approx(float(tensors.total), rel=1e-12)
    assert float(at_once.count) == 7000
    at_once.update_state(1.0, sample_weight=7)
    at_once.reset_state()
    assert [float(each) for each in at_once.variables] == [0.0, 0.0]
