"""All steps of a plain recurrent layer, with gradients written by hand. See `recurrent_gradients`."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from lamella.layers.recurrent_gradients import (
    States,
    differentiable,
    noised,
    of_kernel,
    of_last,
    parts,
    starting_with,
)


def simple(
    projected: torch.Tensor,
    h: torch.Tensor,
    kernel: torch.Tensor,
    relu: bool = False,
    noise: torch.Tensor | None = None,
) -> States:
    """All steps of a plain recurrent layer: h' = tanh(x + (h * noise) @ kernel), or the relu of it.

    Args:
        projected: (time, batch, units).
        h: The state at first, (batch, units).
        kernel: (units, units).
        relu: Whether the activation is relu.
        noise: (batch, units), or None.

    Returns:
        The outputs (time, batch, units), and the last of them.
    """
    found: States = _Simple.apply(projected, h, kernel, noise, relu)
    return found


class _Simple(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        projected: torch.Tensor,
        h: torch.Tensor,
        kernel: torch.Tensor,
        noise: torch.Tensor | None,
        relu: bool,
    ) -> States:
        states = starting_with(h, len(projected))
        room = None if noise is None else torch.empty_like(noise)
        each_step = projected, states[:-1], states[1:]
        for x, before, after in zip(*map(torch.unbind, each_step), strict=True):
            seen = before if noise is None else torch.mul(before, noise, out=room)
            torch.addmm(x, seen, kernel, out=after)
            after.relu_() if relu else after.tanh_()
        ctx.save_for_backward(projected, h, kernel, noise, states)
        ctx.relu = relu
        ctx.set_materialize_grads(False)
        return states[1:], states[-1].clone()

    @staticmethod
    def backward(ctx: Any, d_outputs: Any, d_last: Any) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        *inputs, states = ctx.saved_tensors
        if torch.is_grad_enabled():
            formula = partial(_in_torch, torch.relu if ctx.relu else torch.tanh)
            return (*differentiable(formula, inputs, ctx.needs_input_grad, (d_outputs, d_last)), None)
        _, _, kernel, noise = inputs
        outputs = states[1:]
        d = torch.empty_like(outputs)
        back = kernel.t()
        dh = of_last(outputs[0], d_last)
        for part in parts(len(d), dh.numel()):
            if ctx.relu:
                torch.sign(outputs[part], out=d[part])
            else:
                torch.mul(outputs[part], outputs[part], out=d[part]).neg_().add_(1.0)
            for step in reversed(range(part.start, part.stop)):
                if d_outputs is not None:
                    dh += d_outputs[step]
                d[step] *= dh
                torch.mm(d[step], back, out=dh)
                if noise is not None:
                    dh *= noise
        return d, dh, of_kernel([d], [noised(states[:-1], noise)]), None, None


def _in_torch(
    act: Any, projected: torch.Tensor, h: torch.Tensor, kernel: torch.Tensor, noise: torch.Tensor | None
) -> States:
    outputs = []
    for x in projected.unbind():
        h = act(torch.addmm(x, noised(h, noise), kernel))
        outputs.append(h)
    return torch.stack(outputs), h
