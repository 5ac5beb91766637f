"""What stands at the visible side of a restricted Boltzmann machine: bits, numbers or classes.

Each kind says how data become the rows `x` (batch, columns) that the kernel multiplies, what a column's own energy
is, and how a visible unit is distributed when the hidden ones are known. `total` is always bias + kernel @ hidden.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import DataError

_LOG_2_PI = math.log(2 * math.pi)


class BernoulliUnits:
    """Units that are 0 or 1; data may lie between, as probabilities."""

    def columns(self, units: int) -> int:
        """The rows of the kernel for so many units."""
        return units

    def check(self, v: torch.Tensor, who: str) -> None:
        """Raises DataError for data outside 0..1."""
        bad = ~((v >= 0) & (v <= 1))
        _refuse(v, bad, f"{who}: Bernoulli units take data from 0 to 1", "Scale or binarize them, or take 'gaussian'.")

    def encode(self, v: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Data as rows for the kernel."""
        return v.to(dtype)

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """Rows for the kernel as data."""
        return x

    def energy(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """The part of the energy that no hidden unit has to do with, (batch,)."""
        return -(x @ bias)

    def mean(self, total: torch.Tensor) -> torch.Tensor:
        """The expected rows, given bias + kernel @ hidden."""
        return total.sigmoid()

    def draw(self, total: torch.Tensor) -> torch.Tensor:
        """Random rows, given bias + kernel @ hidden."""
        return bits(total.sigmoid())

    def shaped(self, x: torch.Tensor) -> torch.Tensor:
        """Expected rows as they are shown to the user."""
        return x

    def log_sum(self, total: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """log of the sum over all visible states of exp(-energy), for each row of totals, (batch,)."""
        return F.softplus(total).sum(-1)

    def independent_bias(self, v: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """The bias with which the units alone, without hidden ones, fit the data best (add-one smoothing)."""
        return torch.logit((v.to(dtype).sum(0) + 1) / (len(v) + 2))


class GaussianUnits:
    """Units that are real numbers, of variance 1 given the hidden ones."""

    def columns(self, units: int) -> int:
        return units

    def check(self, v: torch.Tensor, who: str) -> None:
        bad = ~torch.isfinite(v)
        _refuse(v, bad, f"{who}: Gaussian units take finite numbers", "Clean the data; each column of variance 1.")

    def encode(self, v: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return v.to(dtype)

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def energy(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return (x - bias).square().sum(-1) / 2

    def mean(self, total: torch.Tensor) -> torch.Tensor:
        return total

    def draw(self, total: torch.Tensor) -> torch.Tensor:
        return total + torch.randn_like(total)

    def shaped(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def log_sum(self, total: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        # exp(-(v - b)^2/2 + v (total - b)), integrated over v
        return (total.square() - bias.square()).sum(-1) / 2 + 0.5 * total.shape[-1] * _LOG_2_PI

    def independent_bias(self, v: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return v.to(dtype).mean(0)


class SoftmaxUnits:
    """Units that are one of several classes; a row has one column for each unit and class.

    Args:
        classes: How many classes there are.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def columns(self, units: int) -> int:
        return units * self.classes

    def check(self, v: torch.Tensor, who: str) -> None:
        bad = ~((v >= 0) & (v < self.classes) & (v == v.round()))
        _refuse(v, bad, f"{who}: classes are whole numbers from 0 to {self.classes - 1}", "Count classes from 0.")

    def encode(self, v: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        each = torch.arange(self.classes, device=v.device)
        return (v.unsqueeze(-1) == each).flatten(-2).to(dtype)

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        return self._by_unit(x).argmax(-1)

    def energy(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return -(x @ bias)

    def mean(self, total: torch.Tensor) -> torch.Tensor:
        return self._by_unit(total).softmax(-1).flatten(-2)

    def draw(self, total: torch.Tensor) -> torch.Tensor:
        # The greatest of total + Gumbel noise is distributed as softmax(total)
        noise = torch.empty_like(total).exponential_().log_()
        return self.encode(self._by_unit(total - noise).argmax(-1), total.dtype)

    def shaped(self, x: torch.Tensor) -> torch.Tensor:
        return self._by_unit(x)

    def log_sum(self, total: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return self._by_unit(total).logsumexp(-1).sum(-1)

    def independent_bias(self, v: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return ((self.encode(v, dtype).sum(0) + 1) / (len(v) + self.classes)).log()

    def _by_unit(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (-1, self.classes))


VisibleUnits = BernoulliUnits | GaussianUnits | SoftmaxUnits


def bits(probabilities: torch.Tensor) -> torch.Tensor:
    """1 with each probability, else 0, in the type of the probabilities."""
    return torch.rand_like(probabilities).lt_(probabilities)


def coins(shape: Any, dtype: Any = None) -> torch.Tensor:
    """0 or 1, with equal chances."""
    return torch.randint(0, 2, tuple(shape)).to(dtype or torch.float32)


def _refuse(v: torch.Tensor, bad: torch.Tensor, what: str, mend: str) -> None:
    if not bool(bad.any()):
        return
    row, column = bad.nonzero()[0].tolist()
    value: Any = v[row, column].item()
    rows = int(bad.any(1).sum())
    raise DataError(f"{what}; row {row}, column {column} is {value:g}, and {rows} of {len(v)} rows are wrong. {mend}")
