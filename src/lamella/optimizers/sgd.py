"""Gradient descent, with and without momentum."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from lamella.errors import ArgumentError
from lamella.optimizers.base import Optimizer, Tensors, registry
from lamella.optimizers.layout import in_memory_order


@registry.register("sgd")
class SGD(Optimizer):
    """w -= rate * g; with momentum: v = momentum * v - rate * g, w += v.

    Batch, stochastic and mini-batch gradient descent are this optimizer with three batch sizes: all samples,
    one sample, a few.

    Args:
        learning_rate: The rate.
        momentum: The share of the last step that goes into the next one.
        nesterov: Whether the gradient counts as if taken one step ahead.
        **options: As for every optimizer: `weight_decay`, `clipnorm`, `use_ema`, ...

    Source: Robbins and Monro, 1951; Polyak, 1964; Nesterov, 1983.

    Example:
        >>> import torch
        >>> from lamella.optimizers import SGD
        >>> x = torch.arange(8.0).reshape(8, 1) / 8
        >>> y = 3 * x
        >>> def descend(batch_size):
        ...     w = torch.nn.Parameter(torch.zeros(1, 1))
        ...     optimizer = SGD(0.5)
        ...     for epoch in range(60):
        ...         for first in range(0, 8, batch_size):
        ...             part = slice(first, first + batch_size)
        ...             loss = (x[part] @ w - y[part]).square().mean()
        ...             optimizer.apply(torch.autograd.grad(loss, [w]), [w])
        ...     return round(w.item(), 3), int(optimizer.iterations)
        >>> descend(8)   # batch: one sure step an epoch
        (3.0, 60)
        >>> descend(1)   # stochastic: eight quick ones
        (3.0, 480)
        >>> descend(4)   # mini-batch: between the two
        (3.0, 120)
    """

    by_element = True

    def __init__(
        self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **options: Any
    ) -> None:
        super().__init__(learning_rate, **options)
        if not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise ArgumentError(f"SGD: `momentum` must be from 0 to 1; got {momentum!r}.")
        self.momentum = momentum
        self.nesterov = nesterov

    _file_signs: ClassVar[dict[str, int]] = {"velocity": -1}

    def slot_values(self) -> dict[str, float]:
        return {"velocity": 0.0} if self.momentum else {}

    def update(self, weights: Tensors, gradients: Tensors, rate: float, velocity: Tensors | None = None) -> None:
        if velocity is None:
            torch._foreach_add_(weights, gradients, alpha=-rate)
        elif self.nesterov:
            self._nesterov(weights, gradients, rate, velocity)
        else:
            # torch's kernel: v = momentum * v + (1 - dampening) * g; w -= lr * v. With this dampening and lr = 1
            # the rate goes into v, as in Keras (whose v has the other sign).
            weights, gradients, velocity = in_memory_order(weights, gradients, velocity)
            torch._fused_sgd_(
                weights,
                gradients,
                velocity,
                weight_decay=0.0,
                momentum=self.momentum,
                lr=1.0,
                dampening=1.0 - rate,
                nesterov=False,
                maximize=False,
                is_first_step=False,
            )

    def _nesterov(self, weights: Tensors, gradients: Tensors, rate: float, velocity: Tensors) -> None:
        torch._foreach_mul_(velocity, self.momentum)
        torch._foreach_add_(velocity, gradients, alpha=rate)
        torch._foreach_add_(weights, velocity, alpha=-self.momentum)
        torch._foreach_add_(weights, gradients, alpha=-rate)
