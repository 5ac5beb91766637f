"""`Perceptron`: the first neuron that learns."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from lamella.neurons.checks import at_least, two_class_data
from lamella.neurons.linear_classifier import TwoClassLinear


class NotSeparableWarning(ConvergenceWarning):
    """A perceptron could not, within its bound, find a line that separates the two classes."""


class Perceptron(TwoClassLinear):
    """Rosenblatt's perceptron: it learns from its mistakes, one at a time, and stops when it makes none.

    Samples are looked at in their order, again and again. With y = +1 for the second of the two classes and -1 for the
    first:

        where y (w x + b) <= 0:   w <- w + y x,   b <- b + y

    and nothing happens where a sample is right. Weights start at 0, so a learning rate would only scale them: there is
    none. If some line separates the classes with a margin g, and all |(x, 1)| <= R, it makes at most (R / g)^2
    mistakes (Novikoff, 1962). If none does, it never stops: then it warns after `max_iter` epochs, or as soon as
    an epoch ends with weights that an earlier one ended with, which proves that it goes in a circle.

    Args:
        max_iter: The most epochs (passes over the samples).
        keep_trace: Whether to keep the weights after each mistake as `trace_`.

    Attributes:
        coef_: (1, features): the weights w.
        intercept_: (1,): b.
        classes_: (2,): the labels, sorted.
        converged_: Whether the last epoch was without mistakes.
        n_iter_: How many epochs there were, the last one with them.
        mistakes_: (mistakes,): the rows that were mistaken, in order; each changed the weights once.
        trace_: (mistakes + 1, features + 1): weights and intercept, from zeros on; only with `keep_trace`.
        n_features_in_: The number of features.

    Warns:
        NotSeparableWarning: The classes are not linearly separable, or by less than `max_iter` epochs can find.

    Raises:
        DataError: NaN or infinity (with its row), or labels that are not two classes.

    Source: Rosenblatt, 1958.

    Example:
        >>> neuron = Perceptron().fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1])
        >>> neuron.predict([[1, 1], [1, 0]]), neuron.converged_
        (array([1, 0]), True)
        >>> neuron.coef_, neuron.intercept_
        (array([[3., 2.]]), array([-4.]))
    """

    def __init__(self, max_iter: int = 1000, keep_trace: bool = False) -> None:
        self.max_iter = max_iter
        self.keep_trace = keep_trace

    def fit(self, X: Any, y: Any) -> Perceptron:
        """Learns until an epoch is without mistakes.

        Args:
            X: (samples, features).
            y: (samples,): labels of two classes.
        """
        at_least(self, max_iter=1)
        X, numbers = two_class_data(self, X, y)
        signs = torch.from_numpy(2.0 * numbers - 1.0)
        rows = torch.cat([torch.from_numpy(X), torch.ones(len(X), 1, dtype=torch.float64)], 1) * signs.unsqueeze(1)
        weights = rows.new_zeros(rows.shape[1])
        trace, ends = [weights], {_bits(weights): 0}
        mistakes: list[int] = []
        self.converged_ = False
        for epoch in range(1, int(self.max_iter) + 1):
            before = len(mistakes)
            row = _next_mistake(rows, weights, 0)
            while row < len(rows):
                weights = weights + rows[row]
                mistakes.append(row)
                if self.keep_trace:
                    trace.append(weights)
                row = _next_mistake(rows, weights, row + 1)
            self.n_iter_ = epoch
            self.converged_ = len(mistakes) == before
            repeats = ends.setdefault(_bits(weights), epoch)
            if self.converged_ or repeats < epoch:
                break
        self.coef_, self.intercept_ = weights[:-1].numpy()[None].copy(), weights[-1:].numpy().copy()
        self.mistakes_ = np.array(mistakes, np.int64)
        if self.keep_trace:
            self.trace_ = torch.stack(trace).numpy()
        if not self.converged_:
            self._warn(len(mistakes) - before, repeats)
        return self

    def _warn(self, mistakes: int, repeats: int) -> None:
        if repeats < self.n_iter_:
            told = (
                f"after epoch {self.n_iter_} the weights are again those after epoch {repeats}, so they go in a circle "
                f"for ever: the classes are not linearly separable"
            )
        else:
            told = (
                f"there were still {mistakes} mistakes in epoch {self.n_iter_}, the last one: the classes are not "
                f"linearly separable, or by a margin so small that it takes more epochs (max_iter)"
            )
        warnings.warn(
            f"Perceptron: {told}. LogisticRegression finds the best line there is; MultilayerPerceptron draws curves.",
            NotSeparableWarning,
            stacklevel=3,
        )

    def plot_line(self, X: Any, y: Any, axes: Any = None) -> Any:
        """Draws the samples of two features and the line w x + b = 0; needs matplotlib.

        Args:
            X: (samples, 2).
            y: (samples,): their labels.
            axes: Where to draw (matplotlib's axes); new ones by default.

        Returns:
            The axes.

        Raises:
            ShapeError: Other than two features.
        """
        from lamella.neurons.plots import plot_line

        return plot_line(self, X, y, axes)


def _next_mistake(rows: torch.Tensor, weights: torch.Tensor, start: int) -> int:
    """The first row from `start` on that is not on its side of the line; the number of rows if all are.

    A window that grows as long as it finds nothing: near mistakes cost little, far ones few products.
    """
    width = 16
    while start < len(rows):
        wrong = (rows[start : start + width] @ weights <= 0).nonzero()
        if len(wrong):
            return start + int(wrong[0])
        start, width = start + width, 2 * width
    return len(rows)


def _bits(weights: torch.Tensor) -> bytes:
    return (weights + 0.0).numpy().tobytes()  # -0.0 and 0.0 are the same weights
