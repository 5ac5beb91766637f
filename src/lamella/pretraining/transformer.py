"""`AutoencoderTransformer`: an autoencoder as a step of a pipeline of scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from lamella.errors import ArgumentError
from lamella.models import clone_model
from lamella.pretraining.autoencoder import Autoencoder
from lamella.pretraining.variational import VariationalAutoencoder
from lamella.wrappers.pickling import EstimatorWithModel


class AutoencoderTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, EstimatorWithModel):
    """A transformer of scikit-learn: `fit` trains an autoencoder, `transform` gives its codes (the means of a
    variational one), `inverse_transform` decodes them.

    For the codes of an autoencoder that is trained already: `lamella.vision.FeatureExtractor(autoencoder.encoder, -1)`.

    Args:
        model: A compiled autoencoder of `lamella.pretraining`. It is never changed: each `fit` trains a new one, from
            fresh weights.
        fit_kwargs: Arguments of the model's own `fit` (`epochs`, `batch_size`, ...). Nothing is printed unless
            `verbose` is given.

    Attributes:
        model_: The trained autoencoder.
        history_: What its `fit` returned.

    Example:
        >>> import numpy as np
        >>> from lamella.pretraining import Autoencoder
        >>> autoencoder = Autoencoder.dense(6, units=(8, 2))
        >>> autoencoder.compile("adam")
        >>> AutoencoderTransformer(autoencoder, fit_kwargs={"epochs": 2}).fit_transform(np.random.rand(20, 6)).shape
        (20, 2)
    """

    def __init__(
        self, model: Autoencoder | VariationalAutoencoder, fit_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        self.model = model
        self.fit_kwargs = fit_kwargs

    def fit(self, X: Any, y: Any = None) -> AutoencoderTransformer:
        """Trains a new autoencoder on X (samples, ...); `y` is not looked at.

        Raises:
            ArgumentError: A model that is no autoencoder, or is not compiled.
        """
        if not isinstance(self.model, (Autoencoder, VariationalAutoencoder)) or not self.model.compiled:
            raise ArgumentError(f"AutoencoderTransformer takes a compiled autoencoder; got {self.model!r}.")
        X = validate_data(self, X, allow_nd=True, dtype=np.float32)
        model = clone_model(self.model)
        model.compile_from_config(self.model.get_compile_config())
        self.history_ = model.fit(X, **{"verbose": 0, **(self.fit_kwargs or {})})
        self.history_.set_model(None)  # the history is pickled, the model by itself
        self.model_ = model
        self._n_features_out = self._codes(X[:1]).shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The codes, laid flat: (samples, codes)."""
        check_is_fitted(self)
        return self._codes(validate_data(self, X, reset=False, allow_nd=True, dtype=np.float32))

    def inverse_transform(self, codes: Any) -> np.ndarray:
        """What the codes stand for, in the shape of X."""
        check_is_fitted(self)
        shape = self.model_.decoder.input_shape[1:]
        decoded = self.model_.decoder.predict(np.asarray(codes, np.float32).reshape(-1, *shape), verbose=0)
        if isinstance(self.model_, VariationalAutoencoder):
            return self.model_.expected(torch.from_numpy(decoded)).numpy()
        return decoded

    def _codes(self, X: np.ndarray) -> np.ndarray:
        return self.model_.feature_model.predict(X, verbose=0).reshape(len(X), -1)
