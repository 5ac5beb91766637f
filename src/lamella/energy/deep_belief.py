"""`DeepBeliefNetwork`: restricted Boltzmann machines on top of one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella import layers
from lamella.callbacks import History
from lamella.energy.restricted import RestrictedBoltzmannMachine
from lamella.engine.device import device_of
from lamella.errors import ArgumentError, DataError, NotBuiltError, NotCompiledError, ShapeError
from lamella.models import Model, Sequential
from lamella.saving import register_keras_serializable


@register_keras_serializable(package="lamella")
class DeepBeliefNetwork(Model):
    """A generative network: the two top layers are a restricted Boltzmann machine, those below are drawn downwards.

    Each layer is trained by itself, as the hidden side of a machine whose visible side is the layer below.

        dbn = DeepBeliefNetwork((500, 500, 2000))
        dbn.compile(SGD(0.05, momentum=0.5))
        dbn.fit(images, epochs=10, batch_size=100)    # all images, no labels
        dbn.sample(16)                                # new ones
        model = dbn.classifier(10)                    # an ordinary model that starts from what was learnt
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(some_images, their_labels)

    Args:
        hidden_units: The units of each layer, from the lowest.
        visible: What the data are: `"bernoulli"` (from 0 to 1) or `"gaussian"` (numbers; scale each column to mean 0
            and variance 1).
        k: Gibbs steps of contrastive divergence for each update.
        **kwargs: As for every model.

    `dbn(v)` and `dbn.predict(v)` give the probabilities of the highest units, (batch, hidden_units[-1]).
    `dbn.machines` are the machines.

    Raises:
        ArgumentError: Arguments out of range.

    Source: Hinton, Osindero and Teh, A fast learning algorithm for deep belief nets, 2006; fine-tuning: Hinton and
        Salakhutdinov, 2006.

    Example:
        >>> import lamella
        >>> dbn = DeepBeliefNetwork((6, 4))
        >>> dbn.compile(lamella.optimizers.SGD(0.1))
        >>> histories = dbn.fit(torch.rand(64, 8).round(), epochs=2, verbose=0)
        >>> len(histories), dbn.sample(5, steps=10).shape, dbn.classifier(3).output_shape
        (2, torch.Size([5, 8]), (None, 3))
    """

    def __init__(self, hidden_units: Sequence[int], visible: str = "bernoulli", k: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(hidden_units, int) or not len(hidden_units):
            raise ArgumentError(
                f"DeepBeliefNetwork: `hidden_units` are the units of each layer, as (500, 500); got {hidden_units!r}."
            )
        if visible not in ("bernoulli", "gaussian"):
            raise ArgumentError(f"DeepBeliefNetwork: `visible` must be 'bernoulli' or 'gaussian'; got {visible!r}.")
        self.hidden_units = list(hidden_units)
        self.visible = visible
        self.k = k
        kinds = [visible, *["bernoulli"] * (len(self.hidden_units) - 1)]
        self.machines = [
            RestrictedBoltzmannMachine(units, kind, k=k) for units, kind in zip(self.hidden_units, kinds, strict=True)
        ]

    def build(self, input_shape: Any = None) -> None:
        sizes = [input_shape[-1], *self.hidden_units]
        for machine, units in zip(self.machines, sizes, strict=False):
            if not machine.built:
                machine.build((None, units))

    def call(self, inputs: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        for machine in self.machines:
            inputs = machine(inputs)
        return inputs

    # -- training -----------------------------------------------------------------------------------------------

    def compile(self, optimizer: Any = "sgd", loss: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
        """Says how to train: with which optimizer; each layer gets one of its own.

        Raises:
            ArgumentError: A loss or metrics.
        """
        if loss is not None or kwargs.get("metrics"):
            raise ArgumentError("DeepBeliefNetwork has its own loss and metrics: compile(optimizer) is all.")
        super().compile(optimizer, **kwargs)

    def fit(self, x: Any = None, y: Any = None, epochs: int = 10, **kwargs: Any) -> list[History]:  # type: ignore[override]
        """Trains the layers one after the other, from the lowest: each on the probabilities of the one below.

        Args:
            x: Data (rows, units).
            y: None.
            epochs: For each layer.
            **kwargs: As for every model: `batch_size`, `verbose`, `callbacks`.

        Returns:
            A history for each layer (see `RestrictedBoltzmannMachine`).

        Raises:
            NotCompiledError: `compile` was not called.
            DataError: Targets, or data that the visible units cannot be.
            ShapeError: Data that are not (rows, units).
        """
        if not self.compiled:
            raise NotCompiledError("fit() needs an optimizer: call compile() first.")
        if y is not None:
            raise DataError("DeepBeliefNetwork learns from x alone: leave y out. For labels, take classifier().")
        if getattr(x, "ndim", None) != 2:
            raise ShapeError(
                f"DeepBeliefNetwork takes an array (rows, units); got shape {getattr(x, 'shape', None)}. Flatten "
                f"pictures: x.reshape(len(x), -1)."
            )
        if not self.built:
            self.build((None, x.shape[1]))
        histories = []
        for machine in self.machines:
            machine.compile(self.optimizer.from_config(self.optimizer.get_config()))
            histories.append(machine.fit(x, epochs=epochs, **kwargs))
            x = machine.predict(x, batch_size=1024, verbose=0)
        return histories

    # -- what a trained one can do ------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, n: int, steps: int = 1000) -> torch.Tensor:
        """Draws data: Gibbs sampling in the machine at the top, in n chains at once, then one pass down.

        Args:
            n: How many.
            steps: Gibbs steps of each chain.

        Returns:
            (n, units): the probabilities (or means) of the visible units.

        Raises:
            NotBuiltError: There are no weights yet.
        """
        self._need_weights()
        *below, top = self.machines
        states = top.sample(n, steps)
        if not below:
            return top.visible_probabilities(top.gibbs_step(states)[1])
        lowest, *between = below
        for machine in reversed(between):
            states = torch.bernoulli(machine.visible_probabilities(states))
        return lowest.visible_probabilities(states)

    def classifier(self, classes: int, dropout: float = 0.0) -> Sequential:
        """An ordinary model: a dense layer of sigmoids for each machine, with a copy of its weights, and a softmax.

        Args:
            classes: How many classes there are.
            dropout: The share of values dropped after each layer while training.

        Raises:
            NotBuiltError: There are no weights yet.
            ArgumentError: Fewer than two classes.
        """
        self._need_weights()
        if classes < 2:
            raise ArgumentError(f"classifier: there must be two classes or more; got {classes!r}.")
        model = Sequential([layers.Input((len(self.machines[0].visible_bias),))])
        for machine in self.machines:
            layer = layers.Dense(machine.hidden_units, "sigmoid")
            model.add(layer)
            layer.set_weights([weight.detach().cpu() for weight in (machine.kernel, machine.hidden_bias)])
            if dropout:
                model.add(layers.Dropout(dropout))
        model.add(layers.Dense(classes, "softmax", name="classes"))
        return model.to(device_of(self))

    def _need_weights(self) -> None:
        if not self.built:
            raise NotBuiltError("DeepBeliefNetwork has no weights yet: fit it, or build((None, units)) it.")
