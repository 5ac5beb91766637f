"""The first artificial neuron, and networks of it: inputs are 0 or 1, nothing is learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import product
from typing import Any

import torch

from lamella.errors import ArgumentError, DataError, ShapeError, unknown_name

Source = int | str


@dataclass(frozen=True)
class McCullochPittsNeuron:
    """A neuron that fires (1) when enough of its excitatory inputs do, and none of its inhibitory ones.

        fires = (sum of excitatory inputs >= threshold) and (every inhibitory input is 0)

    One active inhibitory input is an absolute veto, whatever the others say. All weights are 1; a source that is
    named twice counts twice.

    Args:
        excitatory: The sources that speak for firing: columns of the input (whole numbers) or names.
        inhibitory: Those that forbid it.
        threshold: How many excitatory inputs must be active.

    Called on 0s and 1s it gives 0s and 1s (int64): an array (..., columns) gives (...); a dict from each name to an
    array gives one of their (broadcast) shape.

    Raises:
        ArgumentError: A threshold that is no whole number, a source that both excites and inhibits.
        DataError: Inputs other than 0 and 1.
        ShapeError: Fewer columns than a source names.

    Source: McCulloch and Pitts, 1943.

    Example:
        >>> both = McCullochPittsNeuron(excitatory=(0, 1), threshold=2)
        >>> both([[0, 0], [0, 1], [1, 0], [1, 1]])
        tensor([0, 0, 0, 1])
        >>> first_alone = McCullochPittsNeuron(excitatory=(0,), inhibitory=(1,), threshold=1)
        >>> first_alone([[1, 0], [1, 1]])
        tensor([1, 0])
    """

    excitatory: Sequence[Source] = ()
    inhibitory: Sequence[Source] = ()
    threshold: int = 1

    def __post_init__(self) -> None:
        for name in ("excitatory", "inhibitory"):
            sources = getattr(self, name)
            if isinstance(sources, (str, int)):
                raise ArgumentError(f"McCullochPittsNeuron: `{name}` is a list of sources; write ({sources!r},).")
            object.__setattr__(self, name, tuple(sources))
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, int):
            raise ArgumentError(f"McCullochPittsNeuron: `threshold` is a whole number; got {self.threshold!r}.")
        both = set(self.excitatory) & set(self.inhibitory)
        if both:
            raise ArgumentError(
                f"McCullochPittsNeuron: {sorted(map(str, both))} both excite and inhibit: such a neuron would be "
                f"vetoed by what makes it fire."
            )
        wrong = [s for s in self.sources if not isinstance(s, str) and (not isinstance(s, int) or s < 0)]
        if wrong:
            raise ArgumentError(f"McCullochPittsNeuron: a source is a column (0, 1, ...) or a name; got {wrong[0]!r}.")

    @property
    def sources(self) -> tuple[Source, ...]:
        """All sources, excitatory ones first."""
        return (*self.excitatory, *self.inhibitory)

    def __call__(self, inputs: Any) -> torch.Tensor:
        if not isinstance(inputs, Mapping):
            inputs = _columns(inputs, self.sources)
        values = {source: _binary(_looked_up(inputs, source), str(source)) for source in dict.fromkeys(self.sources)}
        return self._fires(values)

    def _fires(self, values: Mapping[Any, torch.Tensor]) -> torch.Tensor:
        """The rule itself, for values that were checked."""
        if not values:
            raise ShapeError("McCullochPittsNeuron: a neuron without a source has no shape to answer in.")
        shape = torch.broadcast_shapes(*(value.shape for value in values.values()))
        none = torch.zeros(shape, dtype=torch.int64)
        excitation = sum((values[source] for source in self.excitatory), none)
        vetoes = sum((values[source] for source in self.inhibitory), none)
        return ((excitation >= self.threshold) & (vetoes == 0)).to(torch.int64)

    def truth_table(self) -> torch.Tensor:
        """All combinations of the inputs 0, 1, ..., and the answer as the last column: (2 ** inputs, inputs + 1).

        Example:
            >>> McCullochPittsNeuron(excitatory=(0, 1), threshold=1).truth_table().tolist()
            [[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]]
        """
        columns = [source for source in self.sources if isinstance(source, int)]
        if len(columns) < len(self.sources):
            raise ArgumentError("McCullochPittsNeuron: a truth table has columns; this neuron's sources are names.")
        rows = every_row(max(columns, default=-1) + 1)
        return torch.cat([rows, self(rows).unsqueeze(1)], 1)


class McCullochPittsNetwork:
    """Neurons that are inputs of one another, without circles.

    Args:
        inputs: The names of the inputs, in the order of their columns.
        neurons: Each neuron by its name, in any order; its sources are names of inputs and of other neurons.
        outputs: The names of the neurons whose answers are wanted; the last neuron by default.

    Called on 0s and 1s (..., inputs) it gives 0s and 1s (..., outputs), int64. Neurons are computed in the order in
    which they depend on one another, each for all rows at once.

    Raises:
        ArgumentError: A name twice, or neurons that depend on one another in a circle.
        UnknownNameError: A source or an output that is no input and no neuron.
        DataError: Inputs other than 0 and 1.
        ShapeError: Another number of columns than of inputs.

    Example:
        >>> network = McCullochPittsNetwork(
        ...     inputs=["a", "b"],
        ...     neurons={
        ...         "only a": McCullochPittsNeuron(["a"], ["b"], 1),
        ...         "only b": McCullochPittsNeuron(["b"], ["a"], 1),
        ...         "one of them": McCullochPittsNeuron(["only a", "only b"], [], 1),
        ...     },
        ... )
        >>> network([[0, 0], [0, 1], [1, 0], [1, 1]]).squeeze(1)
        tensor([0, 1, 1, 0])
    """

    def __init__(
        self,
        inputs: Sequence[str],
        neurons: Mapping[str, McCullochPittsNeuron],
        outputs: Sequence[str] | None = None,
    ) -> None:
        self.inputs = tuple(inputs)
        self.neurons = dict(neurons)
        if not self.neurons:
            raise ArgumentError("McCullochPittsNetwork: there are no neurons.")
        self.outputs = (list(neurons)[-1],) if outputs is None else tuple(outputs)
        twice = [name for name in self.inputs if name in self.neurons or self.inputs.count(name) > 1]
        if twice:
            raise ArgumentError(f"McCullochPittsNetwork: the name {twice[0]!r} is given twice.")
        known = [*self.inputs, *self.neurons]
        for name in self.outputs:
            if name not in known:
                raise unknown_name("output", str(name), known)
        for name, neuron in self.neurons.items():
            for source in neuron.sources:
                if source not in known:
                    raise unknown_name(f"source of the neuron {name!r},", str(source), known)
        needed = {name: set(map(str, neuron.sources)) - set(self.inputs) for name, neuron in self.neurons.items()}
        try:
            self.order = tuple(TopologicalSorter(needed).static_order())
        except CycleError as error:
            raise ArgumentError(
                "McCullochPittsNetwork: neurons depend on one another in a circle: " + " -> ".join(error.args[1]) + "."
            ) from None

    def __call__(self, inputs: Any) -> torch.Tensor:
        states = self.states(inputs)
        return torch.stack(torch.broadcast_tensors(*(states[name] for name in self.outputs)), -1)

    def states(self, inputs: Any) -> dict[str, torch.Tensor]:
        """What each input and each neuron says, by name: (...) int64 each.

        Args:
            inputs: (..., inputs), of 0 and 1.
        """
        x = torch.as_tensor(inputs)
        if x.ndim == 0 or x.shape[-1] != len(self.inputs):
            raise ShapeError(
                f"McCullochPittsNetwork: expected (..., {len(self.inputs)}), a column for each of "
                f"{list(self.inputs)}; got {tuple(x.shape)}."
            )
        states = dict(zip(self.inputs, _binary(x, "the inputs").unbind(-1), strict=True))
        for name in self.order:
            neuron = self.neurons[name]
            states[name] = neuron._fires({source: states[str(source)] for source in neuron.sources})
        return states

    def truth_table(self) -> torch.Tensor:
        """All combinations of the inputs, and the outputs beside them: (2 ** inputs, inputs + outputs)."""
        rows = every_row(len(self.inputs))
        return torch.cat([rows, self(rows)], 1)


def every_row(count: int) -> torch.Tensor:
    """All rows of so many 0s and 1s, in the order of counting: (2 ** count, count).

    Example:
        >>> every_row(2).tolist()
        [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    return torch.tensor(list(product((0, 1), repeat=count)), dtype=torch.int64).view(-1, count)


def _columns(inputs: Any, sources: Sequence[Source]) -> dict[Source, torch.Tensor]:
    x = torch.as_tensor(inputs)
    names = [source for source in sources if isinstance(source, str)]
    if names:
        raise ArgumentError(f"McCullochPittsNeuron: its sources are names: give a dict with {names[0]!r} and the rest.")
    columns = max((int(source) for source in sources), default=0) + 1
    if x.ndim == 0 or x.shape[-1] < columns:
        raise ShapeError(f"McCullochPittsNeuron: expected (..., {columns}) or more columns; got {tuple(x.shape)}.")
    return {source: x[..., int(source)] for source in sources}


def _looked_up(inputs: Mapping[Any, Any], source: Source) -> torch.Tensor:
    if source not in inputs:
        raise unknown_name("source", str(source), map(str, inputs))
    return torch.as_tensor(inputs[source])


def _binary(x: torch.Tensor, name: str) -> torch.Tensor:
    """The same as int64.

    Raises:
        DataError: Something other than 0 and 1.
    """
    wrong = ((x != 0) & (x != 1)).nonzero()
    if len(wrong):
        place = tuple(wrong[0].tolist())
        where = f" at row {place[0]}" + (f", column {place[-1]}" if len(place) > 1 else "") if place else ""
        raise DataError(
            f"A McCulloch-Pitts neuron takes 0 and 1; {name} has {x[place].item()}{where}. Compare with a threshold "
            f"first, as in x > 0.5."
        )
    return x.to(torch.int64)
