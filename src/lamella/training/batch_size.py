"""Batch sizes by measuring: the one that trains quickest, and the largest that fits into memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lamella.data.plain_values import random_state, set_random_state
from lamella.engine.batches import length, rows
from lamella.engine.device import device_of
from lamella.engine.kernels import best_matmul
from lamella.errors import ArgumentError, OutOfMemoryError
from lamella.training.callbacks import training_state
from lamella.training.preparation import prepare, source_of

SMALLEST = 32
GAIN = 1.15
"""A doubled batch must take so many times as many samples a second to be worth its fewer updates."""
UPDATES = 16
"""The fewest updates an epoch that a batch size found may leave."""


def measured_batch_size(model: Any, arrays: tuple[Any, ...], class_weight: Any, batch_size: str, verbose: int) -> int:
    """What `fit(batch_size="auto")` trains with, told where `verbose`; no other string is a batch size."""
    if batch_size != "auto":
        raise ArgumentError(f"`batch_size` must be a whole number or 'auto'; got {batch_size!r}.")

    def source(size: int) -> Any:
        return source_of(model, *arrays, batch_size=size, class_weight=class_weight)

    first, device = source(SMALLEST), device_of(model)
    if first.num_samples is None:
        raise ArgumentError("`batch_size` goes with arrays: data that come in batches make them themselves.")
    prepare(model, first, training=True)
    model._train_function = model._make_train_function()
    with best_matmul(device, model.precision):
        found = quickest_batch_size(model, lambda size: source(size).peek(), first.num_samples, device)
    if verbose:
        print(f"batch_size='auto': {found}")
    return found


def quickest_batch_size(model: Any, batch_of: Callable[[int], Any], samples: int, device: torch.device) -> int:
    """The smallest batch that is nearly as quick, sample for sample, as all that fit.

    Sizes are doubled from 32 on, and real steps are made and taken back: weights, optimizer and random generators are
    afterwards as they were.

    Args:
        model: A compiled model whose training function is made.
        batch_of: From a size to a batch `(x, y, weight)` of it.
        samples: How many there are.
        device: Where the model is.
    """
    size, speed = min(SMALLEST, samples), 0.0
    with _taken_back(model):
        while True:
            before = _used(device)
            try:
                found = size / _seconds(model, batch_of(size), device)
            except RuntimeError as error:
                if is_out_of_memory(error) and speed:
                    return size // 2
                raise
            if speed and found < GAIN * speed:
                return size // 2
            speed, grown = found, _used(device) - before
            if 2 * size * UPDATES > samples or 2 * grown > 0.8 * _free(device):
                return size
            size *= 2


def too_large(model: Any, batch: Any, device: torch.device, error: RuntimeError) -> OutOfMemoryError:
    """The error for a batch that does not fit, with the size of the largest that does, found by trying."""
    size = length(batch)
    low, high = 0, size
    with _taken_back(model):
        while high - low > max(1, high // 16):
            middle = (low + high) // 2
            if device.type == "cuda":
                torch.cuda.empty_cache()
            try:
                model._train_function(*rows(batch, slice(middle)))
                low = middle
            except RuntimeError as failure:
                if not is_out_of_memory(failure):
                    raise
                high = middle
    mend = (
        f"The largest that does, found by trying, has {low}: batch_size={low}; with an optimizer's "
        f"gradient_accumulation_steps={-(-size // low)} it makes the same updates."
        if low
        else "Not even one sample does: the model is too large for this device."
    )
    return OutOfMemoryError(
        f"A batch of {size} samples does not fit into the memory of {device}. {mend} "
        f"compile(rematerialize=True) trains larger ones in the same memory. ({str(error).splitlines()[0]})"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch says that memory ran out."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


class _taken_back:
    """Steps made within it leave nothing behind: weights, optimizer, metrics and generators are put back."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __enter__(self) -> None:
        self.state = training_state.model_state(self.model)
        self.random = random_state()
        self.generators = training_state.generator_states(self.model)
        self.model.train()

    def __exit__(self, *exception: Any) -> None:
        self.model.eval()
        training_state.set_model_state(self.model, self.state, "memory")
        self.model.reset_metrics()
        set_random_state(self.random)
        training_state.set_generator_states(self.model, self.generators)


def _seconds(model: Any, batch: Any, device: torch.device) -> float:
    """The time of one step: the best of three, after one to warm up."""
    best = float("inf")
    for turn in range(4):
        begun = time.perf_counter()
        model._train_function(*batch)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if turn:
            best = min(best, time.perf_counter() - begun)
    return best


def _used(device: torch.device) -> int:
    """Bytes that this process has in use."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0


def _free(device: torch.device) -> float:
    """Bytes that can still be had, as far as the system tells."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return float("inf")
