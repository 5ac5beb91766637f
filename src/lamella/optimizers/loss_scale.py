"""`LossScaleOptimizer`: keeps float16 gradients from vanishing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from lamella.engine.registry import serialize
from lamella.engine.variable import State
from lamella.errors import ArgumentError
from lamella.optimizers.base import Optimizer, Tensors, registry

_DEFAULTS: dict[str, Any] = {
    "weight_decay": None,
    "clipnorm": None,
    "global_clipnorm": None,
    "clipvalue": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


@registry.register("lossscaleoptimizer")
class LossScaleOptimizer(Optimizer):
    """Multiplies the loss by a scale that adapts: doubled after many good steps, halved at an overflow.

    A step whose gradients are not finite is left out. Looking at them waits for the device once a step.

    Args:
        inner_optimizer: The optimizer that makes the steps.
        initial_scale: The scale at first.
        dynamic_growth_steps: Good steps until the scale is doubled.
        name: A name.

    Source: Micikevicius et al., 2018.

    Example:
        >>> from lamella.optimizers import SGD, LossScaleOptimizer
        >>> LossScaleOptimizer(SGD(0.1)).initial_scale
        32768.0
    """

    def __init__(
        self,
        inner_optimizer: Any,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **options: Any,
    ) -> None:
        if isinstance(inner_optimizer, dict):
            inner_optimizer = registry.get(inner_optimizer)
        if not isinstance(inner_optimizer, Optimizer):
            raise ArgumentError(f"LossScaleOptimizer wraps an optimizer; got {inner_optimizer!r}.")
        # Keras once wrote every argument of Optimizer into this config: at their defaults they are harmless
        misplaced = [key for key, value in options.items() if key not in _DEFAULTS or value != _DEFAULTS[key]]
        if misplaced:
            raise ArgumentError(f"Set {', '.join(misplaced)} on the inner optimizer, not on LossScaleOptimizer.")
        super().__init__(0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        self.dynamic_scale = float(initial_scale)
        self._good_steps = 0
        inner_optimizer.loss_scale_factor = None

    def build(self, variables: Iterable[torch.Tensor]) -> None:
        super().build(variables)
        self.inner_optimizer.build(self._weights)

    @property
    def scales_loss(self) -> bool:
        return True

    def scale_loss(self, loss: torch.Tensor) -> torch.Tensor:
        return loss * self.dynamic_scale

    @torch.no_grad()
    def apply(
        self, grads: Sequence[torch.Tensor | None], trainable_variables: Sequence[torch.Tensor] | None = None
    ) -> None:
        if not self.built and trainable_variables is not None:
            self.build(trainable_variables)
        there = [g for g in grads if g is not None]
        if not there:
            self.inner_optimizer.apply(grads, trainable_variables)  # says what is wrong
            return
        # the largest value, not the Euclidean norm, which overflows in float16 where no gradient does
        finite = bool(torch.isfinite(torch.stack(torch._foreach_norm(there, math.inf))).all())
        if finite:
            unscaled = iter(torch._foreach_div(there, self.dynamic_scale))
            self.inner_optimizer.apply([None if g is None else next(unscaled) for g in grads], trainable_variables)
            self._good_steps += 1
            if self._good_steps == self.dynamic_growth_steps:
                self.dynamic_scale *= 2.0
                self._good_steps = 0
        else:
            self.dynamic_scale /= 2.0
            self._good_steps = 0

    @property
    def iterations(self) -> torch.Tensor:
        """The inner optimizer's: a step that was left out does not count."""
        return self.inner_optimizer.iterations

    @iterations.setter
    def iterations(self, value: Any) -> None:
        self.inner_optimizer.iterations = value

    @property
    def variables(self) -> Tensors:
        """The good steps so far, the scale, and the inner optimizer's."""
        numbers = State(torch.tensor(self._good_steps)), State(torch.tensor(self.dynamic_scale))
        return [*numbers, *self.inner_optimizer.variables]

    def _inner_optimizers(self) -> list[Any]:
        return [self.inner_optimizer]

    def _take_own_numbers(self, values: list[Any]) -> None:
        self._good_steps, self.dynamic_scale = int(values[0]), float(values[1])

    @property
    def learning_rate(self) -> float:
        """The inner optimizer's."""
        return self.inner_optimizer.learning_rate if hasattr(self, "inner_optimizer") else 0.0

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    def finalize_variable_values(self, var_list: Sequence[torch.Tensor]) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    def _scalars(self) -> dict[str, Any]:
        return {"dynamic_scale": self.dynamic_scale, "_good_steps": self._good_steps}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "inner": self.inner_optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.inner_optimizer.load_state_dict(state["inner"])

    def save_own_variables(self, store: Any) -> None:
        # Keras's own step and learning rate of this optimizer, which stay 0, lead its files
        own = [np.array(0), np.float32(0.0), np.array(self._good_steps), np.float32(self.dynamic_scale)]
        inner: dict[str, Any] = {}
        self.inner_optimizer.save_own_variables(inner)
        for i, value in enumerate([*own, *inner.values()]):
            store[str(i)] = value

    def load_own_variables(self, store: Any) -> None:
        if len(store) <= 4:
            return  # Keras saved it before its first step
        self._good_steps = int(np.asarray(store["2"]))
        self.dynamic_scale = float(np.asarray(store["3"]))
        self.inner_optimizer.load_own_variables({str(i): store[str(i + 4)] for i in range(len(store) - 4)})

    def remember(self) -> Callable[[], None]:
        scale, good_steps, restore_inner = self.dynamic_scale, self._good_steps, self.inner_optimizer.remember()

        def restore() -> None:
            self.dynamic_scale, self._good_steps = scale, good_steps
            restore_inner()

        return restore

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "inner_optimizer": serialize(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> LossScaleOptimizer:
        return cls(**{**config, "inner_optimizer": registry.get(config["inner_optimizer"], custom_objects)})
