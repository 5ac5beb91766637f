"""`LamellaClassifier`: a model as a classifier of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from lamella.errors import ArgumentError, DataError
from lamella.losses import as_loss
from lamella.models import Model
from lamella.wrappers.base import LamellaEstimator, only_output, weighted


class LamellaClassifier(ClassifierMixin, LamellaEstimator):
    """A model as a classifier of scikit-learn.

    Labels may be of any kind (strings, numbers). The model has one output for each class, or a single one for two
    classes. It is trained on one-hot targets (samples, classes), on class numbers where its loss is a sparse one, or
    on 0 and 1 for a single output; a function as `model` gets y one-hot.

    Args:
        model: A compiled model, or a function `(X, y, **model_kwargs)` that returns one. Neither is ever changed:
            each `fit` trains a new one. Of a model the weights start afresh, unless `warm_start`.
        warm_start: Whether training goes on from the weights there are: at the first `fit` those of `model`, later
            those of the last `fit`.
        model_kwargs: Further arguments of `model`, if it is a function.
        fit_kwargs: Arguments of the model's own `fit` (`epochs`, `batch_size`, `callbacks`, ...). Those given to
            this `fit` win. Callbacks are copied for each fit. Nothing is printed unless `verbose` is given.
        random_state: A seed, for fits that can be repeated; the random numbers elsewhere are left alone.

    The items of both dicts are parameters too, for a grid search: `fit_kwargs__epochs`, `model_kwargs__units`.

    Attributes:
        model_: The trained model.
        history_: What its `fit` returned: `history_.history["loss"]`.
        classes_: The labels, sorted.
        n_features_in_: The size of the second axis of X.

    Example:
        >>> import lamella
        >>> from sklearn.datasets import load_iris
        >>> def network(X, y, units=16):
        ...     layers = [lamella.layers.Dense(units, "relu"), lamella.layers.Dense(y.shape[1], "softmax")]
        ...     model = lamella.Sequential([lamella.Input(X.shape[1:]), *layers])
        ...     model.compile(lamella.optimizers.Adam(0.03), "categorical_crossentropy")
        ...     return model
        >>> X, y = load_iris(return_X_y=True)
        >>> classifier = LamellaClassifier(network, fit_kwargs={"epochs": 30}, random_state=0).fit(X, y)
        >>> classifier.score(X, y) > 0.9
        True
    """

    classes_: np.ndarray

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> LamellaClassifier:
        """Trains a new model (see `warm_start`).

        Args:
            X: (samples, ...): features, or pictures.
            y: (samples,): labels.
            sample_weight: (samples,): samples of weight 0 count as absent.
            **kwargs: Arguments of the model's own `fit`.

        Raises:
            ArgumentError: A model with another number of outputs than there are classes.
            DataError: Only one class.
            NotCompiledError: The model is not compiled.
        """
        X, y = validate_data(self, X, y, allow_nd=True)
        check_classification_targets(y)
        X, y, weights = weighted(X, column_or_1d(y, warn=True), sample_weight)
        classes = np.unique(y)
        if len(classes) < 2:
            raise DataError(f"{type(self).__name__}: only one class is present, {classes[0]!r}; there must be two.")
        if self.warm_start and hasattr(self, "model_") and not np.array_equal(classes, self.classes_):
            raise DataError(
                f"{type(self).__name__}: with `warm_start`, the classes must stay {self.classes_.tolist()}; "
                f"got {classes.tolist()}."
            )
        self.classes_ = classes
        self._fit(X, self._one_hot(y), weights, kwargs)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label of each sample: (samples,)."""
        best = self._scores(X).argmax(1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class: (samples, classes), in the order of `classes_`.

        Raises:
            ArgumentError: The model's outputs are no probabilities.
        """
        scores = self._scores(X)
        if self._from_logits:
            scores = np.exp(scores - scores.max(1, keepdims=True))
        elif scores.min() < 0 or scores.max() > 1.0001:
            raise ArgumentError(
                f"{type(self).__name__}: the model's outputs are no probabilities, they go from {scores.min():.3g} to "
                f"{scores.max():.3g}. End the model with a softmax or sigmoid, or give its loss from_logits=True."
            )
        return scores / scores.sum(1, keepdims=True).clip(1e-300)

    def decision_function(self, X: Any) -> np.ndarray:
        """The model's outputs (samples, classes); for two classes (samples,), above 0 for the second one."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    # -- between labels and what the model knows ------------------------------------------------------------

    def _one_hot(self, y: np.ndarray) -> np.ndarray:
        return (np.asarray(y)[:, None] == self.classes_).astype(np.float32)

    def _targets_for(self, model: Model, X: Any, y: np.ndarray) -> np.ndarray:
        loss = as_loss(model.loss)
        self._from_logits = bool(getattr(loss, "from_logits", False))
        self._sparse = "sparse" in loss.name
        self._outputs_of_model = only_output(model.predict_on_batch(X[:1])).shape[-1]
        if self._outputs_of_model != len(self.classes_) and (self._outputs_of_model, len(self.classes_)) != (1, 2):
            raise ArgumentError(
                f"{type(self).__name__}: there are {len(self.classes_)} classes, but the model has "
                f"{self._outputs_of_model} outputs. Make it by a function (X, y): y has a column for each class."
            )
        return self._as_targets(y)

    def _as_targets(self, one_hot: np.ndarray) -> np.ndarray:
        if self._sparse:
            return one_hot.argmax(1)
        return one_hot[:, 1:] if self._outputs_of_model == 1 else one_hot

    def _validation(self, data: Any) -> Any:
        x, y, *weights = data
        return (x, self._as_targets(self._one_hot(column_or_1d(y))), *weights)

    def _scores(self, X: Any) -> np.ndarray:
        """The outputs as a column for each class, in float64."""
        check_is_fitted(self)
        outputs = self._outputs(X).astype(np.float64).reshape(-1, self._outputs_of_model)
        if self._outputs_of_model > 1:
            return outputs
        other = np.zeros_like(outputs) if self._from_logits else 1 - outputs
        return np.concatenate([other, outputs], 1)
