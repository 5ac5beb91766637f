"""Trainings that cannot be one computation: one after the other, in as many processes as there are cores."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from lamella.errors import NonFiniteError
from lamella.study.job import Data, Job, held_by

_work: tuple[Sequence[Job], Data] | None = None


@dataclass
class Alone:
    """What came of one training by itself.

    Attributes:
        before: The loss before training.
        history: A number for each metric and whole epoch.
        fine: How many steps had a finite loss.
        state: The weights and states, in the order of `held_by`.
    """

    before: float
    history: dict[str, list[float]]
    fine: int
    state: list[np.ndarray]


def train_in_pool(jobs: Sequence[Job], data: Data, processes: int | None) -> list[Alone]:
    """Trains each job with the model's own `fit`, each process on one thread.

    Args:
        jobs: The trainings.
        data: What they are trained on.
        processes: How many at a time; by default one for each core.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(processes or available, len(jobs))
    # A forked process needs nothing to be pickled, so models may hold functions that were made in a script; CUDA does
    # not outlive a fork, and neither do the threads that autograd has beside a device of that kind.
    if "fork" in multiprocessing.get_all_start_methods() and not torch.cuda.is_initialized():
        try:
            return _pooled("fork", count, jobs, data)
        except RuntimeError as error:
            if "autograd's threading" not in str(error):
                raise
    return _pooled("spawn", count, jobs, data)


def _pooled(method: str, count: int, jobs: Sequence[Job], data: Data) -> list[Alone]:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(count, context, initializer=_begin, initargs=(jobs, data)) as pool:
        return list(pool.map(_train, range(len(jobs))))


def _begin(jobs: Sequence[Job], data: Data) -> None:
    global _work
    _work = jobs, data
    gc.freeze()  # what a forked process inherits may have threads, which stayed behind: it would wait for them
    torch.set_num_threads(1)


def _train(index: int) -> Alone:
    assert _work is not None
    return train_alone(_work[0][index], _work[1])


def train_alone(job: Job, data: Data) -> Alone:
    """One training by itself, in this process."""
    model = job.fresh_model()
    before = model.test_on_batch(*data.head(), return_dict=True)["loss"]
    torch.set_rng_state(job.stream)
    steps = data.steps * data.epochs
    try:
        model.fit(
            data.x,
            data.y,
            batch_size=data.batch_size,
            epochs=data.epochs,
            validation_data=data.validation,
            validation_batch_size=data.batch_size,
            verbose=0,
        )
    except NonFiniteError:
        steps = int(model.optimizer.iterations)
    state = [tensor.detach().cpu().numpy() for tensor in held_by(model).values()]
    return Alone(before, model.history.history, steps, state)
