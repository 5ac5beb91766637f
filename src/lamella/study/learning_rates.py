"""`learning_rates`: one model trained with many learning rates, all at once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella.errors import ArgumentError
from lamella.models import Model, clone_model
from lamella.study.job import Data, Job, as_seeds, begin, check_model, device_of, load, own_random_numbers
from lamella.study.study import Study
from lamella.study.train import train


def learning_rates(
    model: Any,
    x: Any,
    y: Any,
    values: Sequence[float] | None = None,
    seeds: int | Sequence[int] = 3,
    epochs: int = 10,
    batch_size: int = 32,
    validation_data: Any = None,
    processes: int | None = None,
) -> Study:
    """Trains the same model with many learning rates, as one computation where that is possible.

    Each run is what `set_random_seed(seed)`, a new model and `fit` with this rate would give, to rounding: with the
    same weights to start from, order of samples and dropout masks. The model itself is not changed.

    Args:
        model: A compiled model; runs begin with fresh weights, not with those it has.
        x: Inputs: arrays (samples, ...), or lists or dicts of them.
        y: Targets, likewise.
        values: The rates; by default 16 from 1e-5 to 10.
        seeds: A number of seeds (0, 1, ...), or a list: each rate is trained with each of them.
        epochs: How many epochs.
        batch_size: Samples in a step.
        validation_data: `(x, y)`: then the loss on them decides which rate is best.
        processes: Where the model cannot be trained as one, how many processes train it; one for each core by default.

    Raises:
        NotCompiledError: A model without optimizer and loss.
        ArgumentError: Rates or seeds that cannot be; an optimizer that follows a schedule.
        DataError: Data that stream, or that `fit` would refuse.

    Example:
        >>> import numpy as np
        >>> from lamella import Input, Sequential, layers
        >>> from lamella.study import learning_rates
        >>> model = Sequential([Input((2,)), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 2))
        >>> study = learning_rates(model, x, x @ [1.0, -2.0], [0.001, 0.1, 10.0], seeds=2, epochs=5)
        >>> study.best, study.edge()
        ({'learning_rate': 0.1}, 10.0)
    """
    check_model(model, "learning_rates(): `model`")
    rates = [float(rate) for rate in (np.logspace(-5, 1, 16) if values is None else values)]
    if not rates or not all(rate > 0 and np.isfinite(rate) for rate in rates):
        raise ArgumentError(f"`values` must be learning rates above 0; got {rates}.")
    if not isinstance(model.optimizer.get_config().get("learning_rate"), (int, float)):
        raise ArgumentError(
            "The model's optimizer follows a schedule, so its learning rate cannot be set. compile() it with a number, "
            "or use sweep() with a function that makes the schedule."
        )
    data = load(x, y, batch_size, epochs, validation_data, device_of(model))
    with own_random_numbers():
        jobs = [job for seed in as_seeds(seeds) for job in _jobs_of_a_seed(model, seed, rates, data)]
    return train(jobs, data, processes)


def _jobs_of_a_seed(model: Model, seed: int, rates: Sequence[float], data: Data) -> list[Job]:
    fresh, stream = begin(seed, lambda: compiled_clone(model, data.x), data)
    jobs = []
    for rate in rates:
        optimizer = copy.copy(fresh.optimizer)
        optimizer.learning_rate = rate
        jobs.append(Job({"learning_rate": rate}, seed, fresh, optimizer, stream))
    return jobs


def compiled_clone(model: Model, x: Any) -> Model:
    """A model like this one, compiled like it, with fresh weights."""
    fresh = copy.deepcopy(model)
    fresh.optimizer.iterations = 0
    if model.built:
        clone = clone_model(model)
        if not clone.built:
            with torch.no_grad():
                clone(pytree.tree_map(lambda part: part[:1], x))
        fresh.set_weights(clone.get_weights())
    return fresh
