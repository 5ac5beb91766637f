"""`BoltzmannMachine`: units that are all connected with one another, some of them visible."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from lamella.energy.energy_model import EnergyModel
from lamella.energy.enumeration import all_states, refuse_many
from lamella.energy.visible_units import BernoulliUnits, coins
from lamella.errors import ArgumentError, ShapeError
from lamella.initializers import RandomNormal
from lamella.metrics import Mean, Metric
from lamella.saving import register_keras_serializable


@register_keras_serializable(package="lamella")
class BoltzmannMachine(EnergyModel):
    """Bits s, visible ones first, that agree with their neighbours as the weights ask them to: p(s) = exp(-E(s)) / Z.

        E(s) = - s @ kernel @ s / 2 - s @ bias

    The kernel is symmetric with a zero diagonal. A unit is on with probability sigmoid(what the others send it),
    so that units are drawn one after the other (Gibbs sampling); many chains go side by side.

    Learning compares how often two units are on together with the data clamped to the visible units, and when the
    machine runs freely:

        kernel += rate * (<s_i s_j> clamped - <s_i s_j> free)

        machine = BoltzmannMachine(10, hidden_units=5)
        machine.compile(SGD(0.1))
        machine.fit(v, epochs=100)

    Args:
        visible_units: The number of visible bits.
        hidden_units: The number of others.
        chains: How many free chains are kept from one update to the next.
        sweeps: Sweeps over all units for each update, in both phases.
        **kwargs: As for every model.

    `machine(v)` gives the mean-field probabilities of the hidden units, (batch, hidden), for data (batch, visible).
    Weights: `kernel` (units, units), `bias` (units,), and `chain_states` (chains, units).

    Raises:
        ArgumentError: Arguments out of range.

    Source: Ackley, Hinton and Sejnowski, A learning algorithm for Boltzmann machines, 1985.

    Example:
        >>> import lamella
        >>> lamella.utils.set_random_seed(0)
        >>> machine = BoltzmannMachine.from_weights([[0.0, 2.0], [2.0, 0.0]], [-1.0, -1.0])
        >>> machine.probabilities_exact()  # of 00, 10, 01, 11: the two units agree
        tensor([0.3655, 0.1345, 0.1345, 0.3655])
        >>> machine.sample(1000, sweeps=20).prod(1).mean() > 0.3
        tensor(True)
    """

    kernel: torch.Tensor
    bias: torch.Tensor

    def __init__(
        self, visible_units: int, hidden_units: int = 0, chains: int = 100, sweeps: int = 5, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        given = {"visible_units": visible_units, "hidden_units": hidden_units, "chains": chains, "sweeps": sweeps}
        for name, value in given.items():
            least = 0 if name == "hidden_units" else 1
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ArgumentError(f"BoltzmannMachine: `{name}` is a whole number, {least} or more; got {value!r}.")
        self.visible_units = visible_units
        self.hidden_units = hidden_units
        self.chains = chains
        self.sweeps = sweeps
        self.number_of_units = visible_units + hidden_units
        self._difference = Mean(name="loss")
        self.build((None, visible_units))

    def build(self, input_shape: Any = None) -> None:
        if self.built:
            return
        n = self.number_of_units
        self.kernel = self.add_weight((n, n), _symmetric, name="kernel")
        self.bias = self.add_weight((n,), "zeros", name="bias")
        self.chain_states = self.add_weight((self.chains, n), coins, trainable=False, name="chain_states")

    @classmethod
    def from_weights(cls, kernel: Any, bias: Any = None, **options: Any) -> BoltzmannMachine:
        """A machine of visible units alone, with given weights: for its distribution, or to minimize its energy.

        Args:
            kernel: (units, units), symmetric, with a zero diagonal.
            bias: (units,); zeros by default.
            **options: As for the class.

        Raises:
            ShapeError: A kernel that is not square, or a bias of another size.
            ArgumentError: A kernel that is not symmetric, or whose diagonal is not zero.
        """
        kernel = torch.as_tensor(kernel, dtype=torch.float32)
        if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
            raise ShapeError(f"BoltzmannMachine: the kernel must be (units, units); got shape {tuple(kernel.shape)}.")
        if not torch.allclose(kernel, kernel.T):
            row, column = (kernel != kernel.T).nonzero()[0].tolist()
            raise ArgumentError(
                f"BoltzmannMachine: the kernel must be symmetric; [{row}, {column}] is {kernel[row, column]:g}, "
                f"[{column}, {row}] is {kernel[column, row]:g}. (kernel + kernel.T) / 2 has the same energies."
            )
        if kernel.diagonal().any():
            raise ArgumentError(
                "BoltzmannMachine: the kernel's diagonal must be zero. As s * s = s, add half of it to the bias."
            )
        machine = cls(len(kernel), **options)
        with torch.no_grad():
            machine.kernel.copy_(kernel)
            if bias is not None:
                bias = torch.as_tensor(bias, dtype=torch.float32)
                if bias.shape != machine.bias.shape:
                    raise ShapeError(f"BoltzmannMachine: the bias must be ({len(kernel)},); got {tuple(bias.shape)}.")
                machine.bias.copy_(bias)
        return machine

    def call(self, inputs: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self._mean_field(inputs.to(self.kernel.dtype), len(inputs), 30)[:, self.visible_units :]

    # -- the distribution ---------------------------------------------------------------------------------

    def energy(self, s: Any) -> torch.Tensor:
        """E of each state, (batch,).

        Args:
            s: States of all units, (batch, units), visible ones first.
        """
        s = self._states(s)
        return -(s @ self.kernel * s).sum(1) / 2 - s @ self.bias

    def free_energy(self, v: Any) -> torch.Tensor:
        """F(v) = -log of the sum over all hidden states of exp(-E), (batch,), added up.

        Args:
            v: Visible states, (batch, visible).

        Raises:
            ArgumentError: More than 2**25 hidden states for all rows together.
        """
        v = self._tensor(v)
        self.check_data(v)
        refuse_many(len(v) * 2.0**self.hidden_units, "free_energy", "Use fewer rows or hidden units.")
        v = v.to(self.kernel.dtype)
        parts = []
        for h in all_states(2, self.hidden_units, self.kernel):
            s = torch.cat([v.repeat_interleave(len(h), 0), h.repeat(len(v), 1)], 1)
            parts.append((-self.energy(s)).view(len(v), -1).logsumexp(1))
        return -torch.stack(parts).logsumexp(0)

    def log_partition_exact(self) -> torch.Tensor:
        """log Z, a scalar, by a sum over all states.

        Raises:
            ArgumentError: More than 25 units.
        """
        refuse_many(2.0**self.number_of_units, "log_partition_exact", "Draw samples in place of a sum.")
        blocks = all_states(2, self.number_of_units, self.kernel)
        return torch.stack([(-self.energy(s)).logsumexp(0) for s in blocks]).logsumexp(0)

    @torch.no_grad()
    def probabilities_exact(self) -> torch.Tensor:
        """p of every state of all units, (2**units,); state i has the bits of i, unit 0 the lowest.

        Raises:
            ArgumentError: More than 25 units.
        """
        refuse_many(2.0**self.number_of_units, "probabilities_exact", "Draw samples in place of a sum.")
        blocks = all_states(2, self.number_of_units, self.kernel)
        return torch.cat([-self.energy(s) for s in blocks]).softmax(0)

    @torch.no_grad()
    def gibbs_sweep(self, s: Any, temperature: float = 1.0, clamp_visible: bool = False) -> torch.Tensor:
        """Draws each unit once, in turn, given all others; every row is a chain of its own.

        Args:
            s: States (chains, units).
            temperature: Energies are divided by it.
            clamp_visible: Whether the visible units stay as they are.
        """
        columns = self._states(s).T.contiguous()
        return self._sweep(columns, temperature, self.visible_units if clamp_visible else 0).T.contiguous()

    @torch.no_grad()
    def sample(self, n: int | None = None, sweeps: int = 100, visible: Any = None) -> torch.Tensor:
        """Draws states of all units by Gibbs sampling from random bits, in n chains at once.

        Args:
            n: How many; with `visible`, its rows.
            sweeps: Sweeps of each chain.
            visible: Data (n, visible) that the visible units are clamped to.

        Returns:
            (n, units), visible units first.
        """
        return self.anneal(n, [1.0] * sweeps, visible)

    @torch.no_grad()
    def anneal(self, n: int | None, schedule: Iterable[float], visible: Any = None) -> torch.Tensor:
        """Simulated annealing: one sweep at each temperature of the schedule, from random bits, in n chains at once.

        With temperatures that fall to nearly 0, chains settle in states of low energy: the least of `energy(states)` is
        a good guess at the minimum of a quadratic function of bits.

        Args:
            n: How many chains; with `visible`, its rows.
            schedule: The temperatures, above 0.
            visible: Data (n, visible) that the visible units are clamped to.

        Returns:
            (n, units), visible units first.

        Raises:
            ArgumentError: A temperature of 0 or less, or neither `n` nor `visible`.

        Source: Kirkpatrick, Gelatt and Vecchi, 1983.
        """
        temperatures = [float(t) for t in schedule]
        if any(not t > 0 for t in temperatures):
            raise ArgumentError("anneal: temperatures must be above 0; end the schedule at 0.01 rather than at 0.")
        if visible is not None:
            visible = self._tensor(visible)
            self.check_data(visible)
            n = len(visible)
        if n is None:
            raise ArgumentError("sample, anneal: say how many chains, `n`, or give `visible`.")
        columns = coins((self.number_of_units, n)).to(self.kernel)
        if visible is not None:
            columns[: self.visible_units] = visible.T
        for temperature in temperatures:
            self._sweep(columns, temperature, 0 if visible is None else self.visible_units)
        return columns.T.contiguous()

    @torch.no_grad()
    def mean_field(self, visible: Any = None, iterations: int = 100) -> torch.Tensor:
        """Probabilities q of all units as if they were independent: q = sigmoid(q @ kernel + bias), found by iteration.

        Args:
            visible: Data (batch, visible) that the visible units are clamped to; free by default, and one row.
            iterations: How often; half of each new q is the old one, so that it settles.

        Returns:
            (batch, units).

        Source: Peterson and Anderson, 1987.
        """
        if visible is None:
            return self._mean_field(None, 1, iterations)
        visible = self._tensor(visible)
        self.check_data(visible)
        return self._mean_field(visible.to(self.kernel.dtype), len(visible), iterations)

    def _mean_field(self, visible: torch.Tensor | None, rows: int, iterations: int) -> torch.Tensor:
        q = torch.full((rows, self.number_of_units), 0.5, dtype=self.kernel.dtype, device=self.kernel.device)
        for _ in range(iterations):
            if visible is not None:
                q = torch.cat([visible, q[:, self.visible_units :]], 1)
            q = (q + torch.addmm(self.bias, q, self.kernel).sigmoid()) / 2
        return q if visible is None else torch.cat([visible, q[:, self.visible_units :]], 1)

    def _sweep(self, columns: torch.Tensor, temperature: float, first: int) -> torch.Tensor:
        """One sweep in place over units (units, chains), from unit `first` on."""
        # A unit is on if a uniform number is below sigmoid(total / T), that is, total above T * logit(number)
        bounds = torch.rand_like(columns[first:]).logit_().mul_(temperature).sub_(self.bias[first:, None])
        for i, row, bound in zip(range(first, len(columns)), self.kernel[first:], bounds, strict=True):
            columns[i] = (row @ columns).gt_(bound)
        return columns

    # -- training -------------------------------------------------------------------------------------------

    def check_data(self, v: torch.Tensor) -> None:
        if v.ndim != 2 or v.shape[1] != self.visible_units:
            raise ShapeError(
                f"BoltzmannMachine {self.name!r} takes data (rows, {self.visible_units}); got shape {tuple(v.shape)}."
            )
        BernoulliUnits().check(v, f"BoltzmannMachine {self.name!r}")

    @property
    def metrics(self) -> list[Metric]:
        """`loss`: the mean energy of the clamped states less that of the free ones."""
        return [self._difference]

    @torch.no_grad()
    def train_step(self, data: Any) -> None:
        """One update: free statistics less clamped ones are the gradient of -log p(v)."""
        v = self._batch(data).to(self.kernel.dtype)
        clamped = torch.cat([v, coins((len(v), self.hidden_units)).to(v)], 1).T.contiguous()
        free = self.chain_states.T.contiguous()
        for _ in range(self.sweeps):
            if self.hidden_units:
                self._sweep(clamped, 1.0, self.visible_units)
            self._sweep(free, 1.0, 0)
        self.chain_states.copy_(free.T)
        together = (free @ free.T / free.shape[1] - clamped @ clamped.T / len(v)).fill_diagonal_(0)
        alone = free.mean(1) - clamped.mean(1)
        self._difference.update_state(self.energy(clamped.T).mean() - self.energy(free.T).mean())
        self.optimizer.apply([together, alone])

    @torch.no_grad()
    def test_step(self, data: Any) -> None:
        """The mean energy of the data, hidden units at their mean-field values, less that of the free chains."""
        v = self._batch(data)
        self.check_data(v)
        clamped = self._mean_field(v.to(self.kernel.dtype), len(v), 30)
        self._difference.update_state(self.energy(clamped).mean() - self.energy(self.chain_states).mean())

    def _states(self, s: Any) -> torch.Tensor:
        s = self._tensor(s)
        if s.ndim != 2 or s.shape[1] != self.number_of_units:
            raise ShapeError(
                f"BoltzmannMachine {self.name!r}: states are (rows, {self.number_of_units}), visible and hidden units; "
                f"got shape {tuple(s.shape)}."
            )
        return s.to(self.kernel.dtype)


def _symmetric(shape: Any, dtype: Any = None) -> torch.Tensor:
    upper = torch.as_tensor(RandomNormal(stddev=0.01)(shape, dtype=dtype)).triu(1)
    return upper + upper.T
