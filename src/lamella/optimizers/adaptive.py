"""Optimizers that scale steps by past squared gradients: Adagrad, Adadelta, RMSprop, Ftrl, Adafactor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.optimizers.base import Optimizer, Tensors, as_slot, registry


@registry.register("adagrad")
class Adagrad(Optimizer):
    """s += g^2; w -= rate * g / sqrt(s + epsilon) (Duchi et al., 2011).

    Example:
        >>> from lamella.optimizers import Adagrad
        >>> Adagrad().initial_accumulator_value
        0.1
    """

    by_element = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def slot_values(self) -> dict[str, float]:
        return {"accumulator": self.initial_accumulator_value}

    def update(self, weights: Tensors, gradients: Tensors, rate: float, accumulator: Tensors) -> None:
        torch._foreach_addcmul_(accumulator, gradients, gradients, value=1.0)
        scale = torch._foreach_add(accumulator, self.epsilon)
        torch._foreach_sqrt_(scale)
        torch._foreach_addcdiv_(weights, gradients, scale, value=-rate)


@registry.register("adadelta")
class Adadelta(Optimizer):
    """Steps as large as past steps were, relative to past gradients (Zeiler, 2012).

    Example:
        >>> from lamella.optimizers import Adadelta
        >>> Adadelta().rho
        0.95
    """

    by_element = True

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.rho = rho
        self.epsilon = epsilon

    def slot_values(self) -> dict[str, float]:
        return {"accumulated_grad": 0.0, "accumulated_delta": 0.0}

    def update(
        self,
        weights: Tensors,
        gradients: Tensors,
        rate: float,
        accumulated_grad: Tensors,
        accumulated_delta: Tensors,
    ) -> None:
        torch._foreach_mul_(accumulated_grad, self.rho)
        torch._foreach_addcmul_(accumulated_grad, gradients, gradients, value=1 - self.rho)
        step = self._root(accumulated_delta)
        torch._foreach_mul_(step, gradients)
        torch._foreach_div_(step, self._root(accumulated_grad))
        torch._foreach_mul_(accumulated_delta, self.rho)
        torch._foreach_addcmul_(accumulated_delta, step, step, value=1 - self.rho)
        torch._foreach_add_(weights, step, alpha=-rate)

    def _root(self, squares: Tensors) -> Tensors:
        root = list(torch._foreach_add(squares, self.epsilon))
        torch._foreach_sqrt_(root)
        return root


@registry.register("rmsprop")
class RMSprop(Optimizer):
    """v follows g^2; w -= rate * g / sqrt(v + epsilon) (Tieleman and Hinton, 2012).

    Args:
        learning_rate: The rate.
        rho: How slowly v follows.
        momentum: The share of the last step that goes into the next one.
        epsilon: Keeps the denominator from zero.
        centered: Whether v is the variance rather than the mean square.
        **options: As for every optimizer.

    Example:
        >>> from lamella.optimizers import RMSprop
        >>> RMSprop().rho
        0.9
    """

    by_element = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def slot_values(self) -> dict[str, float]:
        slots = {"velocity": 0.0}
        if self.momentum > 0:
            slots["steps"] = 0.0
        if self.centered:
            slots["average"] = 0.0
        return slots

    def kept_together(self) -> list[tuple[str, ...]]:
        return [("velocity",), ("steps",), ("average",)]

    def update(
        self,
        weights: Tensors,
        gradients: Tensors,
        rate: float,
        velocity: Tensors,
        steps: Tensors | None = None,
        average: Tensors | None = None,
    ) -> None:
        torch._foreach_mul_(velocity, self.rho)
        torch._foreach_addcmul_(velocity, gradients, gradients, value=1 - self.rho)
        scale = torch._foreach_add(velocity, self.epsilon)
        if average is not None:
            torch._foreach_mul_(average, self.rho)
            torch._foreach_add_(average, gradients, alpha=1 - self.rho)
            torch._foreach_addcmul_(scale, average, average, value=-1.0)
        torch._foreach_sqrt_(scale)
        if steps is None:
            torch._foreach_addcdiv_(weights, gradients, scale, value=-rate)
            return
        torch._foreach_mul_(steps, self.momentum)
        torch._foreach_addcdiv_(steps, gradients, scale, value=rate)
        torch._foreach_sub_(weights, steps)


@registry.register("ftrl")
class Ftrl(Optimizer):
    """Follow the regularized leader: exact zeros under an L1 penalty (McMahan et al., 2013).

    Args:
        learning_rate: The rate.
        learning_rate_power: The rate falls with the accumulated square to this power.
        initial_accumulator_value: What the accumulator starts from.
        l1_regularization_strength: The L1 penalty.
        l2_regularization_strength: The L2 penalty.
        l2_shrinkage_regularization_strength: An L2 penalty on the gradient's side.
        beta: Added to the L2 penalty as beta / (2 rate).
        **options: As for every optimizer.

    Example:
        >>> from lamella.optimizers import Ftrl
        >>> Ftrl().learning_rate_power
        -0.5
    """

    by_element = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        if initial_accumulator_value < 0 or learning_rate_power > 0:
            raise ArgumentError("Ftrl: `initial_accumulator_value` must be 0 or more, `learning_rate_power` 0 or less.")
        if min(l1_regularization_strength, l2_regularization_strength, l2_shrinkage_regularization_strength) < 0:
            raise ArgumentError("Ftrl: the strengths of regularization (`l1_...`, `l2_...`) must be 0 or more.")
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    def slot_values(self) -> dict[str, float]:
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    def update(self, weights: Tensors, gradients: Tensors, rate: float, accumulator: Tensors, linear: Tensors) -> None:
        power = -self.learning_rate_power
        l2 = self.l2_regularization_strength + self.beta / (2.0 * rate)
        shrunk = torch._foreach_add(gradients, weights, alpha=2 * self.l2_shrinkage_regularization_strength)
        before = torch._foreach_pow(accumulator, power)
        torch._foreach_addcmul_(accumulator, gradients, gradients, value=1.0)
        after = torch._foreach_pow(accumulator, power)
        torch._foreach_add_(linear, shrunk)
        torch._foreach_addcmul_(linear, torch._foreach_sub(after, before), weights, value=-1.0 / rate)
        quadratic = torch._foreach_div(after, rate)
        torch._foreach_add_(quadratic, 2 * l2)
        l1 = self.l1_regularization_strength
        clipped = torch._foreach_clamp_max(torch._foreach_clamp_min(linear, -l1), l1)
        torch._foreach_copy_(weights, torch._foreach_div(torch._foreach_sub(clipped, linear), quadratic))


@registry.register("adafactor")
class Adafactor(Optimizer):
    """Adam whose squares are kept as a row and a column for each matrix: little memory (Shazeer and Stern, 2018).

    Args:
        learning_rate: The rate.
        beta_2_decay: The power of the step by which the mean squares follow.
        epsilon_1: Added to squared gradients.
        epsilon_2: The least size of a weight that steps are scaled by.
        clip_threshold: The greatest root mean square of a step.
        relative_step: Whether the rate is at most 1 / sqrt(step).
        **options: As for every optimizer.

    Example:
        >>> from lamella.optimizers import Adafactor
        >>> Adafactor().clip_threshold
        1.0
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    def build(self, variables: Iterable[torch.Tensor]) -> None:
        super().build(variables)
        weights = [w.detach() for w in self._weights]
        self._slots["rows"] = [as_slot(w.new_zeros(w.shape[:-1] if w.ndim > 1 else w.shape)) for w in weights]
        self._slots["columns"] = [
            as_slot(w.new_zeros((*w.shape[:-2], w.shape[-1]) if w.ndim > 1 else ())) for w in weights
        ]
        self._name_slots()

    def _own_kept(self) -> list[tuple[torch.Tensor, int]]:
        if not self.built:
            return []
        found: list[tuple[torch.Tensor, int]] = []
        for w, row, column in zip(self._weights, self._slots["rows"], self._slots["columns"], strict=True):
            unused = torch.zeros_like(w) if w.ndim > 1 else torch.zeros(())  # Keras keeps those too
            found.extend((tensor, 1) for tensor in ([row, column, unused] if w.ndim > 1 else [unused, unused, row]))
        return found

    def update(self, weights: Tensors, gradients: Tensors, rate: float, rows: Tensors, columns: Tensors) -> None:
        t = self._updates() + 1
        if self.relative_step and not callable(self._learning_rate):
            rate = min(rate, 1 / math.sqrt(t))
        follow = t**self.beta_2_decay
        size = min(rate, 1 / math.sqrt(t))
        for w, g, row, column in zip(weights, gradients, rows, columns, strict=True):
            square = g.square() + self.epsilon_1
            if w.ndim > 1:
                row.lerp_(square.mean(dim=-1), follow)
                column.lerp_(square.mean(dim=-2), follow)
                of_rows = (row / row.mean(dim=-1, keepdim=True)).rsqrt()  # their product could be too small for a float
                step = g * of_rows.unsqueeze(-1) * column.rsqrt().unsqueeze(-2)
            else:
                step = g * row.lerp_(square, follow).rsqrt()
            step = step / (_rms(step) / self.clip_threshold).clamp(min=1.0)
            w.sub_(step * _rms(w).clamp(min=self.epsilon_2) * size)


def _rms(x: torch.Tensor) -> torch.Tensor:
    return x.square().mean().sqrt()
