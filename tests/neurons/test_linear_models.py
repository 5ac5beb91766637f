"""Linear models against scikit-learn's, on real data; and against scikit-learn's own checks."""

import pickle
from itertools import permutations

import numpy as np
import pytest
import sklearn.linear_model as reference
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

import lamella
from lamella.datasets import california_housing
from lamella.errors import ArgumentError, DataError
from lamella.neurons import Adaline, LinearRegression, LogisticRegression, Ridge, SoftmaxRegression
from lamella.neurons.one_layer import steepest

BATCH = {"solver": "gradient", "mode": "batch", "max_iter": 5000}


def standardised(load):
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.fixture
def houses(request, monkeypatch):
    folder = request.config.rootpath.parent / "shared" / "data"
    if not (folder / "tabular").is_dir():
        pytest.skip(f"the data sets for tests are not at {folder}")
    monkeypatch.setenv("LAMELLA_DATA", str(folder))
    (X, y), _ = california_housing.load_data()
    return StandardScaler().fit_transform(X.astype("float64")), y / 1e5


def agree(found, expected, within=1e-3):
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=within, atol=within)
    np.testing.assert_allclose(found.intercept_, expected.intercept_, rtol=within, atol=within)


# -- agreement with scikit-learn ----------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0, 1.0, 30.0])
@pytest.mark.parametrize("descent", [{}, {**BATCH, "momentum": 0.95}], ids=["exact", "batch"])
def test_least_squares_of_diabetes(alpha, descent):
    X, y = standardised(load_diabetes)
    ours = Ridge(alpha, **descent) if alpha else LinearRegression(**descent)
    theirs = reference.Ridge(alpha, tol=1e-10) if alpha else reference.LinearRegression()
    agree(ours.fit(X, y), theirs.fit(X, y))
    np.testing.assert_allclose(ours.predict(X[:5]), theirs.predict(X[:5]), rtol=1e-3)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), abs=1e-6)


@pytest.mark.parametrize("descent", [{}, {**BATCH, "momentum": 0.9}], ids=["exact", "batch"])
def test_least_squares_of_houses(houses, descent):
    X, y = houses
    agree(LinearRegression(**descent).fit(X, y), reference.LinearRegression().fit(X, y))
    agree(Ridge(500.0, **descent).fit(X, y), reference.Ridge(500.0).fit(X, y))


@pytest.mark.parametrize("C", [0.05, 1.0])
@pytest.mark.parametrize("descent", [{}, {**BATCH, "momentum": 0.95}], ids=["exact", "batch"])
@pytest.mark.parametrize("load", [load_breast_cancer, load_wine, load_iris])
def test_logistic_regression(load, C, descent):
    X, y = standardised(load)
    y = np.where(y > 0, "more", "none")
    ours = LogisticRegression(C, **descent).fit(X, y)
    theirs = reference.LogisticRegression(C=C, tol=1e-10, max_iter=5000).fit(X, y)
    agree(ours, theirs)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-3)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("C", [0.05, 1.0])
@pytest.mark.parametrize("descent", [{}, {**BATCH, "momentum": 0.95}], ids=["exact", "batch"])
@pytest.mark.parametrize("load", [load_wine, load_iris])
def test_softmax_regression(load, C, descent):
    X, y = standardised(load)
    ours = SoftmaxRegression(C, **descent).fit(X, y)
    theirs = reference.LogisticRegression(C=C, tol=1e-10, max_iter=5000).fit(X, y)
    agree(ours, theirs)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-3)


def test_logistic_regression_without_a_cost_is_in_the_middle_of_overlapping_classes(rng):
    X = rng.normal(size=(200, 3))
    y = (X @ [1.0, -1.0, 0.5] + rng.logistic(size=200) > 0.2).astype(int)
    theirs = reference.LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(X, y)
    agree(LogisticRegression(float("inf")).fit(X, y), theirs, 1e-4)


def test_two_classes_by_softmax_are_logistic_regression():
    """Their weights are w / 2 and -w / 2: half the square of w's length in all, so C counts twice."""
    X, y = standardised(load_breast_cancer)
    both, one = SoftmaxRegression(0.5).fit(X, y), LogisticRegression(1.0).fit(X, y)
    np.testing.assert_allclose(both.coef_[1] - both.coef_[0], one.coef_[0], atol=1e-4)
    np.testing.assert_allclose(both.decision_function(X), one.decision_function(X), atol=1e-3)


@pytest.mark.parametrize("alpha", [0.0, 2.5])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_several_targets_and_fewer_samples_than_features(rng, alpha, fit_intercept):
    for shape in ((30, 4), (6, 9)):
        X, Y = rng.normal(3, 1, size=shape), rng.normal(2, 1, size=(shape[0], 3))
        if alpha:
            ours, theirs = Ridge(alpha, fit_intercept), reference.Ridge(alpha, fit_intercept=fit_intercept)
        else:
            ours = LinearRegression(fit_intercept)
            theirs = reference.LinearRegression(fit_intercept=fit_intercept)
        agree(ours.fit(X, Y), theirs.fit(X, Y), 1e-7)
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-7)


def test_several_targets_by_descent(rng):
    X, Y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    agree(Ridge(3.0, **BATCH).fit(X, Y), Ridge(3.0).fit(X, Y), 1e-4)


