"""Functional models of a class of the user's, `Own(inputs, outputs)`, whose `train_step` is its own."""

import numpy as np
import pytest

import lamella
from lamella import layers

X, Y = np.arange(8, dtype="float32").reshape(2, 4), np.ones((2, 3), "float32")


class Own(lamella.Model):
    def train_step(self, data):
        return super().train_step(data)


class OwnInit(lamella.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.note = "kept"


class OwnNames(lamella.Model):
    def __init__(self, inputs, outputs, name=None, **kwargs):
        super().__init__(inputs, outputs, name=name, **kwargs)


class Doubled(layers.Layer):
    def call(self, x):
        return 2 * x


KINDS = [Own, OwnInit, OwnNames]


def a_model(kind):
    inputs = lamella.Input((4,))
    return kind(inputs, layers.Dense(3, name="last")(Doubled()(inputs)), name="own")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nested", [False, True])
def test_files_keep_graph_and_class(kind, nested, tmp_path):
    model = a_model(kind)
    if nested:
        inputs = lamella.Input((4,))
        model = lamella.Model(inputs, model(inputs))
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = lamella.models.load_model(
        tmp_path / "model.keras", custom_objects={kind.__name__: kind, "Doubled": Doubled}
    )
    inner = loaded.get_layer("own") if nested else loaded
    assert type(inner) is kind and loaded.input.shape == (None, 4) and inner.get_layer("last").output.shape == (None, 3)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    loaded.fit(X, Y, verbose=0)
    assert int(loaded.optimizer.iterations) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_configs_and_clones_keep_graph_and_class(kind):
    model = a_model(kind)
    with lamella.saving.custom_object_scope({"Doubled": Doubled}):
        again = kind.from_config(model.get_config())
    clone = lamella.models.clone_model(model)  # the classes of what is cloned need no name anywhere
    for each in (again, clone):
        assert type(each) is kind
        each.set_weights(model.get_weights())
        np.testing.assert_array_equal(each.predict(X, verbose=0), model.predict(X, verbose=0))


def test_a_class_that_makes_its_own_graph_is_made_by_its_own_arguments():
    class Sized(lamella.Model):
        def __init__(self, units, **kwargs):
            inputs = lamella.Input((4,))
            super().__init__(inputs, layers.Dense(units)(inputs), **kwargs)
            self.units = units

    model = Sized(5)
    assert model.get_config()["units"] == 5
    assert lamella.models.clone_model(model).output_shape == (None, 5)


def test_files_keep_constants_of_the_graph(tmp_path):
    tokens = lamella.Input((4,))
    places = layers.Embedding(4, 3)(lamella.ops.arange(4))
    model = lamella.Model(tokens, layers.Flatten()(layers.Embedding(9, 3)(tokens) + places))
    model.save(tmp_path / "model.keras")
    loaded = lamella.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(X % 9, verbose=0), model.predict(X % 9, verbose=0))
