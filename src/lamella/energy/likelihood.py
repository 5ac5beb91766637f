"""Sums over the states of a restricted Boltzmann machine: all of them, or those that differ in one unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lamella.energy.enumeration import all_states, refuse_many
from lamella.energy.visible_units import GaussianUnits, SoftmaxUnits
from lamella.errors import ArgumentError

if TYPE_CHECKING:
    from lamella.energy.restricted import RestrictedBoltzmannMachine


def log_partition_exact(rbm: RestrictedBoltzmannMachine) -> float:
    """log Z, by a sum over all states of the smaller side."""
    kind, kernel, classes = rbm.unit_kind, rbm.kernel, rbm.classes or 2
    units = len(kernel) // (rbm.classes or 1)
    visible_states = float("inf") if isinstance(kind, GaussianUnits) else float(classes) ** units
    hidden_states = 2.0**rbm.hidden_units
    refuse_many(
        min(visible_states, hidden_states),
        "log_partition_exact",
        "Estimate log Z with lamella.energy.annealed_importance_sampling(rbm, x).",
    )
    parts = []
    if hidden_states <= visible_states:
        visible_bias, hidden_bias = rbm.visible_bias.double(), rbm.hidden_bias.double()
        for h in all_states(2, rbm.hidden_units, kernel.double()):
            alone = kind.log_sum(torch.addmm(visible_bias, h, kernel.T.double()), visible_bias)
            parts.append((alone + h @ hidden_bias).logsumexp(0))
    else:
        parts = [(-rbm.free_energy(v).double()).logsumexp(0) for v in all_states(classes, units, kernel)]
    return float(torch.stack(parts).logsumexp(0))


def pseudo_log_likelihood(rbm: RestrictedBoltzmannMachine, v: Any, exact: bool) -> torch.Tensor:
    """The sum over visible units of log p(unit | all others), (batch,), exact or by one unit for each row."""
    if isinstance(rbm.unit_kind, GaussianUnits):
        raise ArgumentError("pseudo_log_likelihood is for Bernoulli and softmax units; this machine has Gaussian ones.")
    v = torch.as_tensor(v, device=rbm.kernel.device)
    units = v.shape[1]
    if not exact:
        return units * _log_conditional(rbm, v, torch.randint(units, (len(v),), device=v.device))
    each = torch.arange(units, device=v.device)
    return torch.stack([_log_conditional(rbm, row.expand(units, -1), each).sum() for row in v])


def _log_conditional(rbm: RestrictedBoltzmannMachine, v: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """log p(a visible unit | the others) for each row, given which unit."""
    row = torch.arange(len(v), device=v.device)
    own = v[row, unit]
    if isinstance(rbm.unit_kind, SoftmaxUnits):
        values = torch.arange(rbm.unit_kind.classes, device=v.device).expand(len(v), -1)
        chosen = own.to(torch.int64)
    else:
        values, chosen = torch.stack([own, 1 - own], 1), torch.zeros_like(row)
    tried = v.unsqueeze(1).repeat(1, values.shape[1], 1)
    tried[row, :, unit] = values.to(v.dtype)
    scores = -rbm.free_energy(tried.flatten(0, 1)).view(len(v), -1)
    return scores.log_softmax(-1)[row, chosen]
