"""`Probe`: a few samples on which the doctor looks at a model, at moments between its steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree

from lamella import layers
from lamella.data.arrays import part
from lamella.doctor.reading import Reading, forget, read, watched_layers
from lamella.engine.batches import spread

_MOST_WEIGHTS = 10_000_000
"""With more, no step is tried: it would need a copy of the weights and of the optimizer's slots."""
_ROUNDED = 1e-5
"""Steps shorter than this, relative to the weights, lose more than a hundredth of their length to float32."""
_NORMALIZES_BATCHES = (layers.BatchNormalization, torch.nn.modules.batchnorm._BatchNorm)
_SAMPLES, _FEWEST, _MOST_NUMBERS = (96, 256), 8, 1 << 18
_SHARE = 1 / 300
"""Looks at samples at the start and at the end, each with a step, cost about 3 times what training on them does."""


@dataclass(frozen=True)
class Trial:
    """What one step of the optimizer did to the loss on the samples that its gradient came from; it was taken back.

    Attributes:
        before: The loss before it.
        after: The loss after it.
        times: How many times as long a step would have lowered the loss most; 1 where longer ones were not tried.
        best: The loss after that one.
        ratio: The greatest size of a kernel's change, relative to the kernel.
        layer: The layer of that kernel.
    """

    before: float
    after: float
    times: float
    best: float
    ratio: float
    layer: str


@dataclass(frozen=True)
class Look:
    """What one look shows.

    Attributes:
        reading: The layers.
        given: What the first layer with a kernel was given; None if no floats.
        prediction: The model's output.
        trial: Of a step; None where none was tried.
    """

    reading: Reading
    given: torch.Tensor | None
    prediction: Any
    trial: Trial | None


