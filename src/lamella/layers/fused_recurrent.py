"""The way to fused recurrent kernels: oneDNN's and ATen's on the CPU, cuDNN on CUDA, and those with
`recurrent_gradients`.

They compute all steps in one call, and know nothing of masks. Here any mask is brought to the one form that
they can bear, without looking at its values (which would wait for the device): the real steps of each sample
are moved to the front, what follows them is padding, and the results are put back where they belong.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import _VF  # type: ignore[attr-defined]

from lamella import activations
from lamella.engine.eager import transformed
from lamella.layers import gru_gradients, recurrent_gradients, simple_rnn_gradients

_SURE = 1e4  # sigmoid(1e4) is 1 and sigmoid(-1e4) is 0, to the last bit

_TANH = (activations.tanh, torch.tanh)
_SIGMOID = (activations.sigmoid, torch.sigmoid)
_RELU = (activations.relu, torch.relu, torch.nn.functional.relu)


def is_tanh(function: object) -> bool:
    """Whether an activation is the hyperbolic tangent."""
    return function in _TANH


def is_sigmoid(function: object) -> bool:
    """Whether an activation is the logistic sigmoid."""
    return function in _SIGMOID


def is_relu(function: object) -> bool:
    """Whether an activation is the plain ReLU."""
    return function in _RELU


def available(x: torch.Tensor) -> bool:
    """Whether the kernels take sequences like `x`: on the CPU or CUDA, not empty, under no transform such as vmap."""
    return (
        x.device.type in ("cpu", "cuda")
        and (x.device.type == "cuda" or x.dtype in (torch.float32, torch.float64))
        and x.numel() > 0
        and not transformed()
    )


def lstm(
    x: torch.Tensor,
    h: torch.Tensor,
    c: torch.Tensor,
    kernel: torch.Tensor,
    recurrent_kernel: torch.Tensor,
    bias: torch.Tensor | None,
    padding: torch.Tensor | None = None,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """All steps of an LSTM with Keras's weights; torch has its gates in the same order (i, f, c, o).

    Args:
        x: (batch, time, features).
        h: The state at first, (batch, units).
        c: The carry at first, (batch, units).
        kernel: (features, 4 * units).
        recurrent_kernel: (units, 4 * units).
        bias: (4 * units,), or None.
        padding: (batch, time), True where the carry is to stay as it is.

    Returns:
        The outputs (batch, time, units), and the last state and carry.
    """
    weights = [kernel.t(), recurrent_kernel.t()]
    if padding is not None:  # one feature more, which is 1 there
        x = torch.cat([x, padding.unsqueeze(-1).to(x.dtype)], -1)
        weights[0] = torch.cat([kernel, gates_that_keep(kernel)]).t()
    if bias is not None:
        weights += [bias, torch.zeros_like(bias)]
    states = (h.unsqueeze(0).contiguous(), c.unsqueeze(0).contiguous())
    y, h, c = _VF.lstm(x, states, _laid_out(weights), bias is not None, 1, 0.0, _records(), False, True)
    return y, [h.squeeze(0), c.squeeze(0)]


def gates_that_keep(kernel: torch.Tensor) -> torch.Tensor:
    """What shuts the input gate of an LSTM and opens the forget gate, so that the carry stays: (1, 4 * units)."""
    units = kernel.shape[1] // 4
    row = kernel.new_zeros(1, 4 * units)
    row[:, :units] = -_SURE
    row[:, units : 2 * units] = _SURE
    return row


def gru(
    x: torch.Tensor,
    h: torch.Tensor,
    kernel: torch.Tensor,
    recurrent_kernel: torch.Tensor,
    bias: torch.Tensor | None,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """All steps of a GRU (reset_after) with Keras's weights, whose gates z, r, h are torch's second, first, third.

    Args:
        x: (batch, time, features).
        h: The state at first, (batch, units).
        kernel: (features, 3 * units).
        recurrent_kernel: (units, 3 * units).
        bias: (2, 3 * units), that of the inputs and that of the state, or None.

    Returns:
        The outputs (batch, time, units), and the last state.
    """
    if recurrent_gradients.pays(x, h, kernel.t(), recurrent_kernel.t()):
        inward, own = (None, None) if bias is None else bias.unbind()
        y, last = gru_gradients.gru(_projected(x, kernel, inward), h, recurrent_kernel, own)
        return y.transpose(0, 1), [last]
    weights = [_swapped(kernel.t()), _swapped(recurrent_kernel.t())]
    if bias is not None:
        weights += [_swapped(bias[0]), _swapped(bias[1])]
    state = h.unsqueeze(0).contiguous()
    y, h = _VF.gru(x, state, _laid_out(weights), bias is not None, 1, 0.0, _records(), False, True)
    return y, [h.squeeze(0)]


def simple(
    x: torch.Tensor,
    h: torch.Tensor,
    kernel: torch.Tensor,
    recurrent_kernel: torch.Tensor,
    bias: torch.Tensor | None,
    relu: bool = False,
    noise: torch.Tensor | None = None,
    padding: torch.Tensor | None = None,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """All steps of a plain recurrent layer with tanh (or ReLU); shapes as for `gru`, with one gate and one bias.

    On the CPU only: `noise` (batch, units), by which the state is multiplied before each product. `padding`
    (batch, time) is True where the outputs do not count.
    """
    if noise is not None or recurrent_gradients.pays(x, h, kernel.t(), recurrent_kernel.t()):
        inputs = _projected(x, kernel, bias)
        if relu and padding is not None:  # whose states could grow until 0 times them is no number
            inputs = inputs.masked_fill(padding.t().unsqueeze(-1), -torch.inf)
        y, last = simple_rnn_gradients.simple(inputs, h, recurrent_kernel, relu, noise)
        return y.transpose(0, 1), [last]
    run = _VF.rnn_relu if relu else _VF.rnn_tanh
    weights = [kernel.t(), recurrent_kernel.t()]
    if bias is not None:
        weights += [bias, torch.zeros_like(bias)]
    state = h.unsqueeze(0).contiguous()
    y, h = run(x, state, _laid_out(weights), bias is not None, 1, 0.0, _records(), False, True)
    return y, [h.squeeze(0)]


def _projected(x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """The inputs' share of each step: (batch, time, features) -> (time, batch, gates * units)."""
    return F.linear(x.transpose(0, 1).contiguous(), kernel.t(), bias)


