"""What the estimators check before they learn: numbers that are finite, and labels of as many classes as they tell."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from lamella.errors import ArgumentError, DataError

_TO_TORCH = {"dtype": np.float64, "ensure_all_finite": False, "force_writeable": True}
"""scikit-learn's options; it names no row where a number is missing, so that is looked for here."""


def features(estimator: BaseEstimator, X: Any) -> np.ndarray:
    """X for a fitted estimator: (samples, features) float64, finite, as many features as it was fitted on."""
    check_is_fitted(estimator)
    X = validate_data(estimator, X, reset=False, dtype=np.float64, ensure_all_finite=False)
    return _finite("X", X)


def regression_data(estimator: BaseEstimator, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """X (samples, features) and y (samples,) or (samples, targets), float64, both finite."""
    if y is not None:
        _finite("y", y)
    X, y = validate_data(estimator, X, y, **_TO_TORCH, multi_output=True, y_numeric=True)
    return _finite("X", X), y.astype(np.float64)


def classification_data(estimator: BaseEstimator, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """X (samples, features) float64, and the number of each sample's class; sets `classes_`.

    Raises:
        DataError: NaN or infinity, with its row; a single class.
    """
    if y is not None:
        _finite("y", y)
    X, y = validate_data(estimator, X, y, **_TO_TORCH)
    y = column_or_1d(y, warn=True)
    check_classification_targets(y)
    estimator.classes_, numbers = np.unique(y, return_inverse=True)
    if len(estimator.classes_) < 2:
        raise DataError(
            f"{type(estimator).__name__}: only one class is present, {estimator.classes_.tolist()[0]!r}; there must be "
            f"two."
        )
    return _finite("X", X), numbers


def two_class_data(estimator: BaseEstimator, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """The same for an estimator that tells two classes apart: numbers are 0 and 1.

    Raises:
        DataError: Other than two classes, with the row where the third comes first.
    """
    X, numbers = classification_data(estimator, X, y)
    if len(estimator.classes_) > 2:
        row, names = int(np.argmax(numbers == 2)), ", ".join(map(repr, estimator.classes_[:5].tolist()))
        raise DataError(
            f"Only binary classification is supported. {type(estimator).__name__} tells two classes apart; y has "
            f"{len(estimator.classes_)}: {names} (row {row} is the first of the third). "
            f"Use SoftmaxRegression or MultilayerPerceptron."
        )
    return X, numbers


def one_of(estimator: BaseEstimator, name: str, allowed: tuple[str, ...]) -> str:
    """The argument of that name, if it is one of these.

    Raises:
        ArgumentError: Another value.
    """
    value = getattr(estimator, name)
    if value not in allowed:
        raise ArgumentError(
            f"{type(estimator).__name__}: `{name}` must be one of {', '.join(map(repr, allowed))}; got {value!r}."
        )
    return value


def at_least(estimator: BaseEstimator, **bounds: float) -> None:
    """Checks arguments against their lowest values: `at_least(self, max_iter=1)`.

    Raises:
        ArgumentError: A value below its bound, or no number.
    """
    for name, bound in bounds.items():
        value = getattr(estimator, name)
        if not isinstance(value, (int, float, np.number)) or not value >= bound:
            raise ArgumentError(f"{type(estimator).__name__}: `{name}` must be {bound} or more; got {value!r}.")


def _finite(name: str, values: Any) -> Any:
    array = np.asarray(values) if not hasattr(values, "toarray") else np.zeros(0)  # sparse ones are refused elsewhere
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return values
    row, *column = np.argwhere(~np.isfinite(array))[0]
    found = "NaN" if np.isnan(array[(row, *column)]) else "infinity"
    where = f"row {row}" + (f", column {column[0]}" if column else "")
    raise DataError(
        f"Input {name} contains {found} in {where}: leave such rows out, or fill them (sklearn.impute.SimpleImputer)."
    )
