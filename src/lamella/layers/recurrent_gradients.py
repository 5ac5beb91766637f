"""GRU, plain recurrent layers, and LSTM with dropout of its state, in training on the CPU: gradients written by hand.

torch's kernels are loops over small operations, whose gradients autograd finds one by one, those of the weights in
every step anew; for a dropped state there is no kernel at all. (For LSTM without that oneDNN's is as quick.) Here the
loop keeps what the gradient needs. On the way back its factors are computed for many steps at once, a step is a product
and a few small operations, and the gradient of the recurrent kernel is one product over all steps.

Everything is ordered (time, batch, ...); `projected` is the inputs' share of each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch

from lamella.engine.eager import are_plain

_TOGETHER = 2**18
"""Numbers in the states whose factors are computed at once (1 MiB), so that they do not leave the cache."""

States = tuple[torch.Tensor, torch.Tensor]


def pays(x: torch.Tensor, *weights: torch.Tensor) -> bool:
    """Whether a training step is quicker this way than by torch's kernel."""
    return torch.is_grad_enabled() and are_plain(x, *weights)


def gru(projected: torch.Tensor, h: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None) -> States:
    """All steps of a GRU whose reset gate acts on what the product gave.

    With s = h @ kernel + bias:

        z, r = sigmoid(x_z + s_z), sigmoid(x_r + s_r);  n = tanh(x_n + r * s_n);  h' = z * h + (1 - z) * n

    Args:
        projected: (time, batch, 3 * units), for z, r and n.
        h: The state at first, (batch, units).
        kernel: (units, 3 * units).
        bias: (3 * units,), or None.

    Returns:
        The outputs (time, batch, units), and the last of them.
    """
    found: States = _Gru.apply(projected, h, kernel, kernel.new_zeros(kernel.shape[1]) if bias is None else bias)
    return found


def simple(projected: torch.Tensor, h: torch.Tensor, kernel: torch.Tensor, relu: bool = False) -> States:
    """All steps of a plain recurrent layer: h' = tanh(x + h @ kernel), or the relu of it.

    Args:
        projected: (time, batch, units).
        h: The state at first, (batch, units).
        kernel: (units, units).
        relu: Whether the activation is relu.

    Returns:
        The outputs (time, batch, units), and the last of them.
    """
    found: States = _Simple.apply(projected, h, kernel, relu)
    return found


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


class _Gru(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected: torch.Tensor, h: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor) -> States:
        steps, batch, _ = projected.shape
        units = len(kernel)
        gates = projected.new_empty(steps, batch, 3 * units)  # z, r, and s_n
        candidates = projected.new_empty(steps, batch, units)
        states = _starting_with(h, steps)
        parts = (gates, gates[..., : 2 * units], *gates.chunk(3, -1), projected[..., : 2 * units])
        parts += (projected[..., 2 * units :], candidates, states[:-1], states[1:])
        for own, zr, z, r, s_n, x_zr, x_n, n, before, after in zip(*map(torch.unbind, parts), strict=True):
            torch.addmm(bias, before, kernel, out=own)
            zr.add_(x_zr).sigmoid_()
            torch.addcmul(x_n, r, s_n, out=n).tanh_()
            torch.lerp(n, before, z, out=after)
        ctx.save_for_backward(projected, h, kernel, bias, gates, candidates, states)
        ctx.set_materialize_grads(False)
        return states[1:], states[-1].clone()

    @staticmethod
    def backward(ctx: Any, d_outputs: Any, d_last: Any) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        *inputs, gates, candidates, states = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiable(_gru_in_torch, inputs, ctx.needs_input_grad, (d_outputs, d_last))
        kernel = inputs[2]
        steps, batch, units = candidates.shape
        z = gates[..., :units]
        d = gates.new_empty(steps, batch, 4, units)  # of s_n, z, r, n: of what the state adds, and of what x adds
        back = kernel.roll(units, 1).t()  # its columns in that order
        dh = _gradient_of_last(candidates[0], d_last)
        for part in _parts(steps, dh.numel()):
            _factors(gates[part], candidates[part], states[:-1][part], d[part])
            for step in reversed(range(part.start, part.stop)):
                if d_outputs is not None:
                    dh += d_outputs[step]
                d[step] *= dh.unsqueeze(1)
                dh.mul_(z[step]).addmm_(d[step].view(batch, -1)[:, : 3 * units], back)
        rows = d.view(steps * batch, 4 * units)
        d_own = rows[:, : 3 * units]
        d_kernel = (d_own.t() @ states[:-1].view(steps * batch, units)).roll(-units, 0).t()
        return rows[:, units:].view(steps, batch, -1), dh, d_kernel, d_own.sum(0).roll(-units)


