"""One training step: (weights, optimizer slots, metric sums, batch) -> new ones, in place.

This file alone decides how a step runs. On the CPU and on CUDA it is a lean eager step: gradients as a flat
list straight from `torch.autograd.grad` (nothing is stored in `.grad` and nothing needs zeroing), one call
of the optimizer for all weights, sums added up on the device. `replay.py` makes small steps on the CPU quicker
still, `captured.py` those on CUDA. Nothing here waits for a CUDA device to read a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import torch

from lamella.engine import marks
from lamella.engine.replay import Compute, Computed
from lamella.errors import ArgumentError

Batch = tuple[Any, Any, Any]


class Updates(Protocol):
    """What a step asks of an optimizer: it changes the parameters, given their gradients."""

    def apply(self, grads: Sequence[torch.Tensor | None]) -> None:
        """Updates the parameters that the optimizer was built with."""


def gradients(
    forward: Callable[[Any], Any],
    loss: Callable[[Any, Any, Any, Any], torch.Tensor],
    parameters: Sequence[torch.Tensor],
    scale_loss: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Compute:
    """The function from a batch to its loss, its predictions and the gradients.

    Args:
        forward: From inputs to predictions.
        loss: From (inputs, targets, predictions, sample weights) to a scalar.
        parameters: The weights to train.
        scale_loss: Applied to the loss before its gradients are taken.
    """
    parameters = list(parameters)
    some_unused = _FirstTime()
    forward, loss = marks.marked("forward", forward), marks.marked("forward", loss)
    flat = marks.marked("backward", flat_gradients)
    with_unused = marks.marked("backward", partial(torch.autograd.grad, allow_unused=True))

    def compute(x: Any, y: Any, weight: Any) -> Computed:
        y_pred = forward(x)
        value = loss(x, y, y_pred, weight)
        target = value if scale_loss is None else scale_loss(value)
        if some_unused.unknown:
            _depends_on_weights(target)
            found = with_unused(target, parameters)
            some_unused.unknown = any(g is None for g in found)
        else:
            found = flat(target, parameters)
        return value, y_pred, found

    return compute


def train_step(
    compute: Compute,
    optimizer: Updates,
    observe: Callable[[torch.Tensor | float, Any, Any, Any], None],
    on_bad_loss: Callable[[torch.Tensor, Any, Any, Any], None] | None = None,
) -> Callable[[Any, Any, Any], None]:
    """The function that trains on one batch.

    Args:
        compute: From (x, y, weight) to the loss, the predictions and the gradients (see `gradients`).
        optimizer: Has `apply(gradients)`, in the order in which it was built with the weights.
        observe: Adds (loss, targets, predictions, sample weights), without gradients, to the metrics. The loss is a
            number on the CPU, where reading it costs nothing, and a tensor elsewhere.
        on_bad_loss: Called before the update when the loss is NaN or infinite. It is looked for only on the CPU;
            on other devices the caller looks from time to time.
    """

    apply, observe = marks.marked("update", optimizer.apply), marks.marked("update", observe)

    def step(x: Any, y: Any, weight: Any) -> None:
        value, y_pred, found = compute(x, y, weight)
        loss = value.item() if value.device.type == "cpu" else value
        if on_bad_loss is not None and loss is not value and not math.isfinite(loss):
            on_bad_loss(value, x, y, weight)
        with torch.no_grad():
            apply(found)
            observe(loss, y, y_pred, weight)

    return step


def _depends_on_weights(loss: torch.Tensor) -> None:
    if not loss.requires_grad:
        raise ArgumentError(
            "The loss has no gradient: it does not depend on the weights by operations of torch. A loss of one's own "
            "computes with y_pred by torch or lamella.ops, not with NumPy, detach() or numbers, nor by comparisons, "
            "argmax or rounding, which have no slope."
        )


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
