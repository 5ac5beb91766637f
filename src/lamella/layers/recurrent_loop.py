"""How a cell runs over time: in one of torch's fused kernels where there is one for it, else step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils import _pytree as pytree

from lamella.layers.base import Layer
from lamella.layers.fused_recurrent import Gathered, available, fits
from lamella.layers.recurrent_cell import RecurrentCell, is_own

Ran = tuple[torch.Tensor, torch.Tensor, Any]
"""The outputs of all steps (batch, time, ...), the output of the last, and the states after it."""


def run(
    cell: Any,
    x: torch.Tensor,
    states: list[Any],
    mask: torch.Tensor | None,
    training: bool | None,
    zero_output: bool = False,
    fuse: bool = True,
) -> Ran:
    """All steps of `cell`.

    Args:
        cell: The cell: one of Lamella's, or anything that is called on (inputs, states).
        x: (batch, time, ...).
        states: The states at first, nested as the cell has them.
        mask: (batch, time), True where a step is real. Others leave the states as they are.
        training: Whether the cell trains.
        zero_output: Whether the output of a masked step is 0; else it is that of the step before (at first 0).
        fuse: Whether a fused kernel may be used.

    Returns:
        The outputs of all steps, the output of the last one, and the states, nested as they came.
    """
    if is_own(cell):
        nested = not all(isinstance(state, torch.Tensor) for state in states)
        kind = cell.kernel.dtype  # the layer around may have another policy than its cell
        x, flat = x.to(kind), [state.to(kind) for state in (pytree.tree_leaves(states) if nested else states)]
        if x.is_meta:
            outputs, after = cell.on_meta(x)
            return outputs, outputs.select(1, 0), _like(states, after) if nested else after
        ran = (
            _run_fused(cell, x, flat, mask, training, zero_output) if fuse and isinstance(cell, RecurrentCell) else None
        )
        if ran is None:
            inputs, step = cell.steps(x.transpose(0, 1), flat, training)
            ran = _run_steps(inputs, step, flat, mask, zero_output)
        return (ran[0], ran[1], _like(states, ran[2])) if nested else ran
    flat, spec = pytree.tree_flatten(tuple(states))
    inputs, step = x.unbind(1), _called(cell, spec, training)
    if x.is_meta:  # every step has the shapes of the first
        output, flat = step(inputs[0], flat)
        return output.unsqueeze(1).expand(-1, x.shape[1], *output.shape[1:]), output, _like(states, flat)
    outputs, last, flat = _run_steps(inputs, step, flat, mask, zero_output)
    return outputs, last, _like(states, flat)


def _like(states: Any, flat: list[torch.Tensor]) -> Any:
    return pytree.tree_unflatten(flat, pytree.tree_structure(states))


def call_cell(cell: Any, inputs: torch.Tensor, states: Any, training: bool | None) -> tuple[torch.Tensor, Any]:
    """One step of any cell, which is told whether it trains if it wants to know."""
    takes_training = isinstance(cell, Layer) and "training" in cell._call_takes
    function = cell if callable(cell) else cell.call
    return function(inputs, states, training=training) if takes_training else function(inputs, states)


def _called(cell: Any, spec: Any, training: bool | None) -> Callable[..., tuple[torch.Tensor, list[torch.Tensor]]]:
    def step(inputs: torch.Tensor, flat: list[torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        output, states = call_cell(cell, inputs, pytree.tree_unflatten(flat, spec), training)
        return output, pytree.tree_leaves(states)

    return step


def _run_fused(
    cell: RecurrentCell,
    x: torch.Tensor,
    states: list[torch.Tensor],
    mask: torch.Tensor | None,
    training: bool | None,
    zero_output: bool,
) -> Ran | None:
    if not (cell.can_be_fused(training, x) and available(x) and fits(x, states, cell.kernel, cell.units)):
        return None
    if mask is None:
        y, after = cell.fused(x, states, training, None)
        return y, after[0], after
    gathered = Gathered(mask)
    y, after = cell.fused(gathered.forth(x), states, training, gathered.padding)
    last = gathered.last(y, states[0])
    return gathered.back(y, zero_output), gathered.last_output(last, zero_output), [last, *after[1:]]


def _run_steps(
    inputs: tuple[torch.Tensor, ...],
    step: Callable[..., tuple[torch.Tensor, list[torch.Tensor]]],
    states: list[torch.Tensor],
    mask: torch.Tensor | None,
    zero_output: bool,
) -> Ran:
    outputs: list[torch.Tensor] = []
    if mask is None:
        for x in inputs:
            output, states = step(x, states)
            outputs.append(output)
    else:
        for x, real in zip(inputs, mask.unbind(1), strict=True):
            output, after = step(x, states)
            before = torch.zeros_like(output) if zero_output or not outputs else outputs[-1]
            outputs.append(_where(real, output, before))
            states = [_where(real, new, old) for new, old in zip(after, states, strict=True)]
    return torch.stack(outputs, 1), outputs[-1], states


def _where(real: torch.Tensor, new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    return torch.where(real.view(-1, *[1] * (new.ndim - 1)), new, old)
