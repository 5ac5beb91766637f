"""Networks of layers: what one neuron cannot do, and scikit-learn's places for them."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris, make_moons
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lamella
from lamella.errors import ArgumentError, DataError
from lamella.neurons import LogisticRegression, MultilayerPerceptron, MultilayerPerceptronRegressor

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


def test_two_layers_learn_exclusive_or():
    found = MultilayerPerceptron((8,), "tanh", learning_rate=0.1, max_iter=100, random_state=0).fit(*XOR)
    assert found.score(*XOR) == 1
    assert LogisticRegression().fit(*XOR).score(*XOR) < 1


def test_without_hidden_layers_it_is_softmax_regression(rng):
    """It finds a line, and no more: moons stay as they are by logistic regression."""
    X, y = make_moons(200, noise=0.1, random_state=0)
    X = StandardScaler().fit_transform(X)
    line = MultilayerPerceptron((), learning_rate=0.1, max_iter=40, random_state=0).fit(X, y)
    curve = MultilayerPerceptron((32,), learning_rate=0.02, max_iter=40, random_state=0).fit(X, y)
    assert line.score(X, y) == pytest.approx(LogisticRegression(1e6).fit(X, y).score(X, y), abs=0.03)
    assert curve.score(X, y) > 0.98


def test_labels_pipelines_and_cross_validation():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    network = MultilayerPerceptron((16,), learning_rate=0.02, max_iter=25, random_state=0)
    assert cross_val_score(make_pipeline(StandardScaler(), network), X, names, cv=3).min() > 0.9
    found = network.fit(StandardScaler().fit_transform(X), names)
    probabilities = found.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert found.classes_.tolist() == ["setosa", "versicolor", "virginica"]


def test_training_stops_early_and_keeps_the_best():
    X, y = load_diabetes(return_X_y=True)
    X, y = StandardScaler().fit_transform(X), (y - y.mean()) / y.std()
    found = MultilayerPerceptronRegressor(
        (64,), learning_rate=0.02, max_iter=100, validation_fraction=0.3, patience=3, random_state=0
    ).fit(X, y)
    losses = found.history_.history["val_loss"]
    assert found.n_iter_ == len(losses) < 100
    assert int(np.argmin(losses)) == found.n_iter_ - 1 - 3
    assert found.score(X, y) > 0.4


def test_all_randomness_follows_the_seed():
    X, y = make_moons(60, noise=0.1, random_state=0)
    found = []
    for _ in range(2):
        lamella.utils.set_random_seed(3)
        model = MultilayerPerceptron((4,), max_iter=3, validation_fraction=0.2).fit(X, y)
        found.append(model.predict_proba(X))
    np.testing.assert_array_equal(*found)


def test_it_is_pickled_whole():
    found = MultilayerPerceptron((4,), max_iter=2, random_state=0).fit(*XOR)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.predict_proba(XOR[0]), found.predict_proba(XOR[0]))
    assert [layer.units for layer in again.model_.layers] == [4, 2]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"hidden_units": (4, 0)}, ArgumentError, r"as in \(100, 50\); got \(4, 0\)"),
        ({"hidden_units": "big"}, ArgumentError, "got 'big'"),
        ({"max_iter": 0}, ArgumentError, "`max_iter` must be 1 or more; got 0"),
        ({"batch_size": None}, ArgumentError, "`batch_size` must be 1 or more; got None"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        MultilayerPerceptron(**arguments).fit(*XOR)


def test_bad_data():
    X = np.where(np.arange(8).reshape(4, 2) == 5, np.nan, 1.0)
    for model in (MultilayerPerceptron(), MultilayerPerceptronRegressor()):
        with pytest.raises(DataError, match="NaN in row 2, column 1"):
            model.fit(X, [0, 1, 0, 1])
