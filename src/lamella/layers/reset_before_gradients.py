"""All steps of a GRU whose reset gate acts before the product, with gradients written by hand.

See `recurrent_gradients`.
"""

from __future__ import annotations

from typing import Any

import torch

from lamella.layers.recurrent_gradients import (
    States,
    by_gate,
    differentiable,
    noised,
    of_kernel,
    of_last,
    parts,
    starting_with,
)


def gru_reset_before(
    projected: torch.Tensor, h: torch.Tensor, kernel: torch.Tensor, noise: torch.Tensor | None = None
) -> States:
    """All steps of a GRU whose reset gate acts on the state.

    With s_k = (h * noise_k) @ kernel_k for the gates k = z, r:

        z, r = sigmoid(x_z + s_z), sigmoid(x_r + s_r);  n = tanh(x_n + (r * h * noise_n) @ kernel_n)
        h' = z * h + (1 - z) * n

    Args:
        projected: (time, batch, 3 * units), for z, r and n.
        h: The state at first, (batch, units).
        kernel: (units, 3 * units).
        noise: (3, batch, units), or None.

    Returns:
        The outputs (time, batch, units), and the last of them.
    """
    found: States = _Gru.apply(projected, h, kernel, noise)
    return found


class _Gru(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected: torch.Tensor, h: torch.Tensor, kernel: torch.Tensor, noise: torch.Tensor | None
    ) -> States:
        steps, batch, _ = projected.shape
        x, kernels = by_gate(projected, 3), by_gate(kernel, 3)
        gates = x[:, :2].clone(memory_format=torch.contiguous_format)  # (time, 2, batch, units): z and r
        candidates = projected.new_empty(steps, batch, len(kernel))
        resets = torch.empty_like(candidates)  # r * h * noise_n
        states = starting_with(h, steps)
        for_gates = states[:-1].unsqueeze(1).expand_as(gates)  # the state before, not copied
        if noise is not None:
            noise_zr, noise_n = noise[:2], noise[2]
            room = torch.empty_like(noise_zr)
        each_step = (gates, *gates.unbind(1), x[:, 2], candidates, resets, for_gates, states[:-1], states[1:])
        for zr, z, r, x_n, n, reset, twice, before, after in zip(*map(torch.unbind, each_step), strict=True):
            seen = twice if noise is None else torch.mul(before, noise_zr, out=room)
            zr.baddbmm_(seen, kernels[:2]).sigmoid_()
            torch.mul(r, before, out=reset)
            if noise is not None:
                reset.mul_(noise_n)
            torch.addmm(x_n, reset, kernels[2], out=n).tanh_()
            torch.lerp(n, before, z, out=after)
        ctx.save_for_backward(projected, h, kernel, noise, gates, candidates, resets, states)
        ctx.set_materialize_grads(False)
        return states[1:], states[-1].clone()

    @staticmethod
    def backward(ctx: Any, d_outputs: Any, d_last: Any) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        *inputs, gates, candidates, resets, states = ctx.saved_tensors
        if torch.is_grad_enabled():
            return differentiable(_in_torch, inputs, ctx.needs_input_grad, (d_outputs, d_last))
        _, _, kernel, noise = inputs
        steps, batch, units = candidates.shape
        z, r = gates.unbind(1)
        d = gates.new_empty(steps, batch, 3, units)
        rows = d.view(steps, batch, 3 * units)
        d_zr = rows[..., : 2 * units]
        backs = by_gate(kernel, 3).transpose(1, 2)
        back = kernel[:, : 2 * units].t()
        dh = of_last(candidates[0], d_last)
        d_reset = torch.empty_like(dh)
        own = gates.new_empty(3, batch, units)  # what comes to the state from z, r, and past them
        for part in parts(steps, dh.numel()):
            _factors(gates[part], candidates[part], resets[part], states[:-1][part], d[part])
            for step in reversed(range(part.start, part.stop)):
                if d_outputs is not None:
                    dh += d_outputs[step]
                d_z, d_r, d_n = d[step].unbind(1)
                d_z *= dh
                d_n *= dh
                torch.mm(d_n, backs[2], out=d_reset)
                d_r *= d_reset
                if noise is None:
                    dh.mul_(z[step]).addcmul_(d_reset, r[step]).addmm_(d_zr[step], back)
                else:
                    torch.mul(dh, z[step], out=own[2]).addcmul_(d_reset.mul_(noise[2]), r[step])
                    torch.bmm(d[step].transpose(0, 1)[:2], backs[:2], out=own[:2]).mul_(noise[:2])
                    torch.sum(own, 0, out=dh)
        before = states[:-1]
        if noise is None:
            d_kernel = of_kernel([d_zr, d[:, :, 2]], [before, resets])
        else:
            d_kernel = of_kernel(d.unbind(2), [before * noise[0], before * noise[1], resets])
        return rows, dh, d_kernel, None


def _factors(gates: torch.Tensor, n: torch.Tensor, reset: torch.Tensor, before: torch.Tensor, d: torch.Tensor) -> None:
    """By what the gradient of a state is multiplied to give those of z and n before their activations, and the gradient
    of what the product for n saw to give that of r."""
    z, r = gates.unbind(1)
    of_z, of_r, of_n = d.unbind(2)
    new = 1.0 - z
    torch.mul(n, n, out=of_n)
    torch.addcmul(new, new, of_n, value=-1.0, out=of_n)
    torch.addcmul(reset, reset, r, value=-1.0, out=of_r)
    torch.sub(before, n, out=of_z).mul_(z).mul_(new)


def _in_torch(projected: torch.Tensor, h: torch.Tensor, kernel: torch.Tensor, noise: torch.Tensor | None) -> States:
    kernels, outputs = by_gate(kernel, 3), []
    noise_zr, noise_n = (None, None) if noise is None else (noise[:2], noise[2])
    for x_z, x_r, x_n in by_gate(projected, 3).unbind():
        s_z, s_r = noised(h, noise_zr) @ kernels[:2]
        z, r = (x_z + s_z).sigmoid(), (x_r + s_r).sigmoid()
        n = (x_n + noised(r * h, noise_n) @ kernels[2]).tanh()
        h = torch.lerp(n, h, z)
        outputs.append(h)
    return torch.stack(outputs), h
