"""`Adaline`: a neuron that learns from how far off it is, also where it is right."""

from __future__ import annotations

from typing import Any

import torch

from lamella.losses import MeanSquaredError
from lamella.neurons.checks import two_class_data
from lamella.neurons.linear_classifier import TwoClassLinear
from lamella.neurons.linear_regression import least_squares
from lamella.neurons.one_layer import OneLayer


class Adaline(TwoClassLinear, OneLayer):
    """The adaptive linear neuron: w x + b comes close to -1 for the first class and to +1 for the second.

    Its rule, the least mean squares (LMS), is gradient descent on (y - w x - b)^2, sample by sample:

        w <- w + 2 rate (y - w x - b) x

    Unlike the perceptron's, it has a minimum that it comes to (or near) also where no line separates the classes.

    Args:
        fit_intercept: Whether there is an intercept b.
        solver: `"gradient"` (the rule, as a Lamella model of one layer) or `"exact"` (where it would end).
        mode: Of the rule: `"stochastic"` (one sample a step, as Adaline's), `"batch"` or `"mini_batch"`.
        batch_size: Samples of a mini-batch.
        learning_rate: By default 1 / L, the longest steps that are sure to descend.
        momentum: Nesterov's.
        max_iter: The most epochs.
        tol: It stops after an epoch in which no weight moved by more than this share of the largest.
        random_state: A seed for the order of the samples.

    Attributes:
        coef_: (1, features): the weights w.
        intercept_: (1,): b.
        classes_: (2,): the labels, sorted.
        n_iter_: Epochs; 1 for the exact solver.
        model_: The trained Lamella model; None after the exact solver.
        history_: Its losses: `history_.history["loss"]`.
        n_features_in_: The number of features.

    Raises:
        DataError: NaN or infinity (with its row), or labels that are not two classes.

    Source: Widrow and Hoff, 1960.

    Example:
        >>> neuron = Adaline(solver="exact").fit([[0.0], [1.0], [3.0], [4.0]], ["low", "low", "high", "high"])
        >>> neuron.predict([[0.5], [3.5]])
        array(['low', 'high'], dtype='<U4')
    """

    def __init__(
        self,
        fit_intercept: bool = True,
        solver: str = "gradient",
        mode: str = "stochastic",
        batch_size: int = 32,
        learning_rate: float | None = None,
        momentum: float = 0.0,
        max_iter: int = 20,
        tol: float = 1e-7,
        random_state: Any = None,
    ) -> None:
        super().__init__(fit_intercept, solver, mode, batch_size, learning_rate, momentum, max_iter, tol, random_state)

    def fit(self, X: Any, y: Any) -> Adaline:
        """Learns the weights.

        Args:
            X: (samples, features).
            y: (samples,): labels of two classes.
        """
        X, numbers = two_class_data(self, X, y)
        signs = 2.0 * numbers[:, None] - 1.0
        if self._is_exact():
            coef, intercept = least_squares(torch.from_numpy(X), torch.from_numpy(signs), 0.0, self.fit_intercept)
            self.coef_, self.intercept_, self.n_iter_ = coef.numpy(), intercept.numpy(), 1
        else:
            self.coef_, self.intercept_ = self._descend(X, signs, MeanSquaredError(), curvature=2.0)
        return self
