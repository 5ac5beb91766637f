"""Optimizers for stacked weights (copies, *shape): each copy with a rate, a decay and settings of its own.

The formulas stay where they are, in `lamella.optimizers`. Most optimizers change a weight by the rate times a direction
that neither the rate nor the weight has a part in. So copies whose settings are otherwise equal share one optimizer of
rate 1, which moves zeros instead of weights: what becomes of the zeros is the direction of each copy.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch

from lamella import optimizers
from lamella.optimizers import Optimizer

Gradients = Sequence[torch.Tensor | None]

_SEPARABLE = (
    optimizers.SGD,
    optimizers.Adam,
    optimizers.AdamW,
    optimizers.Adamax,
    optimizers.Nadam,
    optimizers.Adagrad,
    optimizers.Adadelta,
    optimizers.RMSprop,
    optimizers.Lion,
)
"""Those that change a weight by the rate times a direction."""

_OTHERS = (optimizers.Lamb, optimizers.Ftrl, optimizers.Adafactor)
"""Those that look at weights or rates in other ways; each copy has one of its own."""

_APART = ("clipnorm", "global_clipnorm", "use_ema", "gradient_accumulation_steps", "loss_scale_factor")
"""Options that mix the numbers of a weight, or keep a copy of it."""


def refusal(optimizer: Any) -> str | None:
    """Why copies cannot be trained together with this optimizer, in words; None if they can."""
    if type(optimizer) not in _SEPARABLE + _OTHERS:
        return f"the optimizer {type(optimizer).__name__} is not known to treat each weight by itself"
    if optimizer.loss_scale_factor is not None:
        return "the optimizer scales the loss"
    if vars(optimizer).get("_undecayed_names") or vars(optimizer).get("_undecayed_weights"):
        return "the optimizer leaves some weights out of weight decay"
    return None


def settings(optimizer: Optimizer) -> str:
    """A text that is equal for optimizers that can share one: all but rate and decay, unless it depends on them."""
    config = optimizer.get_config()
    config.pop("name")
    if _is_separable(optimizer):
        config.pop("learning_rate")
        config["weight_decay"] = config["weight_decay"] is not None
    return json.dumps([type(optimizer).__name__, config], sort_keys=True, default=repr)


def _is_separable(optimizer: Optimizer) -> bool:
    config = optimizer.get_config()
    follows_schedule = not isinstance(config["learning_rate"], float)
    return type(optimizer) in _SEPARABLE and not follows_schedule and not any(config[name] for name in _APART)


class StackedOptimizer:
    """The optimizers of all copies. Copies with equal `settings` should stand side by side: each such row is one call.

    Args:
        members: The optimizer of each copy; they are not used themselves.
        stacked: The weights, each (copies, *shape). Changed in place.
    """

    def __init__(self, members: Sequence[Optimizer], stacked: Sequence[torch.Tensor]) -> None:
        self.parts: list[tuple[slice, _Shared | _Own]] = []
        start = 0
        for _, row in groupby(members, settings):
            group = list(row)
            if _is_separable(group[0]):
                where = slice(start, start + len(group))
                self.parts.append((where, _Shared(group, [weight[where] for weight in stacked])))
            else:
                for i, member in enumerate(group, start):
                    self.parts.append((slice(i, i + 1), _Own(member, [weight[i] for weight in stacked])))
            start += len(group)
        self.whole = len(self.parts) == 1

    def apply(self, gradients: Gradients) -> None:
        """One step of all copies."""
        for where, part in self.parts:
            own = gradients if self.whole else [None if g is None else g[where] for g in gradients]
            part.apply(own)

    def finish(self) -> None:
        """What is to be done when training ends: weights become their averages, where there are such."""
        for _, part in self.parts:
            part.finish()


class _Shared:
    """Copies that differ in rate and decay: w <- (1 - decay * rate) w + rate * direction."""

    def __init__(self, members: Sequence[Optimizer], weights: list[torch.Tensor]) -> None:
        first = members[0]
        self.weights = weights
        self.direction = [torch.zeros_like(weight) for weight in weights]
        decays = first.weight_decay is not None
        config = {**first.get_config(), "learning_rate": 1.0}
        if decays:
            config["weight_decay"] = 0.0
        self.optimizer = type(first).from_config(config)
        self.optimizer.build(self.direction)
        rates = [float(member.learning_rate) for member in members]
        self.rates = self._by_copy(rates)
        kept = [1.0 - (member.weight_decay or 0.0) * rate for member, rate in zip(members, rates, strict=True)]
        self.kept = self._by_copy(kept) if decays else None

    def _by_copy(self, values: list[float]) -> list[torch.Tensor]:
        """A number for each copy, as tensors that go with each weight."""
        return [
            torch.tensor(values, dtype=w.dtype, device=w.device).view(-1, *[1] * (w.ndim - 1)) for w in self.weights
        ]

    def apply(self, gradients: Gradients) -> None:
        torch._foreach_zero_(self.direction)
        self.optimizer.apply(gradients)
        if self.kept is not None:
            torch._foreach_mul_(self.weights, self.kept)
        torch._foreach_addcmul_(self.weights, self.direction, self.rates)

    def finish(self) -> None:
        pass


class _Own:
    """One copy with an optimizer of its own."""

    def __init__(self, member: Optimizer, weights: list[torch.Tensor]) -> None:
        self.weights = weights
        self.optimizer = copy.deepcopy(member)
        self.optimizer.build(weights)

    def apply(self, gradients: Gradients) -> None:
        self.optimizer.apply([None if g is None else g[0] for g in gradients])

    def finish(self) -> None:
        self.optimizer.finalize_variable_values(self.weights)
