"""`ScheduleFreeAdamW`: an average of the weights in place of a learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from lamella.engine.variable import in_this_process
from lamella.optimizers.base import Optimizer, Tensors, registry


@registry.register("schedule_free_adam_w", "schedulefreeadamw")
class ScheduleFreeAdamW(Optimizer):
    """AdamW on a sequence z, whose mean x is what is learnt; the weights are y = (1 - beta_1) z + beta_1 x.

    v follows g^2; z -= rate * g / (sqrt(v / (1 - beta_2^t)) + epsilon); x = (1 - 1/t) x + z / t.

    Args:
        learning_rate: The rate.
        beta_1: The share of the mean in the weights.
        beta_2: How slowly v follows the square of the gradient.
        epsilon: Keeps the denominator from zero.
        warmup_steps: The rate grows from 0 over so many steps.
        **options: As for every optimizer: `weight_decay`, `clipnorm`, `use_ema`, ...

    Source: Defazio et al., 2024.

    Example:
        >>> import torch
        >>> from lamella.optimizers import ScheduleFreeAdamW
        >>> w = torch.nn.Parameter(torch.tensor([1.0]))
        >>> ScheduleFreeAdamW(0.1).apply([torch.tensor([5.0])], [w])
        >>> w.detach()
        tensor([0.9000])
    """

    by_element = True

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.warmup_steps = warmup_steps

    def slot_values(self) -> dict[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}

    @torch.no_grad()
    def build(self, variables: Iterable[torch.Tensor]) -> None:
        super().build(variables)
        if self._weights:
            torch._foreach_copy_(in_this_process(self._slots["momentum"]), in_this_process(self._weights))

    def update(self, weights: Tensors, gradients: Tensors, rate: float, momentum: Tensors, velocity: Tensors) -> None:
        t = self._updates() + 1
        if self.warmup_steps > 0:
            rate *= min(t / self.warmup_steps, 1.0)
        torch._foreach_mul_(velocity, self.beta_2)
        torch._foreach_addcmul_(velocity, gradients, gradients, value=1 - self.beta_2)
        scale = torch._foreach_sqrt(velocity)
        torch._foreach_div_(scale, math.sqrt(1 - self.beta_2**t))
        torch._foreach_add_(scale, self.epsilon)
        # beta_1 x = y - (1 - beta_1) z, and the new y = (1 - beta_1) z' + beta_1 ((1 - 1/t) x + z' / t)
        torch._foreach_add_(weights, momentum, alpha=self.beta_1 - 1)
        torch._foreach_mul_(weights, 1 - 1 / t)
        torch._foreach_addcdiv_(momentum, gradients, scale, value=-rate)
        torch._foreach_add_(weights, momentum, alpha=1 - self.beta_1 + self.beta_1 / t)
