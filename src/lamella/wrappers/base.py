"""`LamellaEstimator`: what the classifier, the regressor and the transformer have in common."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
from torch.utils import _pytree as pytree

from lamella.engine import random as engine_random
from lamella.errors import ArgumentError, DataError, NotCompiledError
from lamella.models import Model, clone_model
from lamella.wrappers.pickling import EstimatorWithModel, known, own_objects

_DICTS = ("model_kwargs", "fit_kwargs")


class LamellaEstimator(EstimatorWithModel):
    """A model as an estimator of scikit-learn; see the classes made of it.

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
        n_features_in_: The size of the second axis of X.
    """

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: Mapping[str, Any] | None = None,
        fit_kwargs: Mapping[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs
        self.random_state = random_state

    # -- parameters -----------------------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments; with `deep` also the items of the two dicts, as `fit_kwargs__epochs`."""
        params = super().get_params(deep)
        dicts = {name: params[name] for name in _DICTS if deep and isinstance(params[name], Mapping)}
        return params | {f"{name}__{key}": value for name, items in dicts.items() for key, value in items.items()}

    def set_params(self, **params: Any) -> LamellaEstimator:
        """Sets arguments, and items of the two dicts by names such as `fit_kwargs__epochs`."""
        super().set_params(**{name: value for name, value in params.items() if name.partition("__")[0] not in _DICTS})
        for name in _DICTS:
            given = params.get(name, getattr(self, name))
            items = {key.partition("__")[2]: v for key, v in params.items() if key.startswith(f"{name}__")}
            setattr(self, name, {**(given or {}), **items} if items else given)
        return self

    # -- training -------------------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, sample_weight: Any, arguments: dict[str, Any]) -> None:
        """Trains on data that were checked; `y` is what a function as `model` gets."""
        arguments = {"verbose": 0, **self._kept_arguments(), **arguments}
        with _seeded(self.random_state):
            model = self._new_model(X, y)
            if not model.compiled or model.loss is None:
                raise NotCompiledError(
                    f"{type(self).__name__} needs a compiled model with a loss: call compile() before, as in "
                    f"model.compile('adam', 'mse')."
                )
            y = self._targets_for(model, X, y)
            if arguments.get("validation_data") is not None:
                arguments["validation_data"] = self._validation(arguments["validation_data"])
            history = model.fit(X, y, sample_weight=sample_weight, **arguments)
        history.set_model(None)  # the history is kept and pickled; the model is by itself
        self.model_, self.history_ = model, history

    def _targets_for(self, model: Model, X: Any, y: Any) -> Any:
        """The targets in the form that this model's loss takes."""
        return y

    def _validation(self, data: Any) -> Any:
        """Validation data with their targets in the form of those trained on."""
        return data

    def _kept_arguments(self) -> dict[str, Any]:
        kept = dict(self.fit_kwargs or {})
        if "callbacks" in kept:  # they keep the model and its record: a fit may not change the parameters
            kept["callbacks"] = copy.deepcopy(kept["callbacks"])
        return kept

    def _new_model(self, X: Any, y: Any) -> Model:
        if self.warm_start and hasattr(self, "model_"):
            return self.model_
        if not isinstance(self.model, Model):
            return self.model(X=X, y=y, **(self.model_kwargs or {}))
        if self.warm_start:
            return copy.deepcopy(self.model)
        with known(own_objects(self.model)):
            model = clone_model(self.model)
            if self.model.compiled:
                model.compile_from_config(self.model.get_compile_config())
        return model

    def _outputs(self, X: Any) -> np.ndarray:
        """What the trained model computes for X."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, allow_nd=True)
        return only_output(self.model_.predict(X, verbose=0))


def only_output(outputs: Any) -> np.ndarray:
    """The array of a model with one output, also where it stands in a list or dict.

    Raises:
        ArgumentError: The model has several outputs.
    """
    arrays = pytree.tree_leaves(outputs)
    if len(arrays) != 1:
        raise ArgumentError(f"An estimator of scikit-learn has one output; this model has {len(arrays)}.")
    return arrays[0]


def weighted(X: np.ndarray, y: np.ndarray, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Data and their weights without the samples of weight 0, which are to count as if they were not there.

    Raises:
        DataError: No sample has a weight above 0.
    """
    if sample_weight is None:
        return X, y, None
    weights = _check_sample_weight(sample_weight, X, dtype=np.float32, ensure_non_negative=True)
    kept = weights > 0
    if not kept.any():
        raise DataError("All of `sample_weight` is zero: there is nothing to train on.")
    return X[kept], y[kept], weights[kept]


@contextmanager
def _seeded(random_state: Any) -> Iterator[None]:
    """Within it all random numbers follow from `random_state`; after it they go on as if it had not been."""
    if random_state is None:
        yield
        return
    before = random.getstate(), np.random.get_state(), engine_random.seeded
    seed = check_random_state(random_state).randint(2**31 - 1)
    with torch.random.fork_rng():
        engine_random.set_random_seed(int(seed))
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
            engine_random.seeded = before[2]
