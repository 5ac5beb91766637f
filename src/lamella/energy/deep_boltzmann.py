"""`DeepBoltzmannMachine`: layers of bits, each connected with the one below and the one above."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.energy.energy_model import EnergyModel
from lamella.energy.enumeration import all_states, refuse_many
from lamella.energy.restricted import RestrictedBoltzmannMachine
from lamella.energy.visible_units import BernoulliUnits, bits, coins
from lamella.engine.kernels import best_matmul
from lamella.errors import ArgumentError, ShapeError
from lamella.initializers import RandomNormal
from lamella.metrics import Mean, Metric
from lamella.optimizers import SGD
from lamella.saving import register_keras_serializable

States = list[torch.Tensor]


@register_keras_serializable(package="lamella")
class DeepBoltzmannMachine(EnergyModel):
    """A Boltzmann machine in layers s_0 (visible), s_1, ..., s_n: p(s) = exp(-E(s)) / Z.

        E(s) = - sum_i s_i @ bias_i - sum_i s_i @ kernel_i @ s_(i+1)

    Given the layers of even number, the units of odd layers are independent, and the other way round: a Gibbs step
    draws half of the layers at once. What is hidden behind data is not to be had exactly, so it is approximated by
    independent units with probabilities q, the best of which are found by iteration (mean field). Training lowers the
    energy of (data, q) and raises that of persistent chains of the machine's own.

        machine = DeepBoltzmannMachine((500, 1000))
        machine.pretrain(images, epochs=10)
        machine.compile(SGD(0.005))
        machine.fit(images, epochs=50, batch_size=100)

    Args:
        hidden_units: The units of each hidden layer, from below.
        chains: How many chains are kept.
        k: Gibbs steps for each update.
        mean_field_steps: Rounds over the hidden layers to find q.
        **kwargs: As for every model.

    `machine(v)` gives q of the last layer, (batch, last), for data (batch, visible) from 0 to 1. Weights: `kernel_0`,
    `kernel_1`, ..., `bias_0`, `bias_1`, ..., and `chains_1`, `chains_3`, ..., the states of the chains' odd layers.

    Raises:
        ArgumentError: No hidden layer, or arguments out of range.

    Source: Salakhutdinov and Hinton, Deep Boltzmann machines, 2009.

    Example:
        >>> import lamella
        >>> lamella.utils.set_random_seed(0)
        >>> v = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]]).repeat(50, 1)
        >>> machine = DeepBoltzmannMachine((4, 2), chains=20)
        >>> machine.compile(SGD(0.2))
        >>> _ = machine.fit(v, epochs=2, batch_size=20, verbose=0)
        >>> machine(v).shape, machine.sample(3, steps=10).shape
        (torch.Size([100, 2]), torch.Size([3, 4]))
    """

    def __init__(
        self,
        hidden_units: Sequence[int],
        chains: int = 100,
        k: int = 5,
        mean_field_steps: int = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_units = tuple(hidden_units)
        numbers = [*self.hidden_units, chains, k, mean_field_steps]
        if not self.hidden_units or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in numbers):
            raise ArgumentError(
                f"DeepBoltzmannMachine: `hidden_units` is one or more whole numbers, and they, `chains`, `k` and "
                f"`mean_field_steps` are 1 or more; got {self.hidden_units}, {chains!r}, {k!r}, {mean_field_steps!r}."
            )
        self.chains = chains
        self.k = k
        self.mean_field_steps = mean_field_steps
        self._trackers = (Mean(name="loss"), Mean(name="reconstruction_error"))

    def build(self, input_shape: Any = None) -> None:
        if input_shape is None or len(input_shape) != 2:
            raise ShapeError(
                f"DeepBoltzmannMachine {self.name!r} takes data (rows, units); got shape {input_shape}. "
                f"Flatten pictures: x.reshape(len(x), -1)."
            )
        self.sizes = (input_shape[-1], *self.hidden_units)
        for i, pair in enumerate(itertools.pairwise(self.sizes)):
            self.add_named_weight(f"kernel_{i}", pair, RandomNormal(stddev=0.01))
        for i, size in enumerate(self.sizes):
            self.add_named_weight(f"bias_{i}", (size,), "zeros")
        for i in range(1, len(self.sizes), 2):
            self.add_named_weight(f"chains_{i}", (self.chains, self.sizes[i]), coins, trainable=False)

    def add_named_weight(self, name: str, shape: tuple[int, ...], initializer: Any, trainable: bool = True) -> None:
        setattr(self, name, self.add_weight(shape, initializer, trainable=trainable, name=name))

    @property
    def kernels(self) -> list[torch.Tensor]:
        """The kernel between each layer and the next, from below."""
        return [getattr(self, f"kernel_{i}") for i in range(len(self.hidden_units))]

    @property
    def biases(self) -> list[torch.Tensor]:
        """The bias of each layer, the visible one first."""
        return [getattr(self, f"bias_{i}") for i in range(len(self.hidden_units) + 1)]

    def call(self, inputs: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self._mean_field(inputs.to(self.kernels[0].dtype), self.mean_field_steps)[-1]

    # -- the distribution ---------------------------------------------------------------------------------

    def energy(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """E of each row, (batch,), given the states of all layers, (batch, units) each, the visible one first."""
        pairs = zip(states, self.kernels, states[1:], strict=False)
        together = [(below @ kernel * above).sum(1) for below, kernel, above in pairs]
        alone = [s @ bias for s, bias in zip(states, self.biases, strict=True)]
        return -torch.stack(together + alone).sum(0)

    def mean_field(self, v: Any, steps: int | None = None) -> States:
        """The probabilities q of each hidden layer, (batch, units) each, given data (batch, visible).

        Layer after layer is set to sigmoid(what its neighbours send it), from below, `steps` times: no step makes the
        variational bound worse.
        """
        return self._mean_field(self._data(v), steps or self.mean_field_steps)[1:]

    def _mean_field(self, v: torch.Tensor, steps: int) -> States:
        q = [v]
        for i, (kernel, bias) in enumerate(zip(self.kernels, self.biases[1:], strict=True), 1):
            twice = 1 if i == len(self.hidden_units) else 2  # in place of what will come from above
            q.append(torch.addmm(bias, q[-1], kernel, alpha=twice).sigmoid())
        for _ in range(steps):
            for i in range(1, len(q)):
                q[i] = self._inputs(q, i).sigmoid()
        return q

    def variational_bound(self, v: Any, log_partition: float, steps: int | None = None) -> torch.Tensor:
        """A lower bound of log p(v), (batch,): the mean of -E(v, h) over q, plus the entropy of q, less log Z.

        Args:
            v: Data (batch, visible).
            log_partition: log Z.
            steps: Mean-field steps.
        """
        v = self._data(v)
        q = self._mean_field(v, steps or self.mean_field_steps)
        # The energy is linear in each unit, so its mean over independent units is that at their means
        entropies = [F.binary_cross_entropy(layer, layer, reduction="none").sum(1) for layer in q[1:]]
        return -self.energy(q) + torch.stack(entropies).sum(0) - log_partition

    @torch.no_grad()
    def log_partition_exact(self) -> float:
        """log Z, by a sum over all states of the odd or of the even layers, whichever have fewer units.

        Raises:
            ArgumentError: More than 25 units in both.
        """
        self._need_weights()
        odd, even = sum(self.sizes[1::2]), sum(self.sizes[::2])
        refuse_many(2.0 ** min(odd, even), "log_partition_exact", "Take smaller layers.")
        first = 1 if odd <= even else 0
        listed = list(self.sizes[first::2])
        parts = []
        for block in all_states(2, sum(listed), self.kernels[0]):
            states = [torch.zeros(len(block), size, dtype=block.dtype, device=block.device) for size in self.sizes]
            states[first::2] = block.split(listed, 1)
            total = -self.energy(states).double()
            for i in range(1 - first, len(states), 2):  # the others are independent, given these
                total += F.softplus(self._inputs(states, i).double()).sum(1)
            parts.append(total.logsumexp(0))
        return float(torch.stack(parts).logsumexp(0))

    @torch.no_grad()
    def gibbs_step(self, states: Sequence[torch.Tensor]) -> States:
        """Draws the even layers given the odd ones, then the odd ones; every row is a chain of its own.

        Args:
            states: The states of all layers, (chains, units) each; those of even layers are not looked at.
        """
        states = list(states)
        for first in (0, 1):
            for i in range(first, len(states), 2):
                states[i] = bits(self._inputs(states, i).sigmoid_())
        return states

    @torch.no_grad()
    def sample(self, n: int, steps: int = 1000, start: Any = None) -> torch.Tensor:
        """Draws visible states by Gibbs sampling, (n, visible), in n chains at once.

        Args:
            n: How many.
            steps: Gibbs steps.
            start: Data (n, visible) whose mean field is where the chains start; random bits by default.
        """
        self._need_weights()
        if start is not None and len(start) != n:
            raise ArgumentError(f"sample: `start` has {len(start)} rows for {n} chains. Give one for each.")
        if start is None:
            states = [coins((n, size)).to(self.kernels[0]) for size in self.sizes]
        else:
            states = [bits(q) for q in self._mean_field(self._data(start), self.mean_field_steps)]
        with best_matmul(self.kernels[0].device):
            for _ in range(steps):
                states = self.gibbs_step(states)
        return states[0]

    def _inputs(self, states: Sequence[torch.Tensor], i: int) -> torch.Tensor:
        """What layer i gets from its neighbours, and its bias, (batch, units)."""
        total = self.biases[i]
        if i > 0:
            total = torch.addmm(total, states[i - 1], self.kernels[i - 1])
        if i < len(self.kernels):
            total = torch.addmm(total, states[i + 1], self.kernels[i].T)
        return total

    # -- training -------------------------------------------------------------------------------------------

    def pretrain(
        self, x: Any, epochs: int = 1, batch_size: int = 100, learning_rate: float = 0.05, **options: Any
    ) -> None:
        """Starts the weights layer by layer, from restricted machines, each trained on what the one below makes of x.

        In the whole machine a layer hears from two sides, in a restricted one from one. So the input of a layer that
        will have a second neighbour counts twice.

        Args:
            x: Data (rows, visible).
            epochs: For each layer.
            batch_size: Rows in one update.
            learning_rate: Of gradient descent, with a momentum of 0.5.
            **options: As for `fit`: `verbose`, ...
        """
        data = self._data(x)
        last = len(self.kernels) - 1
        for i, kernel in enumerate(self.kernels):
            # The lower side of machine i is heard twice if a layer lies above its upper side, and the other way round
            rbm = _LayerPair(kernel.shape[1], up=1 if i == last else 2, down=1 if i == 0 else 2)
            rbm.compile(SGD(learning_rate, momentum=0.5))
            rbm.fit(data, epochs=epochs, batch_size=batch_size, **options)
            with torch.no_grad():
                kernel.copy_(rbm.kernel)
                self.biases[i + 1].copy_(rbm.hidden_bias)
                if i == 0:
                    self.biases[0].copy_(rbm.visible_bias)
                data = torch.as_tensor(rbm.predict(data, verbose=0), device=data.device)

    @property
    def metrics(self) -> list[Metric]:
        """`loss`: the mean energy of (data, q) less that of the chains; and the `reconstruction_error`."""
        return list(self._trackers)

    @torch.no_grad()
    def train_step(self, data: Any) -> None:
        """One update: the statistics of the chains less those of the data with their mean field."""
        q = self._mean_field(self._batch(data).to(self.kernels[0].dtype), self.mean_field_steps)
        odd = range(1, len(q), 2)
        free = [torch.empty(0) if i % 2 == 0 else getattr(self, f"chains_{i}") for i in range(len(q))]
        for _ in range(self.k):
            free = self.gibbs_step(free)
        for i in odd:
            getattr(self, f"chains_{i}").copy_(free[i])
            free[i] = self._inputs(free, i).sigmoid()  # their mean, given the even layers, has less noise

        self.optimizer.apply([a - b for a, b in zip(_statistics(free), _statistics(q), strict=True)])
        self._observe(q, free)

    @torch.no_grad()
    def test_step(self, data: Any) -> None:
        """The loss and the reconstruction error of a batch."""
        v = self._batch(data)
        self.check_data(v)
        chains = [getattr(self, f"chains_{i}") if i % 2 else torch.empty(0) for i in range(len(self.sizes))]
        self._observe(self._mean_field(v.to(self.kernels[0].dtype), self.mean_field_steps), self.gibbs_step(chains))

    def _observe(self, q: States, free: States) -> None:
        rows = len(q[0])
        self._trackers[0].update_state(self.energy(q).mean() - self.energy(free).mean(), sample_weight=rows)
        error = F.mse_loss(self._inputs(q, 0).sigmoid(), q[0])
        self._trackers[1].update_state(error, sample_weight=rows)

    # -- parts ------------------------------------------------------------------------------------------------

    def check_data(self, v: torch.Tensor) -> None:
        if v.ndim != 2 or (self.built and v.shape[1] != self.sizes[0]):
            units = self.sizes[0] if self.built else "units"
            raise ShapeError(
                f"DeepBoltzmannMachine {self.name!r} takes data (rows, {units}); got shape {tuple(v.shape)}. "
                f"Flatten pictures: x.reshape(len(x), -1)."
            )
        BernoulliUnits().check(v, f"DeepBoltzmannMachine {self.name!r}")

    def _data(self, v: Any) -> torch.Tensor:
        v = self._tensor(v)
        if not self.built:
            self.build((None, *v.shape[1:]))
        self.check_data(v)
        return v.to(self.kernels[0].dtype)


def _statistics(states: States) -> States:
    """How often neighbours are on together, for each kernel, and how often each unit is, for each bias."""
    together = [torch.mm(below.T, above).div_(len(below)) for below, above in itertools.pairwise(states)]
    return [*together, *(layer.mean(0) for layer in states)]


class _LayerPair(RestrictedBoltzmannMachine):
    """Two neighbouring layers of a deep machine, each of which may hear the other `up` or `down` times as loud."""

    def __init__(self, hidden_units: int, up: int, down: int) -> None:
        super().__init__(hidden_units)
        self.up = up
        self.down = down

    def _hidden_inputs(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.hidden_bias, x, self.kernel, alpha=self.up)

    def _visible_inputs(self, h: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.visible_bias, h, self.kernel.T, alpha=self.down)
