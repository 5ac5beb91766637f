"""`FeatureExtractor`: what a layer of a network computes, as a step of a pipeline of scikit-learn."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from torch import nn

from lamella.vision.features import extract_features
from lamella.wrappers.pickling import EstimatorWithModel


class FeatureExtractor(ClassNamePrefixFeaturesOutMixin, TransformerMixin, EstimatorWithModel):
    """`extract_features` as a transformer of scikit-learn: for pipelines. It learns nothing when fitted.

    Args:
        model: As for `extract_features`.
        layer: Its name or its index, as for `extract_features`.
        batch_size: Pictures in one batch.
        pooling: `"avg"`, `"max"` or None; features are laid flat, (pictures, features), in any case.

    Example:
        >>> import lamella, numpy as np
        >>> from lamella.layers import Conv2D, Dense, Flatten
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.pipeline import make_pipeline
        >>> model = lamella.Sequential([lamella.Input((8, 8, 1)), Conv2D(4, 3), Flatten(), Dense(10)])
        >>> images, labels = np.random.rand(6, 8, 8, 1), ["cat", "dog"] * 3
        >>> make_pipeline(FeatureExtractor(model), LogisticRegression()).fit(images, labels).predict(images).shape
        (6,)
    """

    def __init__(
        self,
        model: nn.Module,
        layer: str | int | None = None,
        batch_size: int = 32,
        pooling: str | None = None,
    ) -> None:
        self.model = model
        self.layer = layer
        self.batch_size = batch_size
        self.pooling = pooling

    def fit(self, X: Any, y: Any = None) -> FeatureExtractor:
        """Finds how many features there are, from the first picture; an unknown layer is refused here."""
        self._n_features_out = self._features(X[:1]).shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The features: (pictures, features)."""
        return self._features(X)

    def _features(self, X: Any) -> np.ndarray:
        features = extract_features(self.model, self.layer, X, self.batch_size, self.pooling)
        return features.reshape(len(features), -1)

    def __sklearn_clone__(self) -> FeatureExtractor:
        """One more, not fitted, that shares the network: it is never changed, and may be large."""
        twin = copy.copy(self)
        twin._n_features_out = None
        return twin

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        return tags
