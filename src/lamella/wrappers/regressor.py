"""`LamellaRegressor`: a model as a regressor of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import validate_data

from lamella.wrappers.base import LamellaEstimator, weighted


class LamellaRegressor(RegressorMixin, LamellaEstimator):
    """A model as a regressor of scikit-learn, of one target or several.

    Args:
        model: A compiled model, or a function `(X, y, **model_kwargs)` that returns one. Neither is ever changed:
            each `fit` trains a new one. Of a model the weights start afresh, unless `warm_start`. The function gets
            y as (samples, targets), also where there is one.
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
        n_features_in_: The size of the second axis of X.

    Example:
        >>> import lamella, numpy as np
        >>> line = lamella.Sequential([lamella.Input((1,)), lamella.layers.Dense(1)])
        >>> line.compile(lamella.optimizers.SGD(0.5), "mse")
        >>> X = np.linspace(0, 1, 64)[:, None]
        >>> regressor = LamellaRegressor(line, fit_kwargs={"epochs": 60}, random_state=0).fit(X, 3 * X[:, 0] + 1)
        >>> regressor.predict([[2.0]]).round(2)
        array([7.], dtype=float32)
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> LamellaRegressor:
        """Trains a new model (see `warm_start`).

        Args:
            X: (samples, ...): features, or pictures.
            y: (samples,) or (samples, targets): numbers.
            sample_weight: (samples,): samples of weight 0 count as absent.
            **kwargs: Arguments of the model's own `fit`.

        Raises:
            NotCompiledError: The model is not compiled.
        """
        X, y = validate_data(self, X, y, allow_nd=True, multi_output=True, y_numeric=True)
        X, y, weights = weighted(X, y, sample_weight)
        self._is_column = y.ndim == 1
        self._fit(X, y.reshape(len(y), -1).astype(np.float64), weights, kwargs)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The targets: (samples,), or (samples, targets) if y was so."""
        outputs = self._outputs(X)
        return outputs.reshape(-1) if self._is_column else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
