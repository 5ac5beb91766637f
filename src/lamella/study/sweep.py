"""`sweep`: models of many settings, those that are alike trained at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from lamella.errors import ArgumentError
from lamella.models import Model
from lamella.study.job import Data, Job, as_seeds, begin, check_model, device_of, load, own_random_numbers
from lamella.study.study import Study
from lamella.study.train import train


def sweep(
    build: Callable[..., Model],
    space: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
    x: Any,
    y: Any,
    seeds: int | Sequence[int] = 1,
    epochs: int = 10,
    batch_size: int = 32,
    validation_data: Any = None,
    processes: int | None = None,
) -> Study:
    """Trains a model for each setting and seed.

    Models of equal layers are trained as one computation, whatever their learning rates, initializers, dropout rates,
    L1 and L2 penalties, optimizers and optimizers' settings. Others (another width, another layer) are trained in a
    pool of processes. Each run is what `set_random_seed(seed)`, `build(**settings)` and `fit` would give, to rounding;
    the column `how` of the table says which way it went.

    Args:
        build: Makes a compiled model from the settings, given by name.
        space: By name, the values to try: every combination is one setting. Or a list of settings.
        x: Inputs: arrays (samples, ...), or lists or dicts of them.
        y: Targets, likewise.
        seeds: A number of seeds (0, 1, ...), or a list: each setting is trained with each of them.
        epochs: How many epochs.
        batch_size: Samples in a step.
        validation_data: `(x, y)`: then the loss on them decides which setting is best.
        processes: How many processes train what cannot be trained as one; one for each core by default.

    Raises:
        ArgumentError: An empty space, or a `build` that gives no model.
        NotCompiledError: `build` gives a model that is not compiled.
        DataError: Data that stream, or that `fit` would refuse.

    Example:
        >>> import numpy as np
        >>> from lamella import Input, Sequential, layers, optimizers
        >>> from lamella.study import sweep
        >>> def build(learning_rate, dropout):
        ...     model = Sequential([Input((2,)), layers.Dense(8, "relu"), layers.Dropout(dropout), layers.Dense(1)])
        ...     model.compile(optimizers.Adam(learning_rate), "mse")
        ...     return model
        >>> x = np.random.default_rng(0).normal(size=(64, 2))
        >>> study = sweep(build, {"learning_rate": [0.001, 0.01], "dropout": [0.1, 0.5]}, x, x.sum(1), epochs=2)
        >>> len(study.runs), {run.how for run in study.runs}
        (4, {'at once'})
    """
    every = settings_of(space)
    with own_random_numbers():
        device = device_of(_built(build, every[0]))
    data = load(x, y, batch_size, epochs, validation_data, device)
    return train(make_jobs(build, every, as_seeds(seeds), data), data, processes)


def settings_of(space: Any) -> list[dict[str, Any]]:
    """Every combination of a space by name; a list of settings as it is.

    Raises:
        ArgumentError: Nothing to try, or something else.

    Example:
        >>> settings_of({"rate": [0.1, 1.0], "units": [8]})
        [{'rate': 0.1, 'units': 8}, {'rate': 1.0, 'units': 8}]
    """
    if isinstance(space, Mapping) and all(isinstance(values, (list, tuple)) for values in space.values()):
        found = [dict(zip(space, values, strict=True)) for values in product(*space.values())]
    elif isinstance(space, (list, tuple)) and all(isinstance(each, Mapping) for each in space):
        found = [dict(each) for each in space]
    else:
        raise ArgumentError(
            "`space` must be a dict of lists, such as {'learning_rate': [0.01, 0.1]}, or a list of settings, such as "
            f"[{{'learning_rate': 0.01}}]; got {space!r}."
        )
    if not found or not found[0]:
        raise ArgumentError("`space` has nothing to try: a list in it is empty.")
    return found


def make_jobs(
    build: Callable[..., Model], every: Sequence[Mapping[str, Any]], seeds: Sequence[int], data: Data
) -> list[Job]:
    """A job for each setting and seed."""
    jobs = []
    with own_random_numbers():
        for settings in every:
            for seed in seeds:
                model, stream = begin(seed, lambda settings=settings: _built(build, settings), data)
                jobs.append(Job(dict(settings), seed, model, model.optimizer, stream))
    return jobs


def _built(build: Callable[..., Model], settings: Mapping[str, Any]) -> Model:
    model = build(**settings)
    check_model(model, "sweep(): what `build` returns")
    return model
