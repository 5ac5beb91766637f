"""One training of a study: a model ready to be trained, and the random numbers that it will see."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from lamella.data.adapters import make_source
from lamella.data.array_source import ArraySource
from lamella.errors import ArgumentError, DataError, NotCompiledError
from lamella.models import Model
from lamella.optimizers import Optimizer
from lamella.utils import set_random_seed


@dataclass
class Job:
    """One training to do.

    Attributes:
        settings: What distinguishes it, by name.
        seed: Its seed.
        model: Built and compiled, with the weights to start from. Jobs may share one; it is never changed.
        optimizer: Its own optimizer, not used yet.
        stream: The state of torch's generator from which the training goes on.
    """

    settings: dict[str, Any]
    seed: int
    model: Model
    optimizer: Optimizer
    stream: torch.Tensor

    def fresh_model(self) -> Model:
        """A model of its own, with its own optimizer, ready for `fit`."""
        model = copy.deepcopy(self.model)
        model.optimizer = copy.deepcopy(self.optimizer)
        return model


@dataclass
class Data:
    """What all trainings of a study share: tensors, and how they are gone through."""

    x: Any
    y: Any
    count: int
    batch_size: int
    epochs: int
    validation: tuple[Any, Any] | None

    @property
    def steps(self) -> int:
        """The steps in an epoch."""
        return -(-self.count // self.batch_size)

    def head(self) -> tuple[Any, Any]:
        """The first samples: enough of them to see how large a loss is."""
        return tuple(pytree.tree_map(lambda part: part[:512], side) for side in (self.x, self.y))  # type: ignore


def load(x: Any, y: Any, batch_size: int, epochs: int, validation_data: Any, device: torch.device) -> Data:
    """The data of a study as tensors.

    Raises:
        DataError: Data that stream, or that cannot be trained on.
        ArgumentError: Numbers of epochs or validation data that cannot be.
    """
    if isinstance(epochs, bool) or not hasattr(epochs, "__index__") or epochs < 1:
        raise ArgumentError(f"`epochs` must be a whole number, 1 or more; got {epochs!r}.")
    source = _arrays(x, y, batch_size, device)
    validation = None
    if validation_data is not None:
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
            raise ArgumentError("`validation_data` must be a pair (x, y) of arrays.")
        held_out = _arrays(validation_data[0], validation_data[1], batch_size, device)
        validation = held_out.x, held_out.y
    assert source.num_samples is not None
    return Data(source.x, source.y, source.num_samples, source.batch_size, int(epochs), validation)


def _arrays(x: Any, y: Any, batch_size: int, device: torch.device) -> ArraySource:
    source = None if y is None else make_source(x, y, batch_size=batch_size, device=device)
    if not isinstance(source, ArraySource):
        raise DataError(
            "A study trains many models on the same samples, so it needs x and y as arrays; got "
            f"{type(x).__name__} and {type(y).__name__}. Collect the stream into arrays first."
        )
    return source


def check_model(model: Any, what: str) -> None:
    """Refuses what cannot be trained.

    Raises:
        ArgumentError: No model of Lamella.
        NotCompiledError: A model without optimizer and loss.
    """
    if not isinstance(model, Model):
        raise ArgumentError(f"{what} must be a model of Lamella; got {type(model).__name__}.")
    if not model.compiled:
        raise NotCompiledError(f"{what} must know its optimizer and its loss: call compile() first.")


def device_of(model: Model) -> torch.device:
    """Where a model's weights are; the CPU while it has none."""
    weight = next(model.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device


def as_seeds(seeds: int | Sequence[int]) -> list[int]:
    """A number of seeds as 0, 1, ...; a list as it is.

    Raises:
        ArgumentError: None at all, or something that is no seed.

    Example:
        >>> as_seeds(3), as_seeds([7, 8])
        ([0, 1, 2], [7, 8])
    """
    found = list(range(seeds)) if isinstance(seeds, int) and not isinstance(seeds, bool) else seeds
    if not isinstance(found, (list, tuple, range, np.ndarray)) or not len(found):
        raise ArgumentError(f"`seeds` must be a number of seeds, 1 or more, or a list of them; got {seeds!r}.")
    return [int(seed) for seed in found]


def begin(seed: int, make: Any, data: Data) -> tuple[Model, torch.Tensor]:
    """The model that `make` makes from this seed, with its weights, and the random numbers that follow.

    The order of draws is that of `set_random_seed(seed); model = make(); model.fit(...)`.
    """
    set_random_seed(seed)
    model = make()
    if not model.built:
        with torch.no_grad():
            model(pytree.tree_map(lambda part: part[:1], data.x))
    return model, torch.get_rng_state()


def held_by(model: nn.Module) -> dict[str, torch.Tensor]:
    """All that a model holds: weights and other states, by name. Models that are alike hold the same in one order."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


@contextmanager
def own_random_numbers() -> Iterator[None]:
    """What is drawn within it leaves the generators of Python, NumPy and torch as they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
