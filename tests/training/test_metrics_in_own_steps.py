"""Metrics of `compile` in a step of the user's, as Keras's guide writes it: `for metric in self.metrics: ...`."""

import numpy as np
import pytest

import lamella
from lamella import layers

X, Y = np.random.default_rng(0).normal(size=(24, 4)).astype("float32"), np.ones((24, 1), "float32")


class Own(lamella.Model):
    def train_step(self, data):
        x, y = data
        y_pred = self(x, training=True)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        self.zero_grad()
        loss.backward()
        self.optimizer.apply([weight.grad for weight in self.trainable_weights], self.trainable_weights)
        return self._counted(loss, y, y_pred)

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        return self._counted(self.compute_loss(y=y, y_pred=y_pred), y, y_pred)

    def _counted(self, loss, y, y_pred):
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss.detach())
            elif not metric.name.endswith("_loss"):
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


def functional(kind):
    lamella.utils.set_random_seed(1)
    inputs = lamella.Input((4,))
    return kind(inputs, layers.Dense(1)(inputs))


def test_they_count_as_without_the_step():
    found = []
    for kind in (Own, lamella.Model):
        model = functional(kind)
        model.compile("sgd", "mse", metrics=["mae", "mse"])
        history = model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, validation_data=(X, Y), verbose=0).history
        found.append((history, model.evaluate(X, Y, return_dict=True, verbose=0)))
    (own, own_evaluated), (plain, plain_evaluated) = found
    assert list(own) == list(plain) == ["loss", "mae", "mse", "val_loss", "val_mae", "val_mse"]
    assert own_evaluated == pytest.approx(plain_evaluated, rel=1e-6)
    for name in plain:
        assert own[name] == pytest.approx(plain[name], rel=1e-6)


def test_before_the_first_batch_they_are_one():
    model = functional(lamella.Model)
    model.compile("sgd", "mse", metrics=["mae"])
    assert model.metrics_names == ["loss", "compile_metrics"]
    model.metrics[1].update_state(Y, model(X))
    assert float(model.metrics[1].result()) == pytest.approx(np.abs(model.predict(X, verbose=0) - 1).mean(), rel=1e-6)


def test_several_outputs():
    inputs = lamella.Input((4,))
    model = Own(inputs, {"a": layers.Dense(1)(inputs), "b": layers.Dense(1)(inputs)})
    model.compile("sgd", "mse", metrics={"a": ["mae"], "b": ["mse"]})
    history = model.fit(X, {"a": Y, "b": Y}, epochs=2, verbose=0).history
    assert {"a_mae", "b_mse", "loss"} <= set(history)
    assert all(len(values) == 2 for values in history.values())


def test_a_step_that_uses_the_model_otherwise():
    class Pairs(lamella.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, a, b):
            return self.dense(a) - self.dense(b)

        def train_step(self, data):
            loss = self(*data).square().mean()
            self.minimize(loss)
            return {"loss": loss}

    model = Pairs()
    model.compile("sgd")
    history = model.fit(X, X + 1, batch_size=8, epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0]


def test_callbacks_always_get_logs():
    seen = {}

    class Watch(lamella.callbacks.Callback):
        pass

    def noting(name):
        def hook(self, *args):
            seen[name] = args[-1]

        return hook

    names = [
        f"on_{what}_{when}"
        for what in ("train", "test", "predict", "epoch", "train_batch", "test_batch", "predict_batch")
        for when in ("begin", "end")
    ]
    for name in names:
        setattr(Watch, name, noting(name))
    model = functional(lamella.Model)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0, callbacks=[Watch()])
    model.evaluate(X, Y, verbose=0, callbacks=[Watch()])
    model.predict(X, verbose=0, callbacks=[Watch()])
    assert set(names) - {"on_predict_batch_begin"} <= set(seen)
    assert all(isinstance(logs, dict) for logs in seen.values())
