"""Losses, metrics and activations of the user's own in files: named in `custom_objects`, from here and from Keras."""

import keras
import numpy as np
import pytest

import lamella
from lamella.errors import UnknownNameError

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