class Probe:
    """Looks at a model on a few samples; leaves weights, states and random numbers as they were.

    Dropout is off, batch normalization uses the batch (its averages are put back).

    Args:
        model: A compiled model that has its weights.
        batch: `(x, y, sample_weight)`; see `sample`.
    """

    def __init__(self, model: Any, batch: tuple[Any, Any, Any]) -> None:
        self.model = model
        self.x, self.y, self.weight = batch
        self.watched = watched_layers(model)

    def look(self, epoch: int, step: bool = False, stuck: float = math.inf) -> Look:
        """Looks at the layers, and tries a step if asked to.

        Args:
            epoch: After how many epochs.
            step: Whether one step of the optimizer is tried.
            stuck: From which loss on steps that are 10, 100, ... times as long are tried, too.
        """
        weights = self.model.trainable_weights
        with self._as_it_was():
            with ExitStack() as hooks:
                for each in self.watched:
                    hooks.enter_context(_removed(each.module.register_forward_hook(each.hook, with_kwargs=True)))
                prediction, loss = self._forward()
            gradients = torch.autograd.grad(loss, weights, allow_unused=True)
            by_id = {id(weight): gradient for weight, gradient in zip(weights, gradients, strict=True)}
            reading = read(self.watched, by_id, prediction, epoch, loss)
            first = next((each for each in self.watched if each.kernels and each.seen), None)
            given = None if first is None or first.input is None else first.input.detach()
            forget(self.watched)
            prediction = pytree.tree_map_only(torch.Tensor, torch.Tensor.detach, prediction)
            longer = reading.loss >= stuck
            trial = self._trial(loss.detach(), gradients, longer) if step and self._may_try() else None
        return Look(reading, given, prediction, trial)

    def _may_try(self) -> bool:
        """Whether to try a step tells something and does not cost too much."""
        optimizer = self.model.optimizer
        steps = getattr(optimizer, "gradient_accumulation_steps", None)
        size = sum(weight.numel() for weight in self.model.trainable_weights)
        return not (steps or optimizer.scales_loss or size > _MOST_WEIGHTS)

    def _trial(self, loss: torch.Tensor, gradients: Sequence[torch.Tensor | None], longer: bool) -> Trial:
        weights = self.model.trainable_weights
        restore = self.model.optimizer.remember()
        filled = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, gradients, strict=True)]
        before = [weight.detach().clone() for weight in weights]
        with torch.no_grad():
            try:
                change = self._step(filled, before)
                losses = [loss, self._forward()[1]]
                ratios = _ratios(change, before)
                if longer and max(ratios) < _ROUNDED:
                    restore()
                    change = self._step(filled, [torch.zeros_like(weight) for weight in before])
                    ratios = _ratios(change, before)
                lengths = _lengths(max(ratios)) if longer else [1.0]
                for times in lengths[1:]:
                    for weight, old, moved in zip(weights, before, change, strict=True):
                        weight.copy_(old + times * moved)
                    losses.append(self._forward()[1])
            finally:
                for weight, old in zip(weights, before, strict=True):
                    weight.copy_(old)
                restore()
            now, *tried = torch.stack(losses).float().tolist()
        widest = max(range(len(ratios)), key=ratios.__getitem__)
        best, times = min(
            (math.inf if math.isnan(value) else value, length) for value, length in zip(tried, lengths, strict=True)
        )
        return Trial(now, tried[0], times, best, ratios[widest], self._owner(weights[widest]))

    def _step(self, gradients: Sequence[torch.Tensor], start: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Takes a step of the optimizer from these weights; by how much it changed them."""
        weights = self.model.trainable_weights
        for weight, old in zip(weights, start, strict=True):
            weight.copy_(old)
        self.model.optimizer.apply(gradients, weights)
        return [weight - old for weight, old in zip(weights, start, strict=True)]

    def _forward(self) -> tuple[Any, torch.Tensor]:
        prediction = self.model(self.x)
        return prediction, self.model.compute_loss(self.x, self.y, prediction, self.weight)

    def _owner(self, weight: torch.Tensor) -> str:
        return next((each.name for each in self.watched if any(weight is own for own in each.kernels)), "")

    @contextmanager
    def _as_it_was(self) -> Iterator[None]:
        modules = list(self.model.modules())
        modes = [module.training for module in modules]
        batch_norms = [module for module in modules if isinstance(module, _NORMALIZES_BATCHES)]
        averages = [weight for module in batch_norms for weight in module.parameters() if not weight.requires_grad]
        states = [(state, state.clone()) for state in (*self.model.buffers(), *averages)]
        self.model.eval()
        for module in batch_norms:
            module.train()
        try:
            yield
        finally:
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode
            with torch.no_grad():
                for state, before in states:
                    state.copy_(before)


def _ratios(change: Sequence[torch.Tensor], before: Sequence[torch.Tensor]) -> list[float]:
    """The size of each kernel's change, relative to the kernel; 0 for a bias, and for a kernel of zeros."""
    sizes = [
        moved.norm() / old.norm() if old.ndim > 1 else old.new_zeros(())
        for moved, old in zip(change, before, strict=True)
    ]
    return [ratio if math.isfinite(ratio) else 0.0 for ratio in torch.stack(sizes).float().tolist()]


def _lengths(ratio: float) -> list[float]:
    """1, 10, 100, ... times a step of this relative size, up to one that is as large as the weights."""
    return [10.0**i for i in range(max(7, 1 + math.ceil(-math.log10(ratio))) if ratio else 7)]


@contextmanager
def _removed(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


def sample(source: Any, epochs: int = 1, most: int | None = None) -> tuple[Any, Any, Any]:
    """Samples from all over the data, `(x, y, sample_weight)`; of a stream, its first batch.

    Args:
        source: What `fit` trains on.
        epochs: How often it goes over them.
        most: How many; by default so many as are cheap to compute with, in a training of that length.
    """
    x, y, weight = source.peek()
    count = source.num_samples
    if count is None or not hasattr(source, "x"):
        return x, y, weight
    if most is None:
        features = sum(math.prod(leaf.shape[1:]) for leaf in pytree.tree_leaves(x))
        most = min(max(_SAMPLES[0], int(_SHARE * count * epochs)), _SAMPLES[1])
        most = min(most, max(_FEWEST, _MOST_NUMBERS // features))
    rows = spread(count, most)
    parts = source.x, source.y, source.weight

    def picked(leaf: Any, like: Any) -> Any:
        found = part(leaf, rows)
        return found.to(like.device, like.dtype) if isinstance(found, torch.Tensor) else found

    found = [
        each if each is None else pytree.tree_map(picked, each, like)
        for each, like in zip(parts, (x, y, weight), strict=True)
    ]
    return found[0], found[1], found[2]
