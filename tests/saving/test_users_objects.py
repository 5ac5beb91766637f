"""Losses, metrics and activations of the user's own in files: named in `custom_objects`, from here and from Keras."""

import keras
import numpy as np
import pytest

import lamella
from lamella.errors import UnknownNameError, UnsafeError

X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def made(library):
    """A compiled, trained model, and what it is made of that no library knows."""
    ops = library.ops

    def root_of_squares(y_true, y_pred):
        return ops.sqrt(ops.mean(ops.square(y_true - y_pred)))

    def distance(y_true, y_pred):
        return ops.mean(ops.abs(y_true - y_pred), axis=-1)

    def bent(x):
        return ops.tanh(x) + 0.1 * x

    model = library.Sequential([library.Input((4,)), library.layers.Dense(5, bent), library.layers.Dense(1)])
    model.compile("adam", distance, metrics=[root_of_squares, "mae"])
    model.fit(X, Y, verbose=0)
    return model, {each.__name__: each for each in (root_of_squares, distance, bent)}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_what_is_given_to_load_model_is_found_for_compile_too(tmp_path, suffix):
    model, objects = made(lamella)
    model.save(tmp_path / f"m{suffix}")
    found = lamella.models.load_model(tmp_path / f"m{suffix}", custom_objects=objects)
    assert found.evaluate(X, Y, verbose=0) == pytest.approx(model.evaluate(X, Y, verbose=0))
    history = found.fit(X, Y, verbose=0, shuffle=False).history
    assert history == {
        key: pytest.approx(value) for key, value in model.fit(X, Y, verbose=0, shuffle=False).history.items()
    }
    with pytest.raises(UnknownNameError):
        lamella.models.load_model(tmp_path / f"m{suffix}")


@pytest.mark.filterwarnings("ignore::UserWarning:keras")
def test_files_of_keras(tmp_path):
    model, _ = made(keras)
    model.save(tmp_path / "m.keras")
    _, objects = made(lamella)
    found = lamella.models.load_model(tmp_path / "m.keras", custom_objects=objects)
    assert found.evaluate(X, Y, verbose=0) == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)


@lamella.saving.register_keras_serializable("tests")
class Around(lamella.Model):
    """Takes layers and functions, and says nothing of them in a config of its own."""

    def __init__(self, inner, more=(), bend=None, units=2, **kwargs):
        super().__init__(**kwargs)
        self.inner, self.more, self.bend = inner, list(more), bend
        self.units = lamella.layers.Dense(units)  # not what was passed by that name

    def call(self, x):
        x = self.inner(x)
        for layer in self.more:
            x = layer(x)
        return self.units(x if self.bend is None else self.bend(x))


def around(**more):
    start = lamella.Input((4,))
    model = Around(lamella.Model(start, lamella.layers.Dense(5)(start)), [lamella.layers.Dense(3, "relu")], **more)
    model.compile("adam", "mse")
    model.fit(X, np.repeat(Y, 2, axis=1), verbose=0)
    return model


@pytest.mark.parametrize("bend", [None, lamella.activations.tanh])
def test_layers_that_a_model_was_made_with_come_back(tmp_path, bend):
    """Keras refuses to write such a model."""
    model = around(bend=bend)
    model.save(tmp_path / "m.keras")
    loaded = lamella.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert isinstance(loaded.inner, lamella.Model) and loaded.bend is bend
    clone = lamella.models.clone_model(model)
    assert clone.inner is not model.inner and clone.predict(X, verbose=0).shape == (12, 2)
    assert Around.from_config(model.get_config()).predict(X, verbose=0).shape == (12, 2)


def test_copies_within_a_program_keep_functions_as_they_are(tmp_path):
    shift = 0.25
    start = lamella.Input((4,))
    bent = lamella.layers.Dense(4, lambda x: x.tanh() + shift)(start)
    times = lamella.Sequential([lamella.layers.Lambda(lambda x: x * Y.shape[1])])
    model = lamella.Model(start, times(bent))
    clone = lamella.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone.predict(X, verbose=0), model.predict(X, verbose=0))
    model.save(tmp_path / "m.keras")
    with pytest.raises(UnsafeError):
        lamella.models.load_model(tmp_path / "m.keras")
    config = {"class_name": "__lambda__", "config": {"alive": 0}}  # of a file: nothing is alive in it
    with pytest.raises(UnsafeError):
        lamella.saving.deserialize_keras_object(config)
