"""`SoftmaxRegression`: logistic regression of any number of classes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.base import ClassifierMixin
from sklearn.exceptions import ConvergenceWarning

from lamella.losses import CategoricalCrossentropy
from lamella.neurons.checks import at_least, classification_data, features
from lamella.neurons.one_layer import OneLayer


class SoftmaxRegression(ClassifierMixin, OneLayer):
    """Multinomial logistic regression: P(class | x) = softmax(W x + b).

    It makes C * (sum of the cross-entropies) + |W|^2 / 2 least, as scikit-learn's LogisticRegression does of three
    classes and more. Each class has its weights, also where there are two.

    Args:
        C: The weight of the data against the length of W; `float("inf")` for no cost of length.
        fit_intercept: Whether there are intercepts b. They cost nothing.
        solver: `"exact"` (to the minimum, by L-BFGS: Newton's method would need the square of all weights in memory)
            or `"gradient"` (a Lamella model of one layer; standardise the inputs).
        mode: Of the descent: `"batch"`, `"stochastic"` (one sample a step) or `"mini_batch"`.
        batch_size: Samples of a mini-batch.
        learning_rate: By default 1 / L, the longest steps that are sure to descend.
        momentum: Nesterov's; 0.9 and more makes batch mode many times as fast.
        max_iter: The most epochs, or steps of L-BFGS.
        tol: Descent stops after an epoch in which no weight moved by more than this share of the largest; L-BFGS where
            no number of the gradient of the mean loss is above it.
        random_state: A seed for the order of the samples.

    Attributes:
        coef_: (classes, features): the weights W.
        intercept_: (classes,): b.
        classes_: The labels, sorted.
        n_iter_: Epochs, or steps of L-BFGS.
        model_: The trained Lamella model (it gives W x + b); None after the exact solver.
        history_: Its losses: `history_.history["loss"]`.
        n_features_in_: The number of features.

    Warns:
        ConvergenceWarning: It had not come to rest after `max_iter`.

    Raises:
        DataError: NaN or infinity (with its row), or a single class.
        ArgumentError: Arguments that do not exist.

    Source: Bridle, 1990 (as a network); L-BFGS: Liu and Nocedal, 1989.

    Example:
        >>> model = SoftmaxRegression().fit([[0.0], [1.0], [2.0]], ["a", "b", "c"])
        >>> model.predict_proba([[1.0]]).argmax(), model.coef_.shape
        (np.int64(1), (3, 1))
    """

    coef_: np.ndarray
    intercept_: np.ndarray
    classes_: np.ndarray

    def __init__(
        self,
        C: float = 1.0,
        fit_intercept: bool = True,
        solver: str = "exact",
        mode: str = "batch",
        batch_size: int = 32,
        learning_rate: float | None = None,
        momentum: float = 0.0,
        max_iter: int = 1000,
        tol: float = 1e-7,
        random_state: Any = None,
    ) -> None:
        super().__init__(fit_intercept, solver, mode, batch_size, learning_rate, momentum, max_iter, tol, random_state)
        self.C = C

    def fit(self, X: Any, y: Any) -> SoftmaxRegression:
        """Finds the weights.

        Args:
            X: (samples, features).
            y: (samples,): labels.
        """
        at_least(self, C=1e-300)
        X, numbers = classification_data(self, X, y)
        decay = 0.5 / (self.C * len(X))
        if self._is_exact():
            self._minimise(torch.from_numpy(X), torch.from_numpy(numbers), decay)
        else:
            one_hot = np.eye(len(self.classes_))[numbers]
            loss = CategoricalCrossentropy(from_logits=True)
            self.coef_, self.intercept_ = self._descend(X, one_hot, loss, curvature=0.5, decay=decay)
        return self

    def _minimise(self, X: torch.Tensor, numbers: torch.Tensor, decay: float) -> None:
        classes = len(self.classes_)
        W = X.new_zeros(X.shape[1], classes, requires_grad=True)
        b = X.new_zeros(classes, requires_grad=self.fit_intercept)
        free = [W, b] if self.fit_intercept else [W]
        lbfgs = torch.optim.LBFGS(
            free,
            max_iter=self.max_iter,
            max_eval=2 * self.max_iter,
            tolerance_grad=self.tol,
            tolerance_change=0,
            line_search_fn="strong_wolfe",
        )

        def loss() -> torch.Tensor:
            lbfgs.zero_grad()
            mean = F.cross_entropy(X @ W + b, numbers) + decay * W.square().sum()
            mean.backward()
            return mean

        lbfgs.step(loss)
        self.n_iter_ = int(lbfgs.state[W]["n_iter"])
        steepness = max(float(weight.grad.abs().max()) for weight in free if weight.grad is not None)
        if steepness > 10 * self.tol:
            warnings.warn(
                f"SoftmaxRegression: after {self.n_iter_} steps the gradient is still {steepness:.1e}. Standardise the "
                f"inputs (sklearn.preprocessing.StandardScaler), or raise `max_iter`.",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.coef_, self.intercept_ = W.detach().T.contiguous().numpy(), b.detach().numpy()

    def _scores(self, X: Any) -> np.ndarray:
        return features(self, X) @ self.coef_.T + self.intercept_

    def decision_function(self, X: Any) -> np.ndarray:
        """W x + b: (samples, classes); for two classes the second minus the first, (samples,)."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class: (samples, classes), in the order of `classes_`."""
        return torch.softmax(torch.from_numpy(self._scores(X)), 1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label of each sample: (samples,)."""
        best = self._scores(X).argmax(1)
        return self.classes_[best]
