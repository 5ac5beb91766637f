"""Recurrent layers in training on the CPU: what their gradients, written by hand, share.

torch's kernels are loops over small operations, whose gradients autograd finds one by one, those of the weights in
every step anew; for a dropped state, and for a GRU that resets before the product, there is no kernel at all. (For
LSTM without noise oneDNN's is as quick.) Here the loop keeps what the gradient needs. On the way back its factors are
computed for many steps at once, a step is a product and a few small operations, and the gradient of the recurrent
kernel is one product over all steps.

Everything is ordered (time, batch, ...); `projected` is the inputs' share of each step. Noise is what the state is
multiplied by before the product, the same in all steps. The layers: `gru_gradients`, `reset_before_gradients`,
`simple_rnn_gradients`, `lstm_gradients`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch

from lamella.engine.eager import are_plain

_TOGETHER = 2**18
"""Numbers in the states whose factors are computed at once (1 MiB), so that they do not leave the cache."""

States = tuple[torch.Tensor, torch.Tensor]


def pays(x: torch.Tensor, *weights: torch.Tensor) -> bool:
    """Whether a training step is quicker this way than by torch's kernel."""
    return torch.is_grad_enabled() and are_plain(x, *weights)


def starting_with(h: torch.Tensor, steps: int) -> torch.Tensor:
    """Room for the states before and after each step, of which the first is there."""
    states = h.new_empty(steps + 1, *h.shape)
    states[0] = h
    return states


def by_gate(x: torch.Tensor, gates: int) -> torch.Tensor:
    """(..., rows, gates * units) as (..., gates, rows, units)."""
    return x.unflatten(-1, (gates, -1)).movedim(-2, -3)


def noised(h: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
    """What a gate sees of the state."""
    return h if noise is None else h * noise


def of_kernel(d: Iterable[torch.Tensor], seen: Iterable[torch.Tensor]) -> torch.Tensor:
    """The gradient (units, gates * units) of a kernel, from those of each gate's sums and from what each gate saw.

    Both (time, batch, units) for each gate.
    """
    found = [of_sums.flatten(0, 1).t() @ each.flatten(0, 1) for of_sums, each in zip(d, seen, strict=True)]
    return torch.cat(found).t()


def of_last(state: torch.Tensor, d_last: torch.Tensor | None) -> torch.Tensor:
    """The gradient of the last state, which may have none, to be added to: shaped as `state`."""
    return torch.zeros_like(state) if d_last is None else d_last.clone(memory_format=torch.contiguous_format)


def parts(steps: int, size: int) -> Iterator[slice]:
    """The steps, with `size` numbers in each state, in parts whose factors are computed at once; the last first."""
    together = max(1, _TOGETHER // max(1, size))
    return (slice(start, min(start + together, steps)) for start in reversed(range(0, steps, together)))


def differentiable(
    formula: Callable[..., tuple[torch.Tensor, ...]],
    inputs: Sequence[torch.Tensor | None],
    needed: Sequence[bool],
    gradients: Sequence[Any],
) -> tuple[torch.Tensor | None, ...]:
    """The gradients in a form that has gradients itself: those of the formula, as torch finds them."""
    given = [(output, each) for output, each in zip(formula(*inputs), gradients, strict=True) if each is not None]
    wanted = [each for each, need in zip(inputs, needed, strict=False) if need and each is not None]
    outputs, of_outputs = zip(*given, strict=True)
    found = iter(torch.autograd.grad(outputs, wanted, of_outputs, create_graph=True, allow_unused=True))
    return tuple(next(found) if need else None for need in needed[: len(inputs)])
