"""Linear models as networks of one layer: `Sequential([Dense])`, trained by gradient descent."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from lamella.callbacks import Callback
from lamella.layers import Dense, Input
from lamella.models import Model, Sequential
from lamella.neurons.checks import at_least, one_of
from lamella.optimizers import SGD
from lamella.regularizers import L2
from lamella.wrappers import LamellaRegressor


class OneLayer(BaseEstimator):
    """The arguments of every linear model here, and its descent.

    Args:
        fit_intercept: Whether there is an intercept.
        solver: `"exact"` (in closed form, or to the minimum by second derivatives) or `"gradient"` (a Lamella model,
            kept as `model_`, trained by `fit`).
        mode: How the gradient is taken: `"batch"` (of all samples), `"stochastic"` (of one) or `"mini_batch"`.
        batch_size: Samples of a mini-batch.
        learning_rate: Of the gradient; by default 1 / L, see `steepest`.
        momentum: Nesterov's; 0.9 and more makes batch mode many times as fast.
        max_iter: The most epochs, or iterations of the exact solver where it iterates.
        tol: Descent stops after an epoch in which no weight moved by more than this share of the largest.
        random_state: A seed for the order of the samples.
    """

    def __init__(
        self,
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
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.mode = mode
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    @property
    def model_(self) -> Model | None:
        """The trained `Sequential` of one `Dense`; None if the solver was exact."""
        return self.descent_.model_ if self.descent_ is not None else None

    @property
    def history_(self) -> Any:
        """What its `fit` returned: `history_.history["loss"]`; None if the solver was exact."""
        return self.descent_.history_ if self.descent_ is not None else None

    def _is_exact(self) -> bool:
        """Whether to solve exactly; checks the arguments."""
        one_of(self, "mode", ("batch", "stochastic", "mini_batch"))
        at_least(self, batch_size=1, max_iter=1, momentum=0, tol=0)
        self.descent_: LamellaRegressor | None = None
        return one_of(self, "solver", ("exact", "gradient")) == "exact"

    def _descend(
        self, X: np.ndarray, Y: np.ndarray, loss: Any, curvature: float, decay: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Minimises the mean loss of X W + b against Y, plus decay * |W|^2.

        Args:
            X: (samples, features), float64.
            Y: (samples, outputs).
            loss: Lamella's loss.
            curvature: The most that the loss of one sample curves along an output.
            decay: Of the weights, not of the intercept.

        Returns:
            `coef_` (outputs, features) and `intercept_` (outputs,).
        """
        size = {"batch": len(X), "stochastic": 1, "mini_batch": min(self.batch_size, len(X))}[self.mode]
        rate = self.learning_rate or 1 / (
            curvature * steepest(torch.from_numpy(X), size, self.fit_intercept) + 2 * decay
        )

        def one_layer(X: Any, y: Any) -> Model:
            dense = Dense(
                y.shape[1],
                use_bias=self.fit_intercept,
                kernel_initializer="zeros",
                kernel_regularizer=L2(decay) if decay else None,
                dtype="float64",
            )
            model = Sequential([Input(X.shape[1:], dtype="float64"), dense])
            model.compile(SGD(rate, momentum=self.momentum, nesterov=self.momentum > 0), loss)
            return model

        calm = Calm(self.tol)
        descent = LamellaRegressor(one_layer, random_state=self.random_state)
        descent.fit(X, Y, epochs=int(self.max_iter), batch_size=size, callbacks=[calm])
        descent.model = None  # type: ignore[assignment]  # a function made here would not be pickled
        self.descent_, self.n_iter_ = descent, len(descent.history_.epoch)
        if self.mode == "batch" and calm.moved > self.tol:
            warnings.warn(
                f"{type(self).__name__}: after {self.n_iter_} epochs a weight still moves by {calm.moved:.1e} of the "
                f"largest. Standardise the inputs (sklearn.preprocessing.StandardScaler), raise `momentum` or "
                f"`max_iter`, or take solver='exact'.",
                ConvergenceWarning,
                stacklevel=3,
            )
        kernel, *bias = descent.model_.get_weights()
        return np.ascontiguousarray(kernel.T), bias[0] if bias else np.zeros(kernel.shape[1])


class Calm(Callback):
    """Stops training after an epoch in which no weight moved by more than `tol` times the largest one."""

    def __init__(self, tol: float) -> None:
        super().__init__()
        self.tol = tol
        self.moved = float("inf")

    def on_train_begin(self, logs: Any = None) -> None:
        self.before = self._weights()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compares the weights with those of an epoch before; this waits for the device."""
        now = self._weights()
        self.moved = float((now - self.before).abs().max() / now.abs().max().clamp(min=1e-300))
        self.before = now
        if self.moved <= self.tol:
            self.model.stop_training = True

    def _weights(self) -> torch.Tensor:
        return torch.cat([weight.detach().flatten() for weight in self.model.trainable_weights])


def steepest(X: torch.Tensor, batch_size: int, intercept: bool) -> float:
    """How much the mean of (x w)^2 / 2 over a batch can curve, expected over batches.

        L = n (b - 1) / (b (n - 1)) * (largest eigenvalue of X^T X / n) + (n - b) / (b (n - 1)) * (largest |x|^2)

    of n samples, b in a batch. Steps of 1 / L are the largest that are sure not to leave the minimum behind: all
    samples at once are as steep as their covariance, one alone as steep as the longest of them.

    Args:
        X: (samples, features).
        batch_size: b.
        intercept: Whether each sample has a further feature of 1.

    Source: Gower et al., 2019 (expected smoothness of sampling without replacement).

    Example:
        >>> X = torch.tensor([[1.0], [3.0]])
        >>> [round(steepest(X, b, intercept=False), 4) for b in (1, 2)]
        [9.0, 5.0]
    """
    if intercept:
        X = torch.cat([X, X.new_ones(len(X), 1)], 1)
    n, b = len(X), batch_size
    together = float(torch.linalg.matrix_norm(X, 2) ** 2 / n)
    alone = float(X.square().sum(1).max())
    if n == 1:
        return max(alone, 1e-12)
    return max(n * (b - 1) / (b * (n - 1)) * together + (n - b) / (b * (n - 1)) * alone, 1e-12)