def _factors(gates: torch.Tensor, n: torch.Tensor, before: torch.Tensor, d: torch.Tensor) -> None:
    """By what the gradient of a state is multiplied to give those of s_n, z, r and n before their activations."""
    z, r, s_n = gates.chunk(3, -1)
    of_s, of_z, of_r, of_n = d.unbind(2)
    new = 1.0 - z
    torch.mul(n, n, out=of_n)
    torch.addcmul(new, new, of_n, value=-1.0, out=of_n)
    torch.mul(of_n, r, out=of_s)
    torch.addcmul(s_n, s_n, r, value=-1.0, out=of_r).mul_(of_s)
    torch.sub(before, n, out=of_z).mul_(z).mul_(new)


def _gru_in_torch(projected: torch.Tensor, h: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor) -> States:
    outputs = []
    for x in projected.unbind():
        (x_z, x_r, x_n), (s_z, s_r, s_n) = x.chunk(3, -1), torch.addmm(bias, h, kernel).chunk(3, -1)
        z, r = (x_z + s_z).sigmoid(), (x_r + s_r).sigmoid()
        h = torch.lerp((x_n + r * s_n).tanh(), h, z)
        outputs.append(h)
    return torch.stack(outputs), h


class _Simple(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected: torch.Tensor, h: torch.Tensor, kernel: torch.Tensor, relu: bool) -> States:
        states = _starting_with(h, len(projected))
        parts = projected, states[:-1], states[1:]
        for x, before, after in zip(*map(torch.unbind, parts), strict=True):
            torch.addmm(x, before, kernel, out=after)
            after.relu_() if relu else after.tanh_()
        ctx.save_for_backward(projected, h, kernel, states)
        ctx.relu = relu
        ctx.set_materialize_grads(False)
        return states[1:], states[-1].clone()

    @staticmethod
    def backward(ctx: Any, d_outputs: Any, d_last: Any) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        *inputs, states = ctx.saved_tensors
        if torch.is_grad_enabled():
            formula = partial(_simple_in_torch, torch.relu if ctx.relu else torch.tanh)
            return (*_differentiable(formula, inputs, ctx.needs_input_grad, (d_outputs, d_last)), None)
        kernel, outputs = inputs[2], states[1:]
        d = torch.empty_like(outputs)
        back = kernel.t()
        dh = _gradient_of_last(outputs[0], d_last)
        for part in _parts(len(d), dh.numel()):
            if ctx.relu:
                torch.sign(outputs[part], out=d[part])
            else:
                torch.mul(outputs[part], outputs[part], out=d[part]).neg_().add_(1.0)
            for step in reversed(range(part.start, part.stop)):
                if d_outputs is not None:
                    dh += d_outputs[step]
                d[step] *= dh
                torch.mm(d[step], back, out=dh)
        d_kernel = (d.flatten(0, 1).t() @ states[:-1].flatten(0, 1)).t()
        return d, dh, d_kernel, None


def _simple_in_torch(act: Any, projected: torch.Tensor, h: torch.Tensor, kernel: torch.Tensor) -> States:
    outputs = []
    for x in projected.unbind():
        h = act(torch.addmm(x, h, kernel))
        outputs.append(h)
    return torch.stack(outputs), h


