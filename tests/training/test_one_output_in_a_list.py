"""A model with one output takes its targets and weights also in a list of one, or in a dict by the output's name."""

import keras
import numpy as np
import pytest

import lamella

X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
Y = np.arange(20) % 3
WEIGHTS = np.linspace(0.5, 2, 20).astype("float32")
FORMS = {"list": lambda a: [a], "tuple": lambda a: (a,)}


def compiled(library, outputs=lambda x: x):
    x = library.Input((4,), name="x")
    model = library.Model(x, outputs(library.layers.Dense(3, "softmax", name="kind", kernel_initializer="ones")(x)))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
    return model


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("outputs", [lambda x: x, lambda x: [x]], ids=["one", "list of one"])
def test_fit_and_evaluate(form, outputs):
    plain = compiled(lamella).fit(X, Y, sample_weight=WEIGHTS, epochs=2, batch_size=5, shuffle=False, verbose=0).history
    model = compiled(lamella, outputs)
    arguments = {"epochs": 2, "batch_size": 5, "shuffle": False, "verbose": 0, "sample_weight": form(WEIGHTS)}
    history = model.fit(form(X), form(Y), validation_data=(form(X), form(Y)), **arguments).history
    assert {name: history[name] for name in plain} == plain
    assert model.evaluate(form(X), form(Y), verbose=0) == model.evaluate(X, Y, verbose=0)
    reference = compiled(keras, outputs).fit(X, form(Y), **arguments).history
    np.testing.assert_allclose(history["loss"], reference["loss"], rtol=1e-5)
    np.testing.assert_allclose(history["accuracy"], reference["accuracy"], rtol=1e-5)


def test_by_the_name_of_the_output():
    by_name = compiled(lamella).fit({"x": X}, {"kind": Y}, shuffle=False, verbose=0).history
    assert by_name == compiled(lamella).fit(X, Y, shuffle=False, verbose=0).history


def test_one_batch():
    assert compiled(lamella).train_on_batch([X], [Y]) == compiled(lamella).train_on_batch(X, Y)


def results(library):
    x = library.Input((4,), name="x")
    heads = [library.layers.Dense(1, name=name, kernel_initializer="ones")(x) for name in ("tags", "score")]
    model = library.Model(x, heads)
    model.compile("sgd", ["mse", "mae"], metrics=[["mae"], ["mse"]], weighted_metrics=[["mse"], []])
    y = X[:, :1]
    model.train_on_batch(X, [y, 2 * y])
    return model.evaluate(X, [y, 2 * y], verbose=0), model.metrics_names


def test_metrics_of_several_outputs_are_listed_by_their_names_as_in_keras():
    found, names = results(lamella)
    np.testing.assert_allclose(found, results(keras)[0], rtol=1e-5)
    assert names == ["loss", "tags_loss", "score_loss", "score_mse", "tags_mae", "tags_mse"]
