"""Activations computed again in the backward pass rather than kept: less memory, about a third more time.

Source: Chen et al., 2016, "Training Deep Nets with Sublinear Memory Cost".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from lamella.engine.graph import Graph, Step, filled, places


def rematerialized(function: Callable[[], Any], modules: Iterable[nn.Module]) -> Any:
    """`function()`; what it computes on its way is forgotten, and computed again for the gradients.

    Args:
        function: Takes its tensors from where it is made.
        modules: Those that it calls. Their moving averages, seeded generators and normalized kernels move on once, not
            twice.
    """
    if not torch.is_grad_enabled():
        return function()
    modules = list(modules)
    before = _states(modules)
    return checkpoint(
        function, use_reentrant=False, context_fn=lambda: (nullcontext(), _Again(modules, before)), early_stop=False
    )


def in_segments(graph: Graph, input_list: Sequence[torch.Tensor]) -> Any:
    """`graph(input_list)`; of about sqrt(n) segments of it only what passes from one to another is kept."""
    length = max(1, math.isqrt(len(graph.steps)))
    segments = [graph.steps[i : i + length] for i in range(0, len(graph.steps), length)]
    needed = places(graph.output_slots)
    later: list[set[int]] = []  # for each segment, what those after it and the outputs read
    for segment in reversed(segments):
        later.insert(0, set(needed))
        needed |= {slot for step in segment for slot in step.reads}
    values = dict(enumerate(input_list))
    for segment, kept in zip(segments, later, strict=True):
        values |= _run_again(segment, values, kept)
        values = {slot: value for slot, value in values.items() if slot in kept}
    return filled(graph.output_slots, values)


def _run_again(steps: Sequence[Step], values: dict[int, Any], kept: set[int]) -> dict[int, Any]:
    reads = {slot for step in steps for slot in step.reads}
    given = {slot: value for slot, value in values.items() if slot in reads}
    wanted = [slot for step in steps for slot in step.out_slots if slot in kept]

    def run() -> list[Any]:
        own = dict(given)
        for step in steps:
            step.run(own, step.function)
        return [own[slot] for slot in wanted]

    modules = [part for step in steps for part in _modules_of(step.function)]
    return dict(zip(wanted, rematerialized(run, modules), strict=True))


def _modules_of(function: Any) -> list[nn.Module]:
    if isinstance(function, nn.Module):
        return [function]
    return list(getattr(function, "layers", ()))  # of several that are one


class _Again:
    """Within it the modules are in the state of the first time; then, in that which they had come to."""

    def __init__(self, modules: list[nn.Module], before: dict[Place, Any]) -> None:
        self.modules = modules
        self.before = before

    def __enter__(self) -> None:
        self.after = _states(self.modules)
        _put_back(self.modules, self.before)

    def __exit__(self, *exception: Any) -> None:
        _put_back(self.modules, self.after)


Place = tuple[nn.Module, str]
"""Where a module holds something: itself, and the name of the buffer or attribute."""


def _changeable(modules: list[nn.Module]) -> dict[Place, Any]:
    """The buffers, the generators, and the weights that a module's call changes (its `changed_in_call`)."""
    parts = {id(part): part for module in modules for part in module.modules()}.values()
    changed = {(held, name) for part in parts for held, name in getattr(part, "changed_in_call", ())}
    weights: dict[Place, Any] = {(held, name): held._parameters[name] for held, name in changed}
    buffers = weights | {
        (part, name): kept for part in parts for name, kept in part._buffers.items() if kept is not None
    }
    held = {(part, name): value for part in parts for name, value in vars(part).items()}
    return buffers | {place: value for place, value in held.items() if isinstance(value, torch.Generator)}


def _states(modules: list[nn.Module]) -> dict[Place, Any]:
    """Copies of the tensors, and the states of the generators."""
    return {
        place: each.get_state() if isinstance(each, torch.Generator) else each.detach().clone()
        for place, each in _changeable(modules).items()
    }


@torch.no_grad()
def _put_back(modules: list[nn.Module], states: dict[Place, Any]) -> None:
    for place, each in _changeable(modules).items():
        state = states.get(place)
        if state is None:  # it was not there yet; it starts anew from its seed
            object.__setattr__(*place, None)
        elif isinstance(each, torch.Generator):
            each.set_state(state)
        elif not torch.equal(each, state):  # what is only read keeps its version: gradients may need it
            each.copy_(state)
