"""scikit-learn's own checks of estimators."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from lamella.neurons import (
    Adaline,
    LinearRegression,
    LogisticRegression,
    MultilayerPerceptron,
    MultilayerPerceptronRegressor,
    Perceptron,
    Ridge,
    SoftmaxRegression,
)

ESTIMATORS = [
    Adaline(random_state=0, max_iter=3),
    LinearRegression(),
    LogisticRegression(),
    MultilayerPerceptron((16,), learning_rate=0.02, max_iter=15, random_state=0),
    MultilayerPerceptronRegressor((16,), learning_rate=0.02, max_iter=20, random_state=0),
    Perceptron(max_iter=20),
    Ridge(solver="gradient", momentum=0.8, max_iter=60),
    SoftmaxRegression(),
]


NOT_HELD = {
    MultilayerPerceptronRegressor: {
        "check_methods_subset_invariance": "it computes in float32, and products of other sizes round otherwise",
    }
}


def told(value):
    return getattr(getattr(value, "func", value), "__name__", type(value).__name__)


CHECKS = [
    pair
    for estimator in ESTIMATORS
    for pair in estimator_checks_generator(
        estimator, expected_failed_checks=NOT_HELD.get(type(estimator)), mark="xfail"
    )
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=told)
def test_a_check_of_scikit_learn(estimator, check):
    check(estimator)
