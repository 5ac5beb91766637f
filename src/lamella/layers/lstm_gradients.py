"""All steps of an LSTM with noise on its state, with gradients written by hand. See `recurrent_gradients`."""

from __future__ import annotations

from typing import Any

import torch

from lamella.layers.recurrent_gradients import by_gate, differentiable, of_kernel, of_last, parts, starting_with


def lstm(
    projected: torch.Tensor, h: torch.Tensor, c: torch.Tensor, kernel: torch.Tensor, noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """All steps of an LSTM, each of whose gates sees the state through noise of its own, the same in all steps.

    With s_k = (h * noise_k) @ kernel_k for the gates k = i, f, g, o:

        i, f, o = sigmoid(x_i + s_i), ...;  g = tanh(x_g + s_g);  c' = f * c + i * g;  h' = o * tanh(c')

    Args:
        projected: (time, batch, 4 * units), for i, f, g and o.
        h: The state at first, (batch, units).
        c: The carry at first, (batch, units).
        kernel: (units, 4 * units).
        noise: (4, batch, units).

    Returns:
        The outputs (time, batch, units), and the last state and carry.
    """
    found: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = _Lstm.apply(projected, h, c, kernel, noise)
    return found


class _Lstm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected: torch.Tensor, h: torch.Tensor, c: torch.Tensor, kernel: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        gates = by_gate(projected, 4).clone(memory_format=torch.contiguous_format)  # (time, 4, batch, units)
        states, carries = starting_with(h, len(gates)), starting_with(c, len(gates))
        shown = torch.empty_like(carries[1:])
        kernels = by_gate(kernel, 4)
        seen = torch.empty_like(noise)
        each_step = (gates, *gates.unbind(1), gates[:, :2], states[:-1], states[1:], carries[:-1], carries[1:], shown)
        for own, i, f, g, o, both, before, after, old_c, new_c, of_c in zip(*map(torch.unbind, each_step), strict=True):
            torch.mul(before, noise, out=seen)
            own.baddbmm_(seen, kernels)
            both.sigmoid_()
            g.tanh_()
            o.sigmoid_()
            torch.mul(f, old_c, out=new_c).addcmul_(i, g)
            torch.tanh(new_c, out=of_c)
            torch.mul(o, of_c, out=after)
        ctx.save_for_backward(projected, h, c, kernel, noise, gates, states, carries, shown)
        ctx.set_materialize_grads(False)
        return states[1:], states[-1].clone(), carries[-1].clone()

    @staticmethod
    def backward(ctx: Any, d_outputs: Any, d_last: Any, d_carry: Any) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        *inputs, gates, states, carries, shown = ctx.saved_tensors
        if torch.is_grad_enabled():
            return differentiable(_in_torch, inputs, ctx.needs_input_grad, (d_outputs, d_last, d_carry))
        kernel, noise = inputs[3:]
        steps, _, batch, units = gates.shape
        d = torch.empty_like(gates)
        back = by_gate(kernel, 4).transpose(1, 2)
        dh, dc = of_last(shown[0], d_last), of_last(shown[0], d_carry)
        own = torch.empty_like(noise)
        for part in parts(steps, dh.numel()):
            of_carry = _factors(gates[part], carries[:-1][part], shown[part], d[part])
            for step in reversed(range(part.start, part.stop)):
                if d_outputs is not None:
                    dh += d_outputs[step]
                dc.addcmul_(dh, of_carry[step - part.start])
                d[step, 3] *= dh
                d[step, :3] *= dc
                dc *= gates[step, 1]
                torch.bmm(d[step], back, out=own)
                torch.sum(own.mul_(noise), 0, out=dh)
        d_kernel = of_kernel(d.unbind(1), (states[:-1] * each for each in noise))
        return d.transpose(1, 2).reshape(steps, batch, 4 * units), dh, dc, d_kernel, None


def _factors(gates: torch.Tensor, c: torch.Tensor, shown: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """By what the gradient of a carry is multiplied to give those of i, f and g before their activations, and the
    gradient of a state to give those of o and, returned, of the carry."""
    i, f, g, o = gates.unbind(1)
    of_i, of_f, of_g, of_o = d.unbind(1)
    for gate, factor, other in ((i, of_i, g), (f, of_f, c), (o, of_o, shown)):
        torch.addcmul(gate, gate, gate, value=-1.0, out=factor).mul_(other)
    torch.mul(g, g, out=of_g)
    torch.addcmul(i, i, of_g, value=-1.0, out=of_g)
    return torch.addcmul(o, o * shown, shown, value=-1.0)


def _in_torch(
    projected: torch.Tensor, h: torch.Tensor, c: torch.Tensor, kernel: torch.Tensor, noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    kernels, outputs = by_gate(kernel, 4), []
    for x in projected.unbind():
        i, f, g, o = torch.baddbmm(by_gate(x, 4), h * noise, kernels)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return torch.stack(outputs), h, c
