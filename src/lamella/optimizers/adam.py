"""Adam and its family: steps of a size that each weight's own gradients set."""

from __future__ import annotations

import math
from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.optimizers.base import Optimizer, Tensors, registry
from lamella.optimizers.layout import in_memory_order


@registry.register("adam")
class Adam(Optimizer):
    """m and v follow g and g^2; w -= alpha * m / (sqrt(v) + epsilon), alpha = rate sqrt(1 - b2^t) / (1 - b1^t).

    Args:
        learning_rate: The rate.
        beta_1: How slowly m follows the gradient.
        beta_2: How slowly v follows its square.
        epsilon: Keeps the denominator from zero.
        amsgrad: Whether v is the largest so far (Reddi et al., 2018).
        **options: As for every optimizer: `weight_decay`, `clipnorm`, `use_ema`, ...

    Source: Kingma and Ba, 2015.

    Example:
        >>> import torch
        >>> from lamella.optimizers import Adam
        >>> w = torch.nn.Parameter(torch.tensor([1.0]))
        >>> Adam(0.1).apply([torch.tensor([5.0])], [w])
        >>> w.detach()
        tensor([0.9000])
    """

    by_element = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad
        self._clock: torch.Tensor | None = None

    def slot_values(self) -> dict[str, float]:
        slots = {"momentum": 0.0, "velocity": 0.0}
        return {**slots, "largest": 0.0} if self.amsgrad else slots

    def kept_together(self) -> list[tuple[str, ...]]:
        return [("momentum", "velocity"), ("largest",)]

    def update(
        self,
        weights: Tensors,
        gradients: Tensors,
        rate: float,
        momentum: Tensors,
        velocity: Tensors,
        largest: Tensors | None = None,
    ) -> None:
        # torch's fused kernel divides sqrt(v) by sqrt(1 - b2^t) before it adds epsilon, Keras (and the paper's
        # quicker form) does not: an epsilon divided likewise makes the two equal.
        t = self._updates() + 1
        if self._clock is None or self._clock.device != weights[0].device:
            self._clock = torch.zeros((), device=weights[0].device)
        self._clock.fill_(t)
        extra = [] if largest is None else [largest]
        weights, gradients, momentum, velocity, *extra = in_memory_order(weights, gradients, momentum, velocity, *extra)
        torch._fused_adam_(
            weights,
            gradients,
            momentum,
            velocity,
            extra[0] if extra else [],
            [self._clock] * len(weights),
            lr=rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            weight_decay=0.0,
            eps=self.epsilon / math.sqrt(1.0 - self.beta_2**t),
            amsgrad=self.amsgrad,
            maximize=False,
        )


@registry.register("adamw")
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    Example:
        >>> from lamella.optimizers import AdamW
        >>> AdamW().weight_decay
        0.004
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Any,
    ) -> None:
        if weight_decay is None:
            raise ArgumentError("AdamW: `weight_decay` must be a number; for none use Adam.")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **options)


@registry.register("adamax")
class Adamax(Optimizer):
    """Adam with the largest gradient in place of the mean square (Kingma and Ba, 2015, section 7).

    Example:
        >>> from lamella.optimizers import Adamax
        >>> Adamax().learning_rate
        0.001
    """

    by_element = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def slot_values(self) -> dict[str, float]:
        return {"momentum": 0.0, "norm": 0.0}

    def update(self, weights: Tensors, gradients: Tensors, rate: float, momentum: Tensors, norm: Tensors) -> None:
        torch._foreach_lerp_(momentum, gradients, 1 - self.beta_1)
        torch._foreach_mul_(norm, self.beta_2)
        torch._foreach_maximum_(norm, torch._foreach_abs(gradients))
        alpha = rate / (1 - self.beta_1 ** (self._updates() + 1))
        torch._foreach_addcdiv_(weights, momentum, torch._foreach_add(norm, self.epsilon), value=-alpha)


