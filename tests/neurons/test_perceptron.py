"""The perceptron against its rule, sample by sample."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_iris

from lamella.errors import DataError, ShapeError
from lamella.neurons import NotSeparableWarning, Perceptron


def by_hand(X, y, epochs):
    """The rule, one sample after the other: the weights after each mistake, and the mistaken rows."""
    w, b, trace, rows = np.zeros(X.shape[1]), 0.0, [], []
    trace.append([*w, b])
    for _ in range(epochs):
        right = True
        for i in range(len(X)):
            if y[i] * (X[i] @ w + b) <= 0:
                w, b, right = w + y[i] * X[i], b + y[i], False
                trace.append([*w, b])
                rows.append(i)
        if right:
            break
    return np.array(trace), rows


def separable(rng, samples, features, margin=0.05):
    direction = rng.normal(size=features)
    X = rng.normal(size=(4 * samples, features))
    distance = X @ direction / np.linalg.norm(direction) + 0.3
    X, distance = X[abs(distance) > margin], distance[abs(distance) > margin]
    return X[:samples], np.sign(distance[:samples]).astype(int)


@pytest.mark.parametrize(("samples", "features"), [(5, 2), (60, 2), (300, 7), (41, 1), (1000, 3)])
def test_each_step_is_that_of_the_rule(rng, samples, features):
    X, y = separable(rng, samples, features)
    neuron = Perceptron(max_iter=5000, keep_trace=True).fit(X, y)
    trace, rows = by_hand(X, y, 5000)
    np.testing.assert_array_equal(neuron.trace_, trace)
    assert neuron.mistakes_.tolist() == rows
    assert neuron.converged_
    assert neuron.score(X, y) == 1
    np.testing.assert_array_equal(np.append(neuron.coef_[0], neuron.intercept_), trace[-1])


def test_the_steps_where_it_does_not_converge(rng):
    X, y = rng.normal(size=(50, 3)), rng.choice([-1, 1], 50)
    with pytest.warns(NotSeparableWarning, match=r"still \d+ mistakes in epoch 20, the last one"):
        neuron = Perceptron(max_iter=20, keep_trace=True).fit(X, y)
    trace, rows = by_hand(X, y, 20)
    np.testing.assert_array_equal(neuron.trace_, trace)
    assert (neuron.n_iter_, neuron.converged_, neuron.mistakes_.tolist()) == (20, False, rows)


def test_mistakes_stay_below_novikoffs_bound(rng):
    for _ in range(10):
        X, y = separable(rng, 100, 2, margin=0.1)
        neuron = Perceptron(max_iter=10**5).fit(X, y)
        rows = np.hstack([X, np.ones((100, 1))])
        w = np.append(neuron.coef_[0], neuron.intercept_)
        margin = (y * (rows @ w)).min() / np.linalg.norm(w)  # any separating line gives a bound
        assert 0 < len(neuron.mistakes_) <= (np.linalg.norm(rows, axis=1).max() / margin) ** 2


def test_exclusive_or_is_proved_to_be_impossible():
    X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    with pytest.warns(NotSeparableWarning, match="go in a circle for ever: the classes are not linearly separable"):
        neuron = Perceptron(max_iter=10**9).fit(X, [0, 1, 1, 0])
    assert not neuron.converged_
    assert neuron.n_iter_ < 20
    assert neuron.score(X, [0, 1, 1, 0]) < 1


@pytest.mark.parametrize("labels", [("no", "yes"), (-3, 8), (False, True)])
def test_flowers_with_labels_of_any_kind(labels):
    X, y = load_iris(return_X_y=True)
    y = np.array(labels)[(y > 0).astype(int)]
    neuron = Perceptron().fit(X, y)
    assert neuron.converged_
    assert neuron.classes_.tolist() == list(labels)
    np.testing.assert_array_equal(neuron.predict(X), y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(neuron)).predict(X), y)


def test_the_line_that_is_drawn(rng):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    X, y = separable(rng, 30, 2)
    neuron = Perceptron(max_iter=5000).fit(X, y)
    (line,) = neuron.plot_line(X, y).lines
    points = np.stack([np.asarray(line.get_xdata()), np.asarray(line.get_ydata())], 1)
    np.testing.assert_allclose(neuron.decision_function(points), 0, atol=1e-9)
    upright = Perceptron().fit([[-1.0, 0.0], [1.0, 0.0]], [0, 1])
    assert upright.coef_[0, 1] == 0
    line = upright.plot_line([[-1, 0], [1, 0]], [0, 1]).lines[0]
    np.testing.assert_allclose(line.get_xdata(), -upright.intercept_[0] / upright.coef_[0, 0])
    with pytest.raises(ShapeError, match=r"two features; X is \(30, 3\)"):
        neuron.plot_line(np.zeros((30, 3)), y)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[0.0], [1.0], [2.0]], [0, 1, 2], r"tells two classes apart; y has 3: 0, 1, 2 \(row 2 is the first"),
        ([[0.0], [1.0]], ["a", "a"], "only one class is present, 'a'"),
        ([[0.0, 1.0], [1.0, np.nan]], [0, 1], "Input X contains NaN in row 1, column 1"),
        ([[0.0, -np.inf], [1.0, 2.0]], [0, 1], "Input X contains infinity in row 0, column 1"),
        ([[0.0], [1.0]], [0.0, np.nan], "Input y contains NaN in row 1"),
    ],
)
def test_bad_data_are_told_with_their_row(X, y, message):
    with pytest.raises(DataError, match=message):
        Perceptron().fit(X, y)
