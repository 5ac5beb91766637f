"""`MultilayerPerceptron`: layers of neurons, as a classifier and as a regressor of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import train_test_split

from lamella.callbacks import Callback, EarlyStopping
from lamella.errors import ArgumentError
from lamella.layers import Dense, Input
from lamella.models import Model, Sequential
from lamella.neurons.checks import at_least, classification_data, features, regression_data
from lamella.optimizers import Adam
from lamella.wrappers import LamellaClassifier, LamellaRegressor


class LayeredEstimator(BaseEstimator):
    """The arguments of a multilayer perceptron, its network and its training."""

    trained_: LamellaClassifier | LamellaRegressor

    def __init__(
        self,
        hidden_units: Sequence[int] = (100,),
        activation: Any = "relu",
        learning_rate: float = 1e-3,
        batch_size: int = 32,
        max_iter: int = 200,
        validation_fraction: float | None = None,
        patience: int = 10,
        random_state: Any = None,
    ) -> None:
        self.hidden_units = hidden_units
        self.activation = activation
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state

    @property
    def model_(self) -> Model:
        """The trained `Sequential`."""
        return self.trained_.model_

    @property
    def history_(self) -> Any:
        """What its `fit` returned: `history_.history["loss"]`."""
        return self.trained_.history_

    def _train(self, kind: Any, X: np.ndarray, y: np.ndarray, last: str | None, loss: str) -> None:
        """Trains a network that ends with `last` on `loss`, within a `LamellaClassifier` or `LamellaRegressor`."""
        at_least(self, batch_size=1, max_iter=1, patience=0)
        units = [self.hidden_units] if isinstance(self.hidden_units, int) else list(self.hidden_units)
        if any(not isinstance(number, (int, np.integer)) or number < 1 for number in units):
            raise ArgumentError(
                f"{type(self).__name__}: `hidden_units` is how many neurons each hidden layer has, as in (100, 50); "
                f"got {self.hidden_units!r}."
            )

        def network(X: Any, y: Any) -> Model:
            hidden = [Dense(number, self.activation) for number in units]
            model = Sequential([Input(X.shape[1:]), *hidden, Dense(y.shape[1], last)])
            model.compile(Adam(self.learning_rate), loss)
            return model

        arguments: dict[str, Any] = {"epochs": int(self.max_iter), "batch_size": int(self.batch_size)}
        callbacks: list[Callback] = []
        if self.validation_fraction is not None:
            X, X_kept, y, y_kept = train_test_split(
                X,
                y,
                test_size=self.validation_fraction,
                stratify=y if kind is LamellaClassifier else None,
                random_state=self.random_state,
            )
            arguments["validation_data"] = (
                X_kept,
                y_kept.reshape(len(y_kept), -1) if kind is LamellaRegressor else y_kept,
            )
            callbacks = [EarlyStopping("val_loss", patience=self.patience, restore_best_weights=True)]
        trained = kind(network, random_state=self.random_state)
        trained.fit(X, y, **arguments, callbacks=callbacks)
        trained.model = None  # a function made here would not be pickled
        self.trained_, self.n_iter_ = trained, len(trained.history_.epoch)


class MultilayerPerceptron(ClassifierMixin, LayeredEstimator):
    """A classifier of layers of neurons; what one neuron cannot tell apart (exclusive or), two layers can.

    Args:
        hidden_units: How many neurons each hidden layer has.
        activation: Theirs.
        learning_rate: Of Adam.
        batch_size: Samples in one step.
        max_iter: The most epochs.
        validation_fraction: A share of the samples on which training is watched: it stops where their loss has not
            fallen for `patience` epochs, and the best weights are kept. None trains on all, for `max_iter` epochs.
        patience: See there.
        random_state: A seed; by default all follows `lamella.utils.set_random_seed`.

    Standardise the inputs (`sklearn.preprocessing.StandardScaler`).

    Attributes:
        model_: The trained `Sequential`.
        history_: Its losses: `history_.history["loss"]`.
        classes_: The labels, sorted.
        n_iter_: The number of epochs.
        n_features_in_: The number of features.

    Raises:
        DataError: NaN or infinity (with its row), or a single class.
        ArgumentError: Numbers out of range.

    Source: Rumelhart, Hinton and Williams, 1986.

    Example:
        >>> xor = MultilayerPerceptron((8,), "tanh", learning_rate=0.1, max_iter=100, random_state=0)
        >>> xor.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]).predict([[0, 1], [1, 1]])
        array([1, 0])
    """

    def fit(self, X: Any, y: Any) -> MultilayerPerceptron:
        """Trains a new network.

        Args:
            X: (samples, features).
            y: (samples,): labels.
        """
        X, numbers = classification_data(self, X, y)
        self._train(LamellaClassifier, X, numbers, "softmax", "categorical_crossentropy")
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class: (samples, classes), in the order of `classes_`."""
        X = features(self, X)
        probabilities = self.trained_.predict_proba(X).astype(np.float64)
        return probabilities / probabilities.sum(1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label of each sample: (samples,)."""
        best = self.predict_proba(X).argmax(1)
        return self.classes_[best]


class MultilayerPerceptronRegressor(RegressorMixin, LayeredEstimator):
    """A regressor of layers of neurons; it makes the mean squared error small.

    Args:
        hidden_units: How many neurons each hidden layer has.
        activation: Theirs.
        learning_rate: Of Adam.
        batch_size: Samples in one step.
        max_iter: The most epochs.
        validation_fraction: A share of the samples on which training is watched: it stops where their loss has not
            fallen for `patience` epochs, and the best weights are kept. None trains on all, for `max_iter` epochs.
        patience: See there.
        random_state: A seed; by default all follows `lamella.utils.set_random_seed`.

    Standardise the inputs, and targets that are far from 0 or 1 in size
    (`sklearn.compose.TransformedTargetRegressor`).

    Attributes:
        model_: The trained `Sequential`.
        history_: Its losses: `history_.history["loss"]`.
        n_iter_: The number of epochs.
        n_features_in_: The number of features.

    Raises:
        DataError: NaN or infinity, with its row.
        ArgumentError: Numbers out of range.

    Source: Rumelhart, Hinton and Williams, 1986.

    Example:
        >>> X = np.linspace(-1, 1, 64)[:, None]
        >>> curve = MultilayerPerceptronRegressor((16,), learning_rate=0.03, max_iter=60, random_state=0)
        >>> curve.fit(X, np.abs(X[:, 0])).score(X, np.abs(X[:, 0])) > 0.95
        True
    """

    def fit(self, X: Any, y: Any) -> MultilayerPerceptronRegressor:
        """Trains a new network.

        Args:
            X: (samples, features).
            y: (samples,) or (samples, targets).
        """
        X, y = regression_data(self, X, y)
        self._train(LamellaRegressor, X, y, None, "mse")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """What the network gives: (samples,), or (samples, targets)."""
        X = features(self, X)
        return self.trained_.predict(X).astype(np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
