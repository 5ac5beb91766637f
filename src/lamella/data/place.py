"""Where in the data a training is, so that a run that was killed finds the place again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.utils.data import DataLoader

from lamella.data import plain_values
from lamella.data.plain_values import plain, random_state, set_random_state

State = dict[str, dict[str, Any]]


class Rounds:
    """Counts the rounds over the data, and keeps the states in which those of an epoch began.

    A round is one time over all data. It is an epoch, unless `steps_per_epoch` ends epochs elsewhere.

    Args:
        holders: The objects that the order of the data depends on: see `holders_of`.

    Attributes:
        number: Of the round, from 0; -1 before the first.
        passed: Batches of the round that were used.
        states: The states in which the rounds of this epoch began, that which it goes on with among them.
        keeps: Whether those are kept of all rounds, rather than of the first.
    """

    def __init__(self, holders: Sequence[Any] = ()) -> None:
        self.holders = holders
        self.number = -1
        self.passed = 0
        self.states: list[dict[str, Any]] = []
        self.keeps = False
        self._planned: list[dict[str, Any]] = []
        self._at_first = [_state_of(holder) for holder in holders]

    def begin(self) -> None:
        """Called at the start of a round: one that a resumed run repeats gets the state that it began in."""
        if self._planned:
            state = self._planned.pop(0)
            set_random_state(state["random"])
            self.set_own_states(state["own"])
        if self.keeps or self.number < 0:
            self.states.append({"random": random_state(), "own": self.own_states()})
        self.number += 1
        self.passed = 0

    def plan(self, before: int, states: Sequence[dict[str, Any]]) -> None:
        """The rounds to come are those after number `before`; the first ones began in these states."""
        self.number = before
        self.states, self._planned = [], list(states)

    def own_states(self) -> list[State]:
        """The holders' generators, and what they count and shuffle, as far as it has changed since `fit` began."""
        return [
            {
                kind: {
                    name: value for name, value in values.items() if not plain_values.same(value, first[kind].get(name))
                }
                for kind, values in _state_of(holder).items()
            }
            for holder, first in zip(self.holders, self._at_first, strict=True)
        ]

    def set_own_states(self, states: Sequence[State]) -> None:
        """Puts back what `own_states` gave."""
        for holder, first, changed in zip(self.holders, self._at_first, states, strict=True):
            for name, value in {**first["generators"], **changed["generators"]}.items():
                plain_values.set_generator_state(getattr(holder, name), value)
            for name, value in {**first["values"], **changed["values"]}.items():
                setattr(holder, name, plain_values.unplain(value))
            if changed["state_dict"]:
                holder.load_state_dict(changed["state_dict"])


def holders_of(stream: Any) -> list[Any]:
    """The objects whose state says what a stream gives next.

    Example:
        >>> import torch
        >>> [type(each).__name__ for each in holders_of(DataLoader(torch.arange(4), shuffle=True))]
        ['DataLoader', 'BatchSampler', 'RandomSampler', 'Tensor']
    """
    loader = getattr(stream, "loader", stream)
    if isinstance(loader, DataLoader):
        inner = getattr(loader.batch_sampler, "sampler", loader.sampler)
        return [loader, loader.batch_sampler, inner, loader.dataset]
    return [] if hasattr(stream, "set_epoch") else [stream]  # told the epoch, a stream needs no other state


def _state_of(holder: Any) -> State:
    """Generators and numbers; of a data set that changes from epoch to epoch also texts, orders and lists."""
    changes = hasattr(holder, "on_epoch_end")
    if changes and hasattr(holder, "state_dict") and hasattr(holder, "load_state_dict"):
        return {"generators": {}, "values": {}, "state_dict": holder.state_dict()}
    generators, values = {}, {}
    for name, value in getattr(holder, "__dict__", {}).items():
        state = plain_values.generator_state(value)
        if state is not NotImplemented:
            generators[name] = state
        elif (changes or type(value) in (int, float)) and not isinstance(holder, DataLoader):
            values[name] = plain(value, most_axes=1)
    return {
        "generators": generators,
        "values": {name: value for name, value in values.items() if value is not NotImplemented},
        "state_dict": {},
    }
