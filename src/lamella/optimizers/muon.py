"""`Muon`: momentum whose step on a matrix is made orthogonal."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.optimizers.base import Optimizer, Tensors, registry


@registry.register("muon")
class Muon(Optimizer):
    """Momentum, orthogonalised, for matrices; Adam with decoupled weight decay for all other weights.

    For a matrix: m = momentum m + g; the step is rate times the nearest orthogonal matrix to m, found by a few
    Newton-Schulz iterations. Vectors, convolution kernels, embeddings and what `exclude_layers` names get Adam's
    step, as the output layer of a network should.

    Args:
        learning_rate: The rate.
        adam_beta_1: Adam's beta_1.
        adam_beta_2: Adam's beta_2.
        adam_weight_decay: The weight decay of what Adam trains.
        epsilon: Adam's epsilon.
        weight_decay: The weight decay of matrices.
        exclude_layers: Regular expressions for the names (`dense_1/kernel`) of weights that get Adam's step. They are
            the `path` of the weights.
        exclude_embeddings: Whether weights with `embedding` in their name do.
        muon_a: The first coefficient of the iteration.
        muon_b: The second.
        muon_c: The third.
        adam_lr_ratio: Adam's rate, as a multiple of `learning_rate`.
        momentum: The share of the last step that goes into the next one.
        ns_steps: The number of iterations.
        nesterov: Whether the gradient counts as if taken one step ahead.
        rms_rate: The size of a step on a matrix, relative to its larger side; None to leave it as it is.
        **options: As for every optimizer: `clipnorm`, `use_ema`, ...

    Source: Jordan et al., 2024; Liu et al., 2025 (the scaling).

    Example:
        >>> import torch
        >>> from lamella.optimizers import Muon
        >>> w = torch.nn.Parameter(torch.zeros(2, 2))
        >>> Muon(0.1, weight_decay=None, rms_rate=None).apply([torch.tensor([[3.0, 0.0], [0.0, 1.0]])], [w])
        >>> bool(w[0, 0] < -0.05 and w[1, 1] < -0.05)  # both directions alike
        True
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **options: Any,
    ) -> None:
        super().__init__(
            learning_rate,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            use_ema,
            ema_momentum,
            ema_overwrite_frequency,
            loss_scale_factor,
            gradient_accumulation_steps,
            name,
            **options,
        )
        self.adam_beta_1 = adam_beta_1
        self.adam_beta_2 = adam_beta_2
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = epsilon
        self.exclude_layers = list(exclude_layers or [])
        self.exclude_embeddings = exclude_embeddings
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.rms_rate = rms_rate
        self._by_adam: set[int] = set()

    def slot_values(self) -> dict[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}

    def build(self, variables: Iterable[torch.Tensor]) -> None:
        super().build(variables)
        self._by_adam = {id(weight) for weight in self._weights if self._gets_adam(weight)}
        for i, weight in enumerate(self._weights):
            if id(weight) not in self._by_adam:
                self._slots["velocity"][i] = weight.new_zeros(0, requires_grad=False)

    def _gets_adam(self, weight: torch.Tensor) -> bool:
        if weight.ndim != 2:
            return True
        path = weight_path(weight)
        if self.exclude_layers and not path:
            raise ArgumentError(
                "Muon(exclude_layers=...) goes by the names of the weights, and these have none: set `weight.path` "
                "before the optimizer is built."
            )
        return (self.exclude_embeddings and "embedding" in path.lower()) or any(
            re.search(pattern, path) for pattern in self.exclude_layers
        )

    def update(self, weights: Tensors, gradients: Tensors, rate: float, momentum: Tensors, velocity: Tensors) -> None:
        adams = [i for i, weight in enumerate(weights) if id(weight) in self._by_adam]
        matrices = [i for i, weight in enumerate(weights) if id(weight) not in self._by_adam]
        if adams:
            self._adam(rate * self.adam_lr_ratio, *_chosen(adams, weights, gradients, momentum, velocity))
        if matrices:
            self._muon(rate, *_chosen(matrices, weights, gradients, momentum))

    def _muon(self, rate: float, weights: Tensors, gradients: Tensors, momentum: Tensors) -> None:
        torch._foreach_mul_(momentum, self.momentum)
        torch._foreach_add_(momentum, gradients)
        steps = torch._foreach_add(gradients, momentum, alpha=self.momentum) if self.nesterov else momentum
        for weight, step in zip(weights, steps, strict=True):
            size = 1.0 if self.rms_rate is None else math.sqrt(max(step.shape)) * self.rms_rate
            weight.sub_(self._orthogonal(step), alpha=rate * size)

    def _orthogonal(self, x: torch.Tensor) -> torch.Tensor:
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        x = x / (torch.linalg.matrix_norm(x) + 1e-7)
        for _ in range(self.ns_steps):
            square = x @ x.T
            x = self.muon_a * x + (self.muon_b * square + self.muon_c * square @ square) @ x
        return x.T if tall else x

    def _adam(self, rate: float, weights: Tensors, gradients: Tensors, momentum: Tensors, velocity: Tensors) -> None:
        t = self._updates() + 1
        torch._foreach_lerp_(momentum, gradients, 1 - self.adam_beta_1)
        torch._foreach_mul_(velocity, self.adam_beta_2)
        torch._foreach_addcmul_(velocity, gradients, gradients, value=1 - self.adam_beta_2)
        alpha = rate * math.sqrt(1 - self.adam_beta_2**t) / (1 - self.adam_beta_1**t)
        scale = torch._foreach_add(torch._foreach_sqrt(velocity), self.epsilon)
        torch._foreach_addcdiv_(weights, momentum, scale, value=-alpha)

    def _kept(self) -> list[tuple[torch.Tensor, int]]:
        return [pair for pair in super()._kept() if pair[0].numel()]  # matrices have no velocity

    def _decay(self, weights: Tensors, rate: float) -> None:
        for decay, adam in ((self.adam_weight_decay, True), (self.weight_decay, False)):
            chosen = [
                weight
                for weight in weights
                if (id(weight) in self._by_adam) is adam and id(weight) not in self._not_decayed
            ]
            if decay is not None and chosen:
                torch._foreach_mul_(chosen, 1.0 - decay * rate)


def weight_path(weight: torch.Tensor) -> str:
    """The name of a weight: its `path` (`dense/kernel`) or its `name`; empty if it has neither."""
    return getattr(weight, "path", None) or getattr(weight, "name", None) or ""


def _chosen(index: list[int], *lists: Tensors) -> list[Tensors]:
    return [[tensors[i] for i in index] for tensors in lists]
