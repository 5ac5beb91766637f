"""One training step: (weights, optimizer slots, metric sums, batch) -> new ones, in place.

This file alone decides how a step runs. On the CPU and on CUDA it is a lean eager step: gradients as a flat
list straight from `torch.autograd.grad` (nothing is stored in `.grad` and nothing needs zeroing), one call
of the optimizer for all weights, sums added up on the device. With `compiled=True` the forward pass and
the loss go through `torch.compile`. Nothing here waits for a CUDA device to read a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

Batch = tuple[Any, Any, Any]


class Updates(Protocol):
    """What a step asks of an optimizer: it changes the parameters, given their gradients."""

    def apply(self, grads: Sequence[torch.Tensor | None]) -> None:
        """Updates the parameters that the optimizer was built with."""


def train_step(
    forward: Callable[[Any], Any],
    loss: Callable[[Any, Any, Any, Any], torch.Tensor],
    parameters: Sequence[torch.Tensor],
    optimizer: Any,
    observe: Callable[[torch.Tensor, Any, Any, Any], None],
    on_bad_loss: Callable[[torch.Tensor, Any, Any, Any], None] | None = None,
) -> Callable[[Any, Any, Any], None]:
    """The function that trains on one batch.

    Args:
        forward: From inputs to predictions.
        loss: From (inputs, targets, predictions, sample weights) to a scalar.
        parameters: The weights to train, in the order in which the optimizer was built with them.
        optimizer: Has `apply(gradients)`.
        observe: Adds (loss, targets, predictions, sample weights), without gradients, to the metrics.
        on_bad_loss: Called before the update when the loss is NaN or infinite (on the CPU, where looking
            costs nothing; on other devices the caller looks from time to time).
    """
    parameters = list(parameters)
    check = on_bad_loss if parameters and parameters[0].device.type == "cpu" else None
    scale = optimizer.scale_loss if getattr(optimizer, "scales_loss", False) else None
    some_unused = _FirstTime()

    def step(x: Any, y: Any, weight: Any) -> None:
        y_pred = forward(x)
        value = loss(x, y, y_pred, weight)
        if check is not None and not math.isfinite(value.item()):
            check(value, x, y, weight)
        target = value if scale is None else scale(value)
        if some_unused.unknown:
            gradients = torch.autograd.grad(target, parameters, allow_unused=True)
            some_unused.unknown = any(g is None for g in gradients)
        else:
            gradients = flat_gradients(target, parameters)
        with torch.no_grad():
            optimizer.apply(gradients)
            observe(value, y, y_pred, weight)

    return step


def flat_gradients(loss: torch.Tensor, parameters: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """`torch.autograd.grad(loss, parameters)`, without the checks that it makes anew at each call."""
    key = (loss.device, loss.dtype)
    one = _ONES.get(key)
    if one is None or loss.ndim:
        one = _ONES[key] = torch.ones((), device=loss.device, dtype=loss.dtype)
    return _run_backward((loss,), (one,), False, False, tuple(parameters), False, accumulate_grad=False)


_ONES: dict[Any, torch.Tensor] = {}
_run_backward = torch.autograd.Variable._execution_engine.run_backward  # type: ignore[attr-defined]


class _FirstTime:
    """Whether some weight may still turn out to have no gradient (asking torch to allow it costs a little)."""

    unknown = True


def test_step(
    forward: Callable[[Any], Any],
    loss: Callable[[Any, Any, Any, Any], torch.Tensor] | None,
    observe: Callable[[torch.Tensor | None, Any, Any, Any], None],
) -> Callable[[Any, Any, Any], None]:
    """The function that evaluates one batch (under `torch.no_grad()`, set by the caller)."""

    def step(x: Any, y: Any, weight: Any) -> None:
        y_pred = forward(x)
        value = loss(x, y, y_pred, weight) if loss is not None else None
        observe(value, y, y_pred, weight)

    return step
