"""All steps of a GRU whose reset gate acts after the product, with gradients written by hand.

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


def gru(
    projected: torch.Tensor,
    h: torch.Tensor,
    kernel: torch.Tensor,
    bias: torch.Tensor | None,
    noise: torch.Tensor | None = None,
) -> States:
    """All steps of a GRU whose reset gate acts on what the product gave.

    With s_k = (h * noise_k) @ kernel_k + bias_k for the gates k = z, r, n:

        z, r = sigmoid(x_z + s_z), sigmoid(x_r + s_r);  n = tanh(x_n + r * s_n);  h' = z * h + (1 - z) * n

    Args:
        projected: (time, batch, 3 * units), for z, r and n.
        h: The state at first, (batch, units).
        kernel: (units, 3 * units).
        bias: (3 * units,), or None.
        noise: (3, batch, units), or None.

    Returns:
        The outputs (time, batch, units), and the last of them.
    """
    bias = kernel.new_zeros(kernel.shape[1]) if bias is None else bias
    found: States = _Gru.apply(projected, h, kernel, bias, noise)
    return found


class _Gru(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        projected: torch.Tensor,
        h: torch.Tensor,
        kernel: torch.Tensor,
        bias: torch.Tensor,
        noise: torch.Tensor | None,
    ) -> States:
        steps, batch, _ = projected.shape
        x, biases, kernels = by_gate(projected, 3), by_gate(bias.unsqueeze(0), 3), by_gate(kernel, 3)
        gates = projected.new_empty(x.shape)  # (time, 3, batch, units): z, r, and s_n
        torch.add(x[:, :2], biases[:2], out=gates[:, :2])
        gates[:, 2] = biases[2]
        candidates = projected.new_empty(steps, batch, len(kernel))
        states = starting_with(h, steps)
        for_gates = states[:-1].unsqueeze(1).expand_as(gates)  # the state before, not copied
        room = None if noise is None else torch.empty_like(noise)
        each_step = (gates, gates[:, :2], *gates.unbind(1), x[:, 2], candidates, for_gates, states[:-1], states[1:])
        for own, zr, z, r, s_n, x_n, n, thrice, before, after in zip(*map(torch.unbind, each_step), strict=True):
            seen = thrice if noise is None else torch.mul(before, noise, out=room)
            own.baddbmm_(seen, kernels)
            zr.sigmoid_()
            torch.addcmul(x_n, r, s_n, out=n).tanh_()
            torch.lerp(n, before, z, out=after)
        ctx.save_for_backward(projected, h, kernel, bias, noise, gates, candidates, states)
        ctx.set_materialize_grads(False)
        return states[1:], states[-1].clone()

    @staticmethod
    def backward(ctx: Any, d_outputs: Any, d_last: Any) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        *inputs, gates, candidates, states = ctx.saved_tensors
        if torch.is_grad_enabled():
            return differentiable(_in_torch, inputs, ctx.needs_input_grad, (d_outputs, d_last))
        _, _, kernel, _, noise = inputs
        steps, batch, units = candidates.shape
        z = gates[:, 0]
        d = gates.new_empty(steps, batch, 4, units)  # of s_n, z, r, n: of what the state adds, and of what x adds
        rows = d.view(steps, batch, 4 * units)
        d_own = rows[..., : 3 * units]
        kernel = kernel.roll(units, 1)  # its columns in that order
        back, backs = kernel.t(), by_gate(kernel, 3).transpose(1, 2)
        if noise is not None:
            noise = noise.roll(1, 0)
            own = gates.new_empty(4, batch, units)  # what comes to the state from each of s_n, z, r, and past them
        dh = of_last(candidates[0], d_last)
        for part in parts(steps, dh.numel()):
            _factors(gates[part], candidates[part], states[:-1][part], d[part])
            for step in reversed(range(part.start, part.stop)):
                if d_outputs is not None:
                    dh += d_outputs[step]
                d[step] *= dh.unsqueeze(1)
                if noise is None:
                    dh.mul_(z[step]).addmm_(d_own[step], back)
                else:
                    torch.bmm(d[step].transpose(0, 1)[:3], backs, out=own[:3]).mul_(noise)
                    torch.mul(dh, z[step], out=own[3])
                    torch.sum(own, 0, out=dh)
        before = states[:-1]
        if noise is None:
            d_kernel = of_kernel([d_own], [before])
        else:
            d_kernel = of_kernel(d.unbind(2)[:3], (before * each for each in noise))
        d_bias = d_own.sum((0, 1))
        return rows[..., units:], dh, d_kernel.roll(-units, 1), d_bias.roll(-units), None


def _factors(gates: torch.Tensor, n: torch.Tensor, before: torch.Tensor, d: torch.Tensor) -> None:
    """By what the gradient of a state is multiplied to give those of s_n, z, r and n before their activations."""
    z, r, s_n = gates.unbind(1)
    of_s, of_z, of_r, of_n = d.unbind(2)
    new = 1.0 - z
    torch.mul(n, n, out=of_n)
    torch.addcmul(new, new, of_n, value=-1.0, out=of_n)
    torch.mul(of_n, r, out=of_s)
    torch.addcmul(s_n, s_n, r, value=-1.0, out=of_r).mul_(of_s)
    torch.sub(before, n, out=of_z).mul_(z).mul_(new)


def _in_torch(
    projected: torch.Tensor, h: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor, noise: torch.Tensor | None
) -> States:
    kernels, biases, outputs = by_gate(kernel, 3), by_gate(bias.unsqueeze(0), 3), []
    for x_z, x_r, x_n in by_gate(projected, 3).unbind():
        s_z, s_r, s_n = noised(h, noise) @ kernels + biases
        z, r = (x_z + s_z).sigmoid(), (x_r + s_r).sigmoid()
        h = torch.lerp((x_n + r * s_n).tanh(), h, z)
        outputs.append(h)
    return torch.stack(outputs), h
