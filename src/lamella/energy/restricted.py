"""`RestrictedBoltzmannMachine`: visible and hidden units, and connections only between the two."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella import regularizers
from lamella.energy.energy_model import EnergyModel
from lamella.energy.likelihood import log_partition_exact, pseudo_log_likelihood
from lamella.energy.visible_units import BernoulliUnits, GaussianUnits, SoftmaxUnits, VisibleUnits, bits, coins
from lamella.engine.kernels import best_matmul
from lamella.errors import ArgumentError, ShapeError
from lamella.initializers import RandomNormal
from lamella.metrics import Mean, Metric
from lamella.saving import register_keras_serializable

KINDS = ("bernoulli", "gaussian", "softmax")


@register_keras_serializable(package="lamella")
class RestrictedBoltzmannMachine(EnergyModel):
    """A distribution over visible units v, made rich by hidden bits h: p(v, h) = exp(-E(v, h)) / Z.

        E(v, h) = - v @ visible_bias - h @ hidden_bias - v @ kernel @ h

    (with Gaussian units |v - visible_bias|^2 / 2 in place of the first term). Given one side, the units of the other
    are independent, so all are drawn at once. Training lowers the energy of the data and raises that of what the
    machine makes up itself: by a few Gibbs steps from the data (contrastive divergence), or by chains that go on from
    one update to the next (`persistent`).

        rbm = RestrictedBoltzmannMachine(500)
        rbm.compile(SGD(0.05))
        rbm.fit(images, epochs=10, batch_size=100)
        features = rbm.predict(images)

    Args:
        hidden_units: The number of hidden bits.
        visible: `"bernoulli"` (data from 0 to 1), `"gaussian"` (numbers; scale each column to mean 0 and variance 1)
            or `"softmax"` (class numbers).
        classes: The number of classes of softmax units.
        k: Gibbs steps for each update.
        persistent: Whether chains of the machine's own are kept (persistent contrastive divergence).
        chains: How many.
        centered: Whether units count from their means in the gradient, so that the kernel need not learn what biases
            can: learning is quicker, and the same whether a pixel's black is called 0 or 1.
        sparsity_target: How often a hidden unit should be on; None leaves it free.
        sparsity_cost: How strongly units are drawn towards it.
        kernel_initializer: Where the kernel starts; normal with deviation 0.01 by default.
        kernel_regularizer: A penalty of the kernel, added to the loss.
        **kwargs: As for every model.

    `rbm(v)` and `rbm.predict(v)` give the probabilities of the hidden units, (batch, hidden), for data (batch, units).
    Weights: `kernel` (units, hidden) (softmax: (units * classes, hidden)), `visible_bias`, `hidden_bias`; with
    `persistent` also `chain_states`, the hidden states of the chains.

    `fit` reports `loss`, the mean free energy of the data less that of the machine's own samples (its gradient is what
    is followed; it need not fall); `free_energy`, that of the data: if it falls much further than `val_free_energy`,
    the machine learns the data by heart; and `reconstruction_error`, the mean square between the data and what `k`
    Gibbs steps make of them (without `persistent`; with it, in evaluation only).

    Raises:
        ArgumentError: Arguments out of range.

    Source: Smolensky, 1986; contrastive divergence: Hinton, 2002; persistent: Tieleman, 2008; centered (the enhanced
        gradient): Cho, Raiko and Ilin, 2011; sparsity and settings: Hinton, A practical guide to training restricted
        Boltzmann machines, 2010.

    Example:
        >>> import lamella
        >>> lamella.utils.set_random_seed(0)
        >>> v = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]]).repeat(50, 1)
        >>> rbm = RestrictedBoltzmannMachine(2)
        >>> rbm.compile(lamella.optimizers.SGD(0.5))
        >>> _ = rbm.fit(v, epochs=200, batch_size=10, verbose=0)
        >>> round(rbm.log_likelihood(v, rbm.log_partition_exact()).mean().exp().item(), 1)  # 0.5 is best
        0.5
        >>> rbm(v).shape, rbm.sample(7, steps=10).shape
        (torch.Size([100, 2]), torch.Size([7, 4]))
    """

    kernel: torch.Tensor
    visible_bias: torch.Tensor
    hidden_bias: torch.Tensor

    def __init__(
        self,
        hidden_units: int,
        visible: str = "bernoulli",
        classes: int | None = None,
        k: int = 1,
        persistent: bool = False,
        chains: int = 100,
        centered: bool = False,
        sparsity_target: float | None = None,
        sparsity_cost: float = 0.01,
        kernel_initializer: Any = None,
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("hidden_units", hidden_units), ("k", k), ("chains", chains)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(
                    f"RestrictedBoltzmannMachine: `{name}` must be a whole number, 1 or more; got {value!r}."
                )
        if visible not in KINDS:
            raise ArgumentError(f"RestrictedBoltzmannMachine: `visible` must be one of {KINDS}; got {visible!r}.")
        if (visible == "softmax") != (classes is not None) or (classes is not None and classes < 2):
            raise ArgumentError(
                f"RestrictedBoltzmannMachine: `classes`, 2 or more, goes with visible='softmax' and only with it; got "
                f"visible={visible!r}, classes={classes!r}."
            )
        if sparsity_target is not None and not 0 < sparsity_target < 1:
            raise ArgumentError(
                f"RestrictedBoltzmannMachine: `sparsity_target` is a share between 0 and 1; got {sparsity_target!r}."
            )
        self.hidden_units = hidden_units
        self.visible = visible
        self.classes = classes
        self.k = k
        self.persistent = persistent
        self.chains = chains
        self.centered = centered
        self.sparsity_target = sparsity_target
        self.sparsity_cost = sparsity_cost
        self.kernel_initializer = kernel_initializer
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.unit_kind: VisibleUnits
        if classes is not None:
            self.unit_kind = SoftmaxUnits(classes)
        else:
            self.unit_kind = GaussianUnits() if visible == "gaussian" else BernoulliUnits()
        self._trackers = (Mean(name="loss"), Mean(name="free_energy"), Mean(name="reconstruction_error"))

    def build(self, input_shape: Any = None) -> None:
        if input_shape is None or len(input_shape) != 2:
            raise ShapeError(
                f"RestrictedBoltzmannMachine {self.name!r} takes data (rows, units); got shape {input_shape}. "
                f"Flatten pictures: x.reshape(len(x), -1)."
            )
        columns = self.unit_kind.columns(input_shape[-1])
        start = self.kernel_initializer or RandomNormal(stddev=0.01)
        self.kernel = self.add_weight(
            (columns, self.hidden_units), start, name="kernel", regularizer=self.kernel_regularizer
        )
        self.visible_bias = self.add_weight((columns,), "zeros", name="visible_bias")
        self.hidden_bias = self.add_weight((self.hidden_units,), "zeros", name="hidden_bias")
        if self.persistent:
            self.chain_states = self.add_weight(
                (self.chains, self.hidden_units), coins, trainable=False, name="chain_states"
            )
        if self.sparsity_target is not None:
            self.activity = self.add_weight((self.hidden_units,), "zeros", trainable=False, name="activity")
            self.activity.fill_(self.sparsity_target)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self._hidden_inputs(self.unit_kind.encode(inputs, self.kernel.dtype)).sigmoid()

    # -- the distribution ---------------------------------------------------------------------------------

    def energy(self, v: Any, h: Any) -> torch.Tensor:
        """E(v, h) of each row, (batch,).

        Args:
            v: Visible states, (batch, units).
            h: Hidden states, (batch, hidden).
        """
        x, h = self._rows(v), self._hidden(h)
        return self.unit_kind.energy(x, self.visible_bias) - (self._hidden_inputs(x) * h).sum(-1)

    def free_energy(self, v: Any) -> torch.Tensor:
        """F(v) = -log of the sum over h of exp(-E(v, h)), (batch,). p(v) = exp(-F(v)) / Z.

        Args:
            v: Visible states, (batch, units).

        Raises:
            DataError: Data that the visible units cannot be; the message names a row.
        """
        return self._free_energy(self._rows(v))

    def hidden_probabilities(self, v: Any) -> torch.Tensor:
        """p(h = 1 | v), (batch, hidden)."""
        return self._hidden_inputs(self._rows(v)).sigmoid()

    def visible_probabilities(self, h: Any) -> torch.Tensor:
        """The visible units' expectation given h (batch, hidden): probabilities (batch, units), means for Gaussian
        units, (batch, units, classes) for softmax units."""
        return self.unit_kind.shaped(self.unit_kind.mean(self._visible_inputs(self._hidden(h))))

    @torch.no_grad()
    def gibbs_step(self, v: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Draws h given v, then v given h. Each row is a chain of its own.

        Args:
            v: Visible states, (chains, units).

        Returns:
            The new visible states, and the hidden ones between, (chains, hidden).
        """
        x, h = self._step(self._rows(v))
        return self.unit_kind.decode(x), h

    @torch.no_grad()
    def sample(self, n: int, steps: int = 1000, start: Any = None) -> torch.Tensor:
        """Draws visible states by Gibbs sampling, in n chains at once.

        Args:
            n: How many.
            steps: Gibbs steps of each chain.
            start: Where the chains start, (n, units); by default where the visible biases alone would have them.

        Returns:
            (n, units): bits, numbers, or class numbers. They follow the machine's distribution once the steps are
            many enough to forget the start. `visible_probabilities(gibbs_step(v)[1])` gives smoother pictures.

        Raises:
            ArgumentError: A number of rows in `start` other than n.
        """
        self._need_weights()
        if start is not None and len(start) != n:
            raise ArgumentError(f"sample: `start` has {len(start)} rows for {n} chains. Give one for each.")
        x = self.unit_kind.draw(self.visible_bias.expand(n, -1)) if start is None else self._rows(start)
        with best_matmul(x.device):
            for _ in range(steps):
                x, _h = self._step(x)
        return self.unit_kind.decode(x)

    @torch.no_grad()
    def pseudo_log_likelihood(self, v: Any, exact: bool = False) -> torch.Tensor:
        """The sum over visible units of log p(unit | all others), (batch,). It needs no Z.

        Args:
            v: Visible states, (batch, units).
            exact: Whether every unit is looked at; otherwise one for each row, drawn at random, times the number of
                units: an estimate without bias.

        Raises:
            ArgumentError: Gaussian units, for which the sum has no short form.
        """
        return pseudo_log_likelihood(self, v, exact)

    @torch.no_grad()
    def log_partition_exact(self) -> float:
        """log Z, by a sum over all states of the smaller side.

        Raises:
            ArgumentError: More than 2**25 states (25 bits); use `annealed_importance_sampling`.
        """
        self._need_weights()
        return log_partition_exact(self)

    @torch.no_grad()
    def log_likelihood(self, x: Any, log_partition: float) -> torch.Tensor:
        """log p of each row in nats, (batch,), given log Z (exact, or as annealed importance sampling estimates it)."""
        return -self.free_energy(x) - log_partition

    @torch.no_grad()
    def independent_bias(self, x: Any) -> torch.Tensor:
        """The visible bias with which the units would fit the data x best if nothing connected them.

        A good start of training (`rbm.visible_bias.assign(...)`), and of annealed importance sampling.
        """
        self._rows(x)
        return self.unit_kind.independent_bias(self._tensor(x), self.kernel.dtype)

    # -- training -------------------------------------------------------------------------------------------

    @property
    def metrics(self) -> list[Metric]:
        """The loss, the free energy of the data and, without persistent chains, the reconstruction error."""
        return list(self._trackers[: 2 if self.persistent else 3])

    @torch.no_grad()
    def train_step(self, data: Any) -> None:
        """One update from a batch: the statistics of the machine's own samples less those of the data."""
        x = self.unit_kind.encode(self._batch(data), self.kernel.dtype)
        if self.persistent:
            rows = torch.cat([x, self._wander(self.chain_states)])
            inputs = self._hidden_inputs(rows)
        else:
            inputs = self._hidden_inputs(x)
            made = self._wander(bits(inputs.sigmoid()))
            rows, inputs = torch.cat([x, made]), torch.cat([inputs, self._hidden_inputs(made)])
            self._trackers[2].update_state(F.mse_loss(made, x), sample_weight=len(x))
        h = inputs.sigmoid()
        if self.persistent:
            self.chain_states.copy_(bits(h[len(x) :]))

        # How much each row counts: data push the energy down, the machine's samples up
        count = torch.full((len(rows),), 1 / (len(rows) - len(x)), dtype=x.dtype, device=x.device)
        count[: len(x)] = -1 / len(x)
        free = self.unit_kind.energy(rows, self.visible_bias) - F.softplus(inputs).sum(1)
        self._trackers[0].update_state(-(count @ free), sample_weight=len(x))
        self._trackers[1].update_state(free[: len(x)].mean(), sample_weight=len(x))
        means = x.mean(0), h[: len(x)].mean(0)
        h *= count.unsqueeze(1)
        gradients = [(rows.T @ h).to(x.dtype), (count @ rows).to(x.dtype), h.sum(0)]
        if self.centered:
            self._center(gradients, means)
        if self.sparsity_target is not None:
            push = self.sparsity_cost * (self.activity.lerp_(means[1], 0.1) - self.sparsity_target)
            gradients[0].addr_(means[0], push)
            gradients[2] += push
        if self.kernel_regularizer is not None:
            with torch.enable_grad():
                (penalty,) = torch.autograd.grad(self.kernel_regularizer(self.kernel), self.kernel)
            gradients[0] += penalty
        self.optimizer.apply(gradients)

    def _center(self, gradients: list[torch.Tensor], means: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Makes of the gradients, in place, those of units counted from the middle of data and samples."""
        kernel, visible, hidden = gradients
        middle_v, middle_h = means[0] + visible / 2, means[1] + hidden / 2
        kernel.addr_(visible, middle_h, alpha=-1).addr_(middle_v, hidden, alpha=-1)
        visible.addmv_(kernel, middle_h, alpha=-1)
        hidden.addmv_(kernel.T, middle_v, alpha=-1)

    def test_step(self, data: Any) -> dict[str, torch.Tensor]:
        """The free energy and the reconstruction error of a batch."""
        v = self._batch(data)
        self.check_data(v)
        x = self.unit_kind.encode(v, self.kernel.dtype)
        inputs = self._hidden_inputs(x)
        free = self.unit_kind.energy(x, self.visible_bias) - F.softplus(inputs).sum(1)
        error = F.mse_loss(self._wander(bits(inputs.sigmoid())), x)
        for tracker, value in zip(self._trackers[1:], (free.mean(), error), strict=True):
            tracker.update_state(value, sample_weight=len(x))
        return {tracker.name: tracker.result() for tracker in self._trackers[1:]}

    # -- parts ------------------------------------------------------------------------------------------------

    # Within torch.autocast products come in its short type: to draw bits from they are in the weights' type again

    def _hidden_inputs(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.hidden_bias, x, self.kernel).to(self.kernel.dtype)

    def _visible_inputs(self, h: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.visible_bias, h, self.kernel.T).to(self.kernel.dtype)

    def _step(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = bits(self._hidden_inputs(x).sigmoid_())
        return self.unit_kind.draw(self._visible_inputs(h)), h

    def _wander(self, h: torch.Tensor) -> torch.Tensor:
        """Visible states, k Gibbs steps on from hidden ones."""
        for _ in range(self.k - 1):
            h = bits(self._hidden_inputs(self.unit_kind.draw(self._visible_inputs(h))).sigmoid_())
        return self.unit_kind.draw(self._visible_inputs(h))

    def _free_energy(self, x: torch.Tensor) -> torch.Tensor:
        return self.unit_kind.energy(x, self.visible_bias) - F.softplus(self._hidden_inputs(x)).sum(-1)

    def check_data(self, v: torch.Tensor) -> None:
        units = len(self.visible_bias) // (self.classes or 1) if self.built else None
        if v.ndim != 2 or units not in (None, v.shape[1]):
            raise ShapeError(
                f"RestrictedBoltzmannMachine {self.name!r} takes data (rows, {units or 'units'}); got shape "
                f"{tuple(v.shape)}. Flatten pictures: x.reshape(len(x), -1)."
            )
        self.unit_kind.check(v, f"RestrictedBoltzmannMachine {self.name!r}")

    def _rows(self, v: Any) -> torch.Tensor:
        """Data of a user, checked, as rows for the kernel."""
        v = self._tensor(v)
        if not self.built:
            self.build((None, *v.shape[1:]))
        self.check_data(v)
        return self.unit_kind.encode(v, self.kernel.dtype)

    def _hidden(self, h: Any) -> torch.Tensor:
        self._need_weights()
        h = self._tensor(h)
        if h.ndim != 2 or h.shape[1] != self.hidden_units:
            raise ShapeError(
                f"RestrictedBoltzmannMachine {self.name!r}: hidden states are (rows, {self.hidden_units}); got shape "
                f"{tuple(h.shape)}."
            )
        return h.to(self.kernel.dtype)