def _records() -> bool:
    return torch.is_grad_enabled()  # only what runs as training can be differentiated by cuDNN


def _swapped(gates: torch.Tensor) -> torch.Tensor:
    z, r, n = gates.chunk(3)
    return torch.cat([r, z, n])


def _laid_out(weights: list[torch.Tensor]) -> list[torch.Tensor]:
    if not weights[0].is_cuda:
        return weights
    # cuDNN wants them one after the other in one piece of memory, or it warns and copies them itself.
    together = torch.cat([weight.reshape(-1) for weight in weights])
    pieces = together.split([weight.numel() for weight in weights])
    return [piece.view(weight.shape) for piece, weight in zip(pieces, weights, strict=True)]


class Gathered:
    """The real steps of masked sequences moved to the front, and the way back.

    Args:
        mask: (batch, time), True where a step is real.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        self.mask = mask
        self.count = mask.cumsum(1)
        """How many real steps there were until each step, itself included."""
        steps, length = torch.arange(mask.shape[1], device=mask.device), self.count[:, -1:]
        place = torch.where(mask, self.count - 1, length + steps - self.count)  # not by a stable sort: ONNX has none
        self.order = torch.zeros_like(place).scatter(1, place, steps.expand_as(place))
        self.padding = steps >= length

    def forth(self, x: torch.Tensor) -> torch.Tensor:
        """`x` (batch, time, features) with the real steps first and zeros after them."""
        steps = x.gather(1, self.order.unsqueeze(-1).expand(*self.order.shape, x.shape[-1]))
        return steps.masked_fill(self.padding.unsqueeze(-1), 0.0)

    def back(self, y: torch.Tensor, zero: bool) -> torch.Tensor:
        """Outputs put back: a masked step repeats the last real one's; it is 0 if it comes first, or if `zero`."""
        index = (self.count - 1).clamp(min=0).unsqueeze(-1).expand(*self.count.shape, y.shape[-1])
        nothing = self.mask.logical_not() if zero else self.count == 0
        return y.gather(1, index).masked_fill(nothing.unsqueeze(-1), 0.0)

    def last(self, y: torch.Tensor, otherwise: torch.Tensor) -> torch.Tensor:
        """The output (batch, units) of each sample's last real step; `otherwise` where it has none."""
        length = self.count[:, -1]
        index = (length - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, y.shape[-1])
        return torch.where((length == 0).unsqueeze(-1), otherwise, y.gather(1, index).squeeze(1))

    def last_output(self, last: torch.Tensor, zero: bool) -> torch.Tensor:
        """The output of the last step, by the rule of `back`, from that of the last real one."""
        nothing = self.mask[:, -1].logical_not() if zero else self.count[:, -1] == 0
        return last.masked_fill(nothing.unsqueeze(-1), 0.0)


def fits(x: torch.Tensor, states: Sequence[torch.Tensor], kernel: torch.Tensor, units: int) -> bool:
    """Whether the sizes agree: oneDNN's kernel does not look, and would read past its weights."""
    return x.shape[-1] == kernel.shape[0] and all(tuple(state.shape) == (x.shape[0], units) for state in states)
