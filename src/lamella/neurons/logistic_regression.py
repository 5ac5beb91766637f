"""`LogisticRegression`: the probability of the second of two classes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning

from lamella.losses import BinaryCrossentropy
from lamella.neurons.checks import at_least, features, two_class_data
from lamella.neurons.linear_classifier import TwoClassLinear
from lamella.neurons.one_layer import OneLayer


class LogisticRegression(TwoClassLinear, OneLayer):
    """Logistic regression of two classes: P(second | x) = sigmoid(w x + b).

    It makes C * (sum of the cross-entropies) + |w|^2 / 2 least, as scikit-learn's.

    Args:
        C: The weight of the data against the length of w; `float("inf")` for no cost of length.
        fit_intercept: Whether there is an intercept b. It costs nothing.
        solver: `"exact"` (Newton's method) or `"gradient"` (a Lamella model of one layer; standardise the inputs).
        mode: Of the descent: `"batch"`, `"stochastic"` (one sample a step) or `"mini_batch"`.
        batch_size: Samples of a mini-batch.
        learning_rate: By default 1 / L, the longest steps that are sure to descend.
        momentum: Nesterov's; 0.9 and more makes batch mode many times as fast.
        max_iter: The most epochs, or steps of Newton's.
        tol: It stops after an epoch (a step) in which no weight moved by more than this share of the largest.
        random_state: A seed for the order of the samples.

    Attributes:
        coef_: (1, features): the weights w.
        intercept_: (1,): b.
        classes_: (2,): the labels, sorted.
        n_iter_: Epochs, or steps of Newton's.
        model_: The trained Lamella model (it gives w x + b); None after the exact solver.
        history_: Its losses: `history_.history["loss"]`.
        n_features_in_: The number of features.

    Warns:
        ConvergenceWarning: It had not come to rest after `max_iter`.

    Raises:
        DataError: NaN or infinity (with its row), or labels that are not two classes.
        ArgumentError: Arguments that do not exist.

    Source: Cox, 1958.

    Example:
        >>> model = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], ["no", "no", "yes", "yes"])
        >>> model.predict_proba([[1.5]]).round(6)
        array([[0.5, 0.5]])
    """

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

    def fit(self, X: Any, y: Any) -> LogisticRegression:
        """Finds the weights.

        Args:
            X: (samples, features).
            y: (samples,): labels of two classes.
        """
        at_least(self, C=1e-300)
        X, numbers = two_class_data(self, X, y)
        if self._is_exact():
            weights, self.n_iter_, moved = newton(
                torch.from_numpy(X), torch.from_numpy(numbers), self.C, self.fit_intercept, self.max_iter, self.tol
            )
            self.coef_, self.intercept_ = weights[:-1].numpy()[None].copy(), weights[-1:].numpy().copy()
            if moved > self.tol:
                warnings.warn(
                    f"LogisticRegression: after {self.n_iter_} steps a weight still moves by {moved:.1e} of the "
                    f"largest. Are the classes separable, and C infinite? Then there is no minimum.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
        else:
            self.coef_, self.intercept_ = self._descend(
                X,
                numbers[:, None].astype(np.float64),
                BinaryCrossentropy(from_logits=True),
                curvature=0.25,
                decay=0.5 / (self.C * len(X)),
            )
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class: (samples, 2), in the order of `classes_`."""
        scores = torch.from_numpy(features(self, X) @ self.coef_[0] + self.intercept_[0])
        return torch.stack([torch.sigmoid(-scores), torch.sigmoid(scores)], 1).numpy()


def newton(
    X: torch.Tensor, y: torch.Tensor, C: float, intercept: bool, max_iter: int, tol: float
) -> tuple[torch.Tensor, int, float]:
    """Newton's method on the logistic loss: each step is a weighted least squares (IRLS).

        gradient g = X^T (p - y) + w / C        Hessian H = X^T diag(p (1 - p)) X + I / C        w <- w - H^-1 g

    with p = sigmoid(X w). A step that would raise the loss is halved until it does not.

    Args:
        X: (samples, features), float64.
        y: (samples,), 0 or 1.
        C: The weight of the data against the length of w.
        intercept: Whether there is an intercept.
        max_iter: The most steps.
        tol: It stops after a step of less than this share of the largest weight.

    Returns:
        Weights and intercept (features + 1,), the number of steps, and the size of the last.
    """
    A = torch.cat([X, torch.full((len(X), 1), float(intercept), dtype=X.dtype)], 1)
    cost = torch.full((A.shape[1],), 1 / C, dtype=X.dtype)
    cost[-1] = 0.0

    def loss(w: torch.Tensor) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(A @ w, y.double(), reduction="sum") + (cost * w.square()).sum() / 2

    w = A.new_zeros(A.shape[1])
    moved = float("inf")
    for iteration in range(1, max_iter + 1):
        p = torch.sigmoid(A @ w)
        gradient = A.T @ (p - y) + cost * w
        hessian = (A * (p * (1 - p)).unsqueeze(1)).T @ A + torch.diag(cost)
        step = torch.linalg.lstsq(hessian, gradient.unsqueeze(1), driver="gelsd").solution.squeeze(1)
        before, size = loss(w), 1.0
        while size > 1e-9 and loss(w - size * step) > before:
            size /= 2
        if size <= 1e-9:  # rounding hides any further descent
            return w, iteration, 0.0
        w = w - size * step
        moved = float(size * step.abs().max() / w.abs().max().clamp(min=1e-300))
        if moved <= tol:
            break
    return w, iteration, moved
