"""log Z of a restricted Boltzmann machine too large to add up, by annealed importance sampling."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from lamella.energy.restricted import RestrictedBoltzmannMachine
from lamella.energy.visible_units import bits
from lamella.engine.kernels import best_matmul
from lamella.errors import ArgumentError


class LogPartition(NamedTuple):
    """An estimate of log Z."""

    value: float
    """log Z, in nats."""
    standard_error: float
    """How much it would vary if it were estimated again, in nats, so far as the chains' spread tells."""
    log_weights: torch.Tensor
    """The logarithm of each chain's weight, (chains,): one that stands far above the rest is a warning."""


@torch.no_grad()
def annealed_importance_sampling(
    rbm: RestrictedBoltzmannMachine,
    x: Any = None,
    chains: int = 100,
    temperatures: int | Sequence[float] = 10_000,
) -> LogPartition:
    """Estimates log Z by chains that start from a machine without connections and are led to `rbm` in small steps.

    The machine at beta (one over the temperature) has the kernel and the hidden biases times beta, and visible biases
    between those of independent units and its own. At beta = 0 its Z is known, and each chain is drawn there. At every
    step of the way its weight is multiplied by how much more probable (not normalized) the next machine finds its
    state, and then it makes a Gibbs step in that machine. The mean weight is an unbiased estimate of Z / Z_0. Its
    logarithm is rather too small, so likelihoods come out rather too high: more chains and temperatures mend that.

    Args:
        rbm: The machine.
        x: Data (rows, units) whose independent units are the start, which makes the estimate better; by default the
            start has the machine's own visible biases.
        chains: How many run at once.
        temperatures: How many steps; they are denser near beta = 1, where the distributions change most: half the
            range of beta has a tenth of the steps. Or the rising values of beta, from 0 to 1.

    Raises:
        NotBuiltError: A machine without weights.
        ArgumentError: Fewer than two chains or steps, or values of beta that do not rise from 0 to 1.

    Source: Neal, 2001; Salakhutdinov and Murray, On the quantitative analysis of deep belief networks, 2008.

    Example:
        >>> rbm = RestrictedBoltzmannMachine(3)
        >>> rbm.build((None, 5))
        >>> estimate = annealed_importance_sampling(rbm, temperatures=100)
        >>> abs(estimate.value - rbm.log_partition_exact()) < 0.1
        True
    """
    betas = _schedule(temperatures)
    if isinstance(chains, bool) or not isinstance(chains, int) or chains < 2:
        raise ArgumentError(f"annealed_importance_sampling: `chains` must be 2 or more; got {chains!r}.")
    rbm._need_weights()
    kind, kernel, hidden_bias, own_bias = rbm.unit_kind, rbm.kernel, rbm.hidden_bias, rbm.visible_bias
    base_bias = own_bias if x is None else rbm.independent_bias(x)
    start = base_bias.double().unsqueeze(0)
    log_z = float(kind.log_sum(start, base_bias.double())) + rbm.hidden_units * math.log(2)
    state = kind.draw(base_bias.expand(chains, -1))
    log_weights = torch.zeros(chains, dtype=torch.float64, device=kernel.device)
    bias = base_bias
    with best_matmul(kernel.device):
        for before, beta in itertools.pairwise(betas):
            inputs = torch.addmm(hidden_bias, state, kernel)
            earlier, visible = F.softplus(inputs * before), kind.energy(state, bias)
            inputs *= beta
            bias = torch.lerp(base_bias, own_bias, beta)
            log_weights += (F.softplus(inputs) - earlier).sum(1) + visible - kind.energy(state, bias)
            state = kind.draw(torch.addmm(bias, bits(inputs.sigmoid_()), kernel.T, alpha=beta))
    mean = torch.logsumexp(log_weights, 0) - math.log(chains)
    # The relative error of a mean is, to first order, the absolute error of its logarithm
    error = (log_weights - mean).exp().std() / math.sqrt(chains)
    return LogPartition(log_z + float(mean), float(error), log_weights)


def _schedule(temperatures: int | Sequence[float]) -> list[float]:
    if isinstance(temperatures, int):
        if temperatures < 10:
            raise ArgumentError(f"annealed_importance_sampling: `temperatures` must be 10 or more; got {temperatures}.")
        low, middle = temperatures // 10, 3 * temperatures // 10
        return [
            *torch.linspace(0, 0.5, low + 1)[:-1].tolist(),
            *torch.linspace(0.5, 0.9, middle + 1)[:-1].tolist(),
            *torch.linspace(0.9, 1, temperatures - low - middle + 1).tolist(),
        ]
    betas = [float(beta) for beta in temperatures]
    if len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or any(b <= a for a, b in itertools.pairwise(betas)):
        raise ArgumentError("annealed_importance_sampling: `temperatures` must rise from 0 to 1, both included.")
    return betas
