"""`LamellaTransformer`: a model as a transformer of scikit-learn (no Transformer of attention)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import validate_data

from lamella.wrappers.base import LamellaEstimator, weighted


class LamellaTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, LamellaEstimator):
    """A model as a transformer of scikit-learn: `transform` gives the model's outputs.

    To give what a layer inside a trained model computes, see `lamella.vision.FeatureExtractor`.

    Args:
        model: A compiled model, or a function `(X, y, **model_kwargs)` that returns one. Neither is ever changed:
            each `fit` trains a new one. Of a model the weights start afresh, unless `warm_start`. The function gets
            y as (samples, targets).
        warm_start: Whether training goes on from the weights there are: at the first `fit` those of `model`, later
            those of the last `fit`.
        model_kwargs: Further arguments of `model`, if it is a function.
        fit_kwargs: Arguments of the model's own `fit` (`epochs`, `batch_size`, `callbacks`, ...). Those given to
            this `fit` win. Callbacks are copied for each fit. Nothing is printed unless `verbose` is given.
        random_state: A seed, for fits that can be repeated; the random numbers elsewhere are left alone.

    Attributes:
        model_: The trained model.
        history_: What its `fit` returned: `history_.history["loss"]`.
        n_features_in_: The size of the second axis of X.

    Example:
        >>> import lamella, numpy as np
        >>> def network(X, y):
        ...     model = lamella.Sequential([lamella.Input(X.shape[1:]), lamella.layers.Dense(y.shape[1])])
        ...     model.compile("sgd", "mse")
        ...     return model
        >>> LamellaTransformer(network).fit_transform(np.ones((6, 4)), np.ones((6, 2))).shape
        (6, 2)
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> LamellaTransformer:
        """Trains a new model (see `warm_start`).

        Args:
            X: (samples, ...): features, or pictures.
            y: (samples,) or (samples, targets): numbers; without them the target is X itself, as for an autoencoder.
            sample_weight: (samples,): samples of weight 0 count as absent.
            **kwargs: Arguments of the model's own `fit`.

        Raises:
            NotCompiledError: The model is not compiled.
        """
        if y is None:
            X = y = validate_data(self, X, allow_nd=True)
        else:
            X, y = validate_data(self, X, y, allow_nd=True, multi_output=True, y_numeric=True)
        X, y, weights = weighted(X, y, sample_weight)
        self._fit(X, y[:, None] if y.ndim == 1 else y, weights, kwargs)
        self._n_features_out = int(np.prod(self._outputs(X[:1]).shape[1:]))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The model's outputs."""
        return self._outputs(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
