"""Trains the jobs of a study: what is alike together, the rest in a pool of processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from lamella.models import Model
from lamella.study.job import Data, Job, own_random_numbers
from lamella.study.likeness import likeness, numbers
from lamella.study.pool import train_in_pool
from lamella.study.stack import Stack
from lamella.study.stacked_optimizers import refusal, settings
from lamella.study.study import Run, Study

AT_ONCE = "at once"


def train(jobs: Sequence[Job], data: Data, processes: int | None = None) -> Study:
    """Trains all jobs; the runs come in their order.

    Args:
        jobs: What to train.
        data: The data that all are trained on.
        processes: For those that cannot be trained together, how many at a time; by default one for each core.

    Raises:
        LamellaError: What `fit` would raise for data that do not fit a model.
    """
    started = time.perf_counter()
    runs: dict[int, Run] = {}
    with own_random_numbers():
        for model in {id(job.model): job.model for job in jobs}.values():
            model.evaluate(data.x, data.y, batch_size=data.batch_size, steps=1, verbose=0)  # refuses wrong data
        alone: dict[int, str] = {}
        for places in _alike(jobs, range(len(jobs)), _by_likeness(jobs)):
            _train_stack(jobs, places, data, runs, alone)
        if alone:
            found = train_in_pool([jobs[i] for i in alone], data, processes)
            for (i, reason), one in zip(alone.items(), found, strict=True):
                state = [torch.from_numpy(value) for value in one.state]
                how = f"in a pool of processes: {reason}"
                runs[i] = Run(jobs[i], one.before, one.history, one.fine, state, how, data)
    return Study([runs[i] for i in range(len(jobs))], time.perf_counter() - started)


def _alike(jobs: Sequence[Job], places: Sequence[int], key: Callable[[int], Any]) -> list[list[int]]:
    """The places of jobs with equal keys; within a group, those with equal optimizers side by side."""
    groups: dict[Any, list[int]] = {}
    for i in places:
        groups.setdefault(key(i), []).append(i)
    known = [None if refusal(job.optimizer) else settings(job.optimizer) for job in jobs]
    return [sorted(group, key=lambda i: (known[i] or "", i)) for group in groups.values()]


def _by_likeness(jobs: Sequence[Job]) -> Callable[[int], str]:
    found = {id(job.model): likeness(job.model) for job in jobs}
    return lambda i: found[id(jobs[i].model)]


def _train_stack(
    jobs: Sequence[Job], places: list[int], data: Data, runs: dict[int, Run], alone: dict[int, str]
) -> None:
    """Trains these together if that gives what each gives alone; else says in `alone` why not."""
    reasons = {i: _refusal(jobs[i]) for i in places}
    alone |= {i: reason for i, reason in reasons.items() if reason}
    places = [i for i in places if not reasons[i]]
    if len(places) < 2:
        alone |= dict.fromkeys(places, "no other model here is like it")
        return
    members = [jobs[i] for i in places]
    tried = Stack(members, data)
    reason = tried.difference()
    if reason is not None:
        finer = _alike(jobs, places, lambda i: str(numbers(jobs[i].model)))
        if len(finer) > 1:  # perhaps they can if dropout rates and penalties are equal, too
            for each in finer:
                _train_stack(jobs, each, data, runs, alone)
        else:
            alone |= dict.fromkeys(places, reason)
        return
    stack = Stack(members, data, draws=tried.streams.needed)
    trained = stack.train()
    for row, i in enumerate(places):
        history = {name: [float(epoch[name][row]) for epoch in trained.epochs] for name in trained.epochs[0]}
        before, fine = float(trained.before[row]), int(trained.fine[row])
        runs[i] = Run(jobs[i], before, history, fine, stack.state(row), AT_ONCE, data)


def _refusal(job: Job) -> str | None:
    """Why this job must be trained by itself, in words, as far as that can be told without trying."""
    model = job.model
    if type(model).train_step is not Model.train_step:
        return "the model has a train_step of its own"
    if type(model).compute_metrics is not Model.compute_metrics:
        return "the model has a compute_metrics of its own"
    if len(getattr(model, "output_names", None) or ()) > 1:
        return "the model has several outputs"
    if model.jit_compile:
        return "the model is compiled by torch"
    for layer in model.modules():
        held = vars(layer)
        if any(name.endswith("_constraint") and value is not None for name, value in held.items()):
            return f"the layer {held.get('name')!r} has a constraint"
        if held.get("stateful"):
            return f"the layer {held.get('name')!r} keeps a state from batch to batch"
        policy: Any = getattr(layer, "dtype_policy", None)
        if policy is not None and policy.name.startswith("mixed"):
            return f"the layer {held.get('name')!r} computes in mixed precision"
    return refusal(job.optimizer)
