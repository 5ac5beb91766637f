"""`TwoClassLinear`: what perceptron, Adaline and logistic regression have in common once they are fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from lamella.neurons.checks import features


class TwoClassLinear(ClassifierMixin, BaseEstimator):
    """A classifier that says the second class on one side of w x + b = 0, and the first on the other."""

    classes_: np.ndarray
    coef_: np.ndarray
    intercept_: np.ndarray

    def decision_function(self, X: Any) -> np.ndarray:
        """w x + b of each sample: (samples,), above 0 for the second class."""
        return features(self, X) @ self.coef_[0] + self.intercept_[0]

    def predict(self, X: Any) -> np.ndarray:
        """The label of each sample: (samples,)."""
        above = self.decision_function(X) > 0
        return self.classes_[above.astype(int)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
