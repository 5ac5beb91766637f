"""`LinearRegression` and `Ridge`: the least squares, in closed form or by descent."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.base import RegressorMixin

from lamella.losses import MeanSquaredError
from lamella.neurons.checks import at_least, features, regression_data
from lamella.neurons.one_layer import OneLayer


class LeastSquares(RegressorMixin, OneLayer):
    """What linear and ridge regression have in common: |y - X w - b|^2 + alpha |w|^2 becomes least."""

    coef_: np.ndarray
    intercept_: Any

    def _fit(self, X: Any, y: Any, alpha: float) -> None:
        X, y = regression_data(self, X, y)
        Y = y.reshape(len(y), -1)
        if self._is_exact():
            coef, intercept = least_squares(torch.from_numpy(X), torch.from_numpy(Y), alpha, self.fit_intercept)
            self.coef_, self.intercept_, self.n_iter_ = coef.numpy(), intercept.numpy(), 1
        else:
            targets = Y.shape[1]  # the loss is a mean over samples and targets
            self.coef_, self.intercept_ = self._descend(
                X, Y, MeanSquaredError(), curvature=2 / targets, decay=alpha / (len(X) * targets)
            )
        if y.ndim == 1:
            self.coef_, self.intercept_ = self.coef_[0], float(self.intercept_[0])

    def predict(self, X: Any) -> np.ndarray:
        """X w + b: (samples,), or (samples, targets)."""
        return features(self, X) @ self.coef_.T + self.intercept_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class LinearRegression(LeastSquares):
    """Linear regression: the w and b that make |y - X w - b|^2 least.

    Args:
        fit_intercept: Whether there is an intercept b.
        solver: `"exact"` (by singular values: the shortest w where several are best) or `"gradient"` (a Lamella
            model of one layer, trained by `fit`; standardise the inputs).
        mode: Of the descent: `"batch"`, `"stochastic"` (one sample a step) or `"mini_batch"`.
        batch_size: Samples of a mini-batch.
        learning_rate: By default 1 / L, the longest steps that are sure to descend. With steps of this length
            stochastic modes end near the minimum, not in it.
        momentum: Nesterov's; 0.9 and more makes batch mode many times as fast.
        max_iter: The most epochs.
        tol: Descent stops after an epoch in which no weight moved by more than this share of the largest.
        random_state: A seed for the order of the samples.

    Attributes:
        coef_: (features,), or (targets, features) for y of two axes.
        intercept_: A number, or (targets,).
        n_iter_: Epochs; 1 for the exact solver.
        model_: The trained Lamella model; None after the exact solver.
        history_: Its losses: `history_.history["loss"]`.
        n_features_in_: The number of features.

    Warns:
        ConvergenceWarning: Batch mode had not come to rest after `max_iter` epochs.

    Raises:
        DataError: NaN or infinity, with its row.
        ArgumentError: Arguments that do not exist.

    Source: Legendre, 1805; descent by single samples: Robbins and Monro, 1951.

    Example:
        >>> line = LinearRegression().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
        >>> line.coef_.round(6), round(line.intercept_, 6)
        (array([2.]), 1.0)
    """

    def fit(self, X: Any, y: Any) -> LinearRegression:
        """Finds the weights.

        Args:
            X: (samples, features).
            y: (samples,) or (samples, targets).
        """
        self._fit(X, y, 0.0)
        return self


class Ridge(LeastSquares):
    """Linear regression with short weights: the w and b that make |y - X w - b|^2 + alpha |w|^2 least.

    Args:
        alpha: What length costs, against the sum over samples, as in scikit-learn; 0 is linear regression.
        fit_intercept: Whether there is an intercept b. It costs nothing.
        solver: `"exact"` or `"gradient"` (a Lamella model of one layer, with an L2 regularizer).
        mode: Of the descent: `"batch"`, `"stochastic"` (one sample a step) or `"mini_batch"`.
        batch_size: Samples of a mini-batch.
        learning_rate: By default 1 / L, the longest steps that are sure to descend.
        momentum: Nesterov's.
        max_iter: The most epochs.
        tol: Descent stops after an epoch in which no weight moved by more than this share of the largest.
        random_state: A seed for the order of the samples.

    Attributes, warnings and errors are those of `LinearRegression`.

    Source: Hoerl and Kennard, 1970.

    Example:
        >>> Ridge(alpha=2.0).fit([[-1.0], [0.0], [1.0]], [-2.0, 0.0, 2.0]).coef_.round(6)
        array([1.])
    """

    def __init__(
        self,
        alpha: float = 1.0,
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
        self.alpha = alpha

    def fit(self, X: Any, y: Any) -> Ridge:
        """Finds the weights.

        Args:
            X: (samples, features).
            y: (samples,) or (samples, targets).
        """
        at_least(self, alpha=0)
        self._fit(X, y, float(self.alpha))
        return self


def least_squares(
    X: torch.Tensor, Y: torch.Tensor, alpha: float = 0.0, intercept: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """The W and b that make |Y - X W - b|^2 + alpha |W|^2 least.

    alpha |W|^2 is what further samples sqrt(alpha) I with targets 0 would add; means are taken off first, so that b is
    free.

    Args:
        X: (samples, features).
        Y: (samples, targets).
        alpha: The cost of length.
        intercept: Whether b may differ from 0.

    Returns:
        W transposed, (targets, features), and b (targets,).
    """
    x_mean, y_mean = (X.mean(0), Y.mean(0)) if intercept else (X.new_zeros(X.shape[1]), Y.new_zeros(Y.shape[1]))
    A, B = X - x_mean, Y - y_mean
    if alpha:
        A = torch.cat([A, alpha**0.5 * torch.eye(A.shape[1], dtype=A.dtype)])
        B = torch.cat([B, B.new_zeros(X.shape[1], B.shape[1])])
    W = torch.linalg.lstsq(A, B, driver="gelsd").solution
    return W.T.contiguous(), y_mean - x_mean @ W