@registry.register("nadam")
class Nadam(Optimizer):
    """Adam with Nesterov's momentum (Dozat, 2016).

    Example:
        >>> from lamella.optimizers import Nadam
        >>> Nadam().learning_rate
        0.001
    """

    by_element = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self._momenta = 0, 1.0  # so many steps, and the product of the momenta of these

    def slot_values(self) -> dict[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}

    def _own_kept(self) -> list[tuple[torch.Tensor, int]]:
        product = torch.tensor(self._product_of_momenta(self._updates()), dtype=torch.float32)
        return [*super()._own_kept(), (product, 1)]  # Keras keeps it; here it follows from the step

    def _momentum_at(self, t: int) -> float:
        return self.beta_1 * (1 - 0.5 * 0.96**t)

    def _product_of_momenta(self, t: int) -> float:
        """The product of the momenta of the first `t` steps."""
        steps, product = self._momenta
        if t == steps + 1:
            product *= self._momentum_at(t)
        elif t != steps:  # the step was set, as by a file
            product = math.prod(self._momentum_at(each) for each in range(1, t + 1))
        self._momenta = t, product
        return product

    def update(self, weights: Tensors, gradients: Tensors, rate: float, momentum: Tensors, velocity: Tensors) -> None:
        t = self._updates() + 1
        u_now, u_next, product = self._momentum_at(t), self._momentum_at(t + 1), self._product_of_momenta(t)
        torch._foreach_lerp_(momentum, gradients, 1 - self.beta_1)
        torch._foreach_mul_(velocity, self.beta_2)
        torch._foreach_addcmul_(velocity, gradients, gradients, value=1 - self.beta_2)
        ahead = torch._foreach_mul(momentum, u_next / (1 - product * u_next))
        torch._foreach_add_(ahead, gradients, alpha=(1 - u_now) / (1 - product))
        scale = torch._foreach_div(velocity, 1 - self.beta_2**t)
        torch._foreach_sqrt_(scale)
        torch._foreach_add_(scale, self.epsilon)
        torch._foreach_addcdiv_(weights, ahead, scale, value=-rate)


@registry.register("lamb")
class Lamb(Optimizer):
    """Adam whose step on each weight has the size of the weight: for very large batches (You et al., 2020).

    Example:
        >>> from lamella.optimizers import Lamb
        >>> Lamb().learning_rate
        0.001
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def slot_values(self) -> dict[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}

    def update(self, weights: Tensors, gradients: Tensors, rate: float, momentum: Tensors, velocity: Tensors) -> None:
        t = self._updates() + 1
        torch._foreach_lerp_(momentum, gradients, 1 - self.beta_1)
        torch._foreach_mul_(velocity, self.beta_2)
        torch._foreach_addcmul_(velocity, gradients, gradients, value=1 - self.beta_2)
        scale = torch._foreach_div(velocity, 1 - self.beta_2**t)
        torch._foreach_sqrt_(scale)
        torch._foreach_add_(scale, self.epsilon)
        step = torch._foreach_div(torch._foreach_div(momentum, 1 - self.beta_1**t), scale)
        sizes = torch.stack(torch._foreach_norm(weights))
        norms = torch.stack(torch._foreach_norm(step))
        ratios = torch.where((sizes > 0) & (norms > 0), sizes / norms, torch.ones_like(sizes)) * rate
        torch._foreach_mul_(step, list(ratios.unbind()))
        torch._foreach_sub_(weights, step)


@registry.register("lion")
class Lion(Optimizer):
    """w -= rate * sign(b1 m + (1 - b1) g), then m follows g (Chen et al., 2023).

    Example:
        >>> from lamella.optimizers import Lion
        >>> Lion().beta_2
        0.99
    """

    by_element = True

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        if not 0 < beta_1 <= 1:
            raise ArgumentError(f"Lion: `beta_1` must be above 0 and at most 1; got {beta_1}.")
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def slot_values(self) -> dict[str, float]:
        return {"momentum": 0.0}

    def update(self, weights: Tensors, gradients: Tensors, rate: float, momentum: Tensors) -> None:
        direction = torch._foreach_mul(momentum, self.beta_1)
        torch._foreach_add_(direction, gradients, alpha=1 - self.beta_1)
        torch._foreach_sign_(direction)
        torch._foreach_add_(weights, direction, alpha=-rate)
        torch._foreach_mul_(momentum, self.beta_2)
        torch._foreach_add_(momentum, gradients, alpha=1 - self.beta_2)
