"""`ensemble`: many copies of one model, each from its own seed, trained at once and asked together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella.models import Model
from lamella.study.job import Job, as_seeds, begin, check_model, device_of, load, own_random_numbers
from lamella.study.learning_rates import compiled_clone
from lamella.study.study import Study
from lamella.study.train import train


class Ensemble:
    """Trained models of one kind, whose mean is the prediction.

    Attributes:
        study: How they were trained.
        models: The models.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.models: list[Model] = [run.model() for run in study.runs]

    def predict_each(self, x: Any, batch_size: int = 32) -> np.ndarray:
        """The outputs of each model, (models, samples, ...): where they differ, the ensemble is unsure."""
        return np.stack([model.predict(x, batch_size=batch_size, verbose=0) for model in self.models])

    def predict(self, x: Any, batch_size: int = 32) -> np.ndarray:
        """The mean of the models' outputs, (samples, ...)."""
        return self.predict_each(x, batch_size).mean(0)


def ensemble(
    model: Any,
    n: int | Sequence[int],
    x: Any,
    y: Any,
    epochs: int = 10,
    batch_size: int = 32,
    validation_data: Any = None,
    processes: int | None = None,
) -> Ensemble:
    """Trains `n` copies of a model, each from its own seed, as one computation where that is possible.

    Args:
        model: A compiled model with one output; copies begin with fresh weights.
        n: How many copies (seeds 0, 1, ...), or a list of seeds.
        x: Inputs: arrays (samples, ...), or lists or dicts of them.
        y: Targets, likewise.
        epochs: How many epochs.
        batch_size: Samples in a step.
        validation_data: `(x, y)`.
        processes: Where the model cannot be trained as one, how many processes train it; one for each core by default.

    Raises:
        NotCompiledError: A model without optimizer and loss.
        DataError: Data that stream, or that `fit` would refuse.

    Source: Lakshminarayanan et al., Simple and scalable predictive uncertainty estimation using deep ensembles, 2017.

    Example:
        >>> import numpy as np
        >>> from lamella import Input, Sequential, layers
        >>> from lamella.study import ensemble
        >>> model = Sequential([Input((2,)), layers.Dense(4, "tanh"), layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 2))
        >>> ensemble(model, 5, x, x.sum(1), epochs=2).predict_each(x).shape
        (5, 64, 1)
    """
    check_model(model, "ensemble(): `model`")
    data = load(x, y, batch_size, epochs, validation_data, device_of(model))
    jobs = []
    with own_random_numbers():
        for seed in as_seeds(n):
            copy, stream = begin(seed, lambda: compiled_clone(model, data.x), data)
            jobs.append(Job({}, seed, copy, copy.optimizer, stream))
    return Ensemble(train(jobs, data, processes))
