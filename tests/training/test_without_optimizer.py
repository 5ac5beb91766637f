"""`compile(optimizer=None)`: a model that is evaluated, or trained by a step of its own."""

import numpy as np
import pytest

import lamella
from lamella import callbacks, layers
from lamella.errors import NotCompiledError
from lamella.report.settings import settings

X, Y = np.random.default_rng(0).normal(size=(2, 16, 3)).astype("float32")


class OwnRule(lamella.Model):
    """Moves its weights towards zero, which takes no optimizer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        x, y = data
        before = (self(x) - y).square().mean()
        self.dense.kernel.assign(self.dense.kernel * 0.5)
        return {"loss": before.detach()}


def sequential():
    return lamella.Sequential([lamella.Input((3,)), layers.Dense(3)])


def test_it_is_evaluated_and_predicts_like_keras():
    keras = pytest.importorskip("keras")
    reference = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model = sequential()
    model.set_weights(reference.get_weights())
    for each in (reference, model):
        each.compile(optimizer=None, loss="mse", metrics=["mae"])
        assert each.optimizer is None
    ours, theirs = (each.evaluate(X, Y, verbose=0) for each in (model, reference))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    np.testing.assert_allclose(model.predict(X, verbose=0), reference.predict(X, verbose=0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("train", ["fit", "train_on_batch"])
def test_it_is_not_trained(train):
    model = sequential()
    model.compile(None, "mse")
    with pytest.raises(NotCompiledError, match=r"compiled with optimizer=None.*such as 'adam'"):
        getattr(model, train)(X, Y)


def test_a_step_of_its_own_trains_it(tmp_path):
    model = OwnRule()
    model.compile(optimizer=None)
    watchers = [
        callbacks.TensorBoard(tmp_path / "logs"),
        callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1),
        callbacks.ReduceLROnPlateau("loss"),
        callbacks.ModelCheckpoint(tmp_path / "m.keras"),
    ]
    history = model.fit(X, Y, epochs=3, batch_size=8, verbose=0, callbacks=watchers)
    assert len(history.history["loss"]) == 3 and abs(model.get_weights()[0]).max() < 0.1
    assert "optimizer" not in settings(history) and settings(history)["weights"] == "12"


def test_the_step_of_keras_asks_for_one():
    class Asks(OwnRule):
        def train_step(self, data):
            return lamella.Model.train_step(self, data)

    model = Asks()
    model.compile(optimizer=None, loss="mse")
    with pytest.raises(NotCompiledError, match="Asks 'asks' was compiled with optimizer=None"):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_files_and_clones_keep_it(tmp_path, ending):
    model = sequential()
    model.compile(optimizer=None, loss="mse")
    model.save(tmp_path / f"m.{ending}")
    loaded = lamella.saving.load_model(tmp_path / f"m.{ending}")
    assert loaded.compiled and loaded.optimizer is None
    assert loaded.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    assert lamella.models.clone_model(loaded).optimizer is None


def test_half_precision():
    model = lamella.Sequential([lamella.Input((3,)), layers.Dense(3)])
    model.dtype_policy = lamella.dtype_policies.get("mixed_float16")
    model.compile(optimizer=None, loss="mse")
    assert model.optimizer is None