class _Lstm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected: torch.Tensor, h: torch.Tensor, c: torch.Tensor, kernel: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        steps, batch, _ = projected.shape
        x = projected.reshape(steps, batch, 4, -1).transpose(1, 2)
        gates = projected.new_empty(x.shape)  # (time, 4, batch, units)
        states, carries = _starting_with(h, steps), _starting_with(c, steps)
        shown = torch.empty_like(carries[1:])
        kernels = _by_gate(kernel)
        seen = torch.empty_like(noise)
        parts = (x, gates, *gates.unbind(1), gates[:, :2], states[:-1], states[1:], carries[:-1], carries[1:], shown)
        for each, own, i, f, g, o, both, before, after, old_c, new_c, of_c in zip(
            *map(torch.unbind, parts), strict=True
        ):
            torch.mul(before, noise, out=seen)
            torch.baddbmm(each, seen, kernels, out=own)
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
            return _differentiable(_lstm_in_torch, inputs, ctx.needs_input_grad, (d_outputs, d_last, d_carry))
        kernel, noise = inputs[3:]
        steps, _, batch, units = gates.shape
        d = torch.empty_like(gates)
        back = _by_gate(kernel).transpose(1, 2)
        dh, dc = _gradient_of_last(shown[0], d_last), _gradient_of_last(shown[0], d_carry)
        own = torch.empty_like(noise)
        for part in _parts(steps, dh.numel()):
            of_carry = _lstm_factors(gates[part], carries[:-1][part], shown[part], d[part])
            for step in reversed(range(part.start, part.stop)):
                if d_outputs is not None:
                    dh += d_outputs[step]
                dc.addcmul_(dh, of_carry[step - part.start])
                d[step, 3] *= dh
                d[step, :3] *= dc
                dc *= gates[step, 1]
                torch.bmm(d[step], back, out=own)
                torch.sum(own.mul_(noise), 0, out=dh)
        seen = [(states[:-1] * each).view(steps * batch, units) for each in noise]
        d_kernel = torch.cat([d[:, k].reshape(steps * batch, units).t() @ seen[k] for k in range(4)]).t()
        return d.transpose(1, 2).reshape(steps, batch, 4 * units), dh, dc, d_kernel, None


def _by_gate(kernel: torch.Tensor) -> torch.Tensor:
    return torch.stack(kernel.chunk(4, 1))


def _lstm_factors(gates: torch.Tensor, c: torch.Tensor, shown: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """By what the gradient of a carry is multiplied to give those of i, f and g before their activations, and the
    gradient of a state to give those of o and, returned, of the carry."""
    i, f, g, o = gates.unbind(1)
    of_i, of_f, of_g, of_o = d.unbind(1)
    for gate, factor, other in ((i, of_i, g), (f, of_f, c), (o, of_o, shown)):
        torch.addcmul(gate, gate, gate, value=-1.0, out=factor).mul_(other)
    torch.mul(g, g, out=of_g)
    torch.addcmul(i, i, of_g, value=-1.0, out=of_g)
    return torch.addcmul(o, o * shown, shown, value=-1.0)


def _lstm_in_torch(
    projected: torch.Tensor, h: torch.Tensor, c: torch.Tensor, kernel: torch.Tensor, noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    kernels, outputs = _by_gate(kernel), []
    for x in projected.unbind():
        i, f, g, o = torch.baddbmm(x.unflatten(1, (4, -1)).transpose(0, 1), h * noise, kernels)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return torch.stack(outputs), h, c


def _starting_with(h: torch.Tensor, steps: int) -> torch.Tensor:
    """Room for the states before and after each step, of which the first is there."""
    states = h.new_empty(steps + 1, *h.shape)
    states[0] = h
    return states


def _gradient_of_last(state: torch.Tensor, d_last: torch.Tensor | None) -> torch.Tensor:
    return torch.zeros_like(state) if d_last is None else d_last.clone(memory_format=torch.contiguous_format)


def _parts(steps: int, size: int) -> Iterator[slice]:
    """The steps in parts, the last first."""
    together = max(1, _TOGETHER // max(1, size))
    return (slice(start, min(start + together, steps)) for start in reversed(range(0, steps, together)))


def _differentiable(
    formula: Callable[..., tuple[torch.Tensor, ...]],
    inputs: Sequence[torch.Tensor],
    needed: Sequence[bool],
    gradients: Sequence[Any],
) -> tuple[torch.Tensor | None, ...]:
    """The gradients in a form that has gradients itself: those of the formula, as torch finds them."""
    given = [(output, each) for output, each in zip(formula(*inputs), gradients, strict=True) if each is not None]
    wanted = [each for each, need in zip(inputs, needed, strict=False) if need]
    outputs, of_outputs = zip(*given, strict=True)
    found = iter(torch.autograd.grad(outputs, wanted, of_outputs, create_graph=True, allow_unused=True))
    return tuple(next(found) if need else None for need in needed[: len(inputs)])