# -- descent ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "batch_size"), [("stochastic", 1), ("mini_batch", 16)])
def test_the_other_modes_come_near(mode, batch_size, rng):
    X = rng.normal(size=(150, 3))
    y = X @ [1.0, 2.0, -1.0] + 0.5 + rng.normal(0, 0.1, 150)
    found = LinearRegression(
        solver="gradient", mode=mode, batch_size=16, learning_rate=0.01, max_iter=20, random_state=0
    ).fit(X, y)
    assert int(found.model_.optimizer.iterations) == found.n_iter_ * -(-150 // batch_size)
    agree(found, LinearRegression().fit(X, y), 0.05)
    again = clone(found).fit(X, y)
    np.testing.assert_array_equal(found.coef_, again.coef_)


def test_adaline_follows_the_rule_of_widrow_and_hoff(rng):
    """One epoch, one sample a step, in the order in which the model saw them: every order is tried."""
    X, y = rng.normal(size=(4, 2)), np.array([0, 1, 1, 0])
    found = Adaline(learning_rate=0.1, max_iter=1).fit(X, y)
    ends = []
    for order in permutations(range(4)):
        w, b = np.zeros(2), 0.0
        for i in order:
            error = (2 * y[i] - 1) - (X[i] @ w + b)
            w, b = w + 2 * 0.1 * error * X[i], b + 2 * 0.1 * error
        ends.append([*w, b])
    distance = abs(np.array(ends) - [*found.coef_[0], found.intercept_[0]]).max(1)
    assert distance.min() < 1e-6  # samples and rate reach the model as float32
    assert np.sort(distance)[1] > 1e-4


def test_adaline_ends_where_least_squares_are():
    X, y = standardised(load_breast_cancer)
    signs = 2.0 * y - 1
    found = Adaline(solver="exact").fit(X, y)
    expected = reference.LinearRegression().fit(X, signs)
    np.testing.assert_allclose(found.coef_[0], expected.coef_, atol=1e-8)
    learnt = Adaline(max_iter=3, random_state=0).fit(X, y)
    assert learnt.score(X, y) > 0.94
    assert found.score(X, y) > 0.95


def test_the_model_is_one_layer_of_lamella():
    X, y = standardised(load_wine)
    found = SoftmaxRegression(solver="gradient", max_iter=2000, momentum=0.9).fit(X, y)
    assert isinstance(found.model_, lamella.Sequential)
    (dense,) = found.model_.layers
    np.testing.assert_array_equal(dense.kernel.detach().numpy().T, found.coef_)
    assert len(found.history_.history["loss"]) == found.n_iter_
    np.testing.assert_allclose(found.model_.predict(X, verbose=0), found.decision_function(X), atol=1e-5)
    exact = found.set_params(solver="exact").fit(X, y)
    assert exact.model_ is None
    assert exact.history_ is None


def test_a_fitted_model_is_pickled_with_its_network():
    X, y = standardised(load_iris)
    found = LogisticRegression(solver="gradient", mode="mini_batch", max_iter=5).fit(X, y > 0)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.predict_proba(X), found.predict_proba(X))
    np.testing.assert_array_equal(again.model_.predict(X, verbose=0), found.model_.predict(X, verbose=0))


def test_steps_of_the_default_length_always_descend():
    X, y = standardised(load_diabetes)
    for length, descends in ((1.0, True), (2.1, False)):
        rate = length / (2 * steepest(torch.from_numpy(X), len(X), True))
        model = LinearRegression(solver="gradient", learning_rate=rate, max_iter=60)
        with pytest.warns(ConvergenceWarning, match=r"after 60 epochs a weight still moves.*Standardise the inputs"):
            losses = model.fit(X, y - y.mean()).history_.history["loss"]
        assert (np.diff(losses) <= 0).all() == descends


def test_newton_warns_where_there_is_no_minimum():
    with pytest.warns(ConvergenceWarning, match="classes separable, and C infinite"):
        LogisticRegression(float("inf"), max_iter=5).fit([[-1.0], [1.0]], [0, 1])


def test_softmax_warns_when_it_had_too_few_steps():
    X, y = load_wine(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="Standardise the inputs"):
        SoftmaxRegression(max_iter=3).fit(X, y)


# -- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (
            lambda X, y: LogisticRegression().fit(X, y % 3),
            DataError,
            "y has 3: 0, 1, 2 .row 2 is the first of the third",
        ),
        (lambda X, y: Adaline().fit(X, y % 3), DataError, "Adaline tells two classes apart"),
        (lambda X, y: SoftmaxRegression().fit(X, 0 * y), DataError, "only one class is present, 0"),
        (
            lambda X, y: LinearRegression().fit(np.where(X[4, 1] == X, np.nan, X), y),
            DataError,
            "NaN in row 4, column 1",
        ),
        (lambda X, y: Ridge().fit(X, np.where(y == 7, np.inf, y)), DataError, "Input y contains infinity in row 7"),
        (lambda X, y: Ridge(alpha=-1).fit(X, y), ArgumentError, "`alpha` must be 0 or more; got -1"),
        (lambda X, y: LogisticRegression(C=0).fit(X, y > 4), ArgumentError, "`C` must be"),
        (lambda X, y: LinearRegression(solver="newton").fit(X, y), ArgumentError, "'exact', 'gradient'; got 'newton'"),
        (lambda X, y: LinearRegression(mode="full").fit(X, y), ArgumentError, "'batch', 'stochastic'.*got 'full'"),
        (lambda X, y: LinearRegression(max_iter=0).fit(X, y), ArgumentError, "`max_iter` must be 1 or more"),
        (lambda X, y: LinearRegression().fit(X, y).predict(X[:, :2]), ValueError, "2 features.*expecting 3 features"),
    ],
)
def test_mistakes_are_told(rng, act, error, message):
    with pytest.raises(error, match=message):
        act(rng.normal(size=(10, 3)), np.arange(10))
