"""What every source of batches can do."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from lamella.data.batch import Batch
from lamella.data.division import Drawn, Where
from lamella.data.place import Rounds


class Source:
    """Batches, epoch after epoch.

    Attributes:
        num_batches: The number in an epoch; None if unknown.
        num_samples: The number of samples; None if unknown.
        lasting: Whether a batch stays as it is when the next one is drawn.
        one_round: Whether every epoch begins at the first batch and ends at the last one at the latest, as evaluation
            does, though fewer or more steps are asked for. (Training goes on where the epoch before it ended.)
    """

    num_batches: int | None = None
    num_samples: int | None = None
    lasting = False
    one_round = False
    _rounds: Rounds
    _epoch_place: dict[str, Any]

    def batches(self) -> Iterator[Batch]:
        """The batches `(x, y, sample_weight)` of one epoch."""
        raise NotImplementedError

    def peek(self) -> Batch:
        """The first batch, which is not used up."""
        raise NotImplementedError

    def fell_short(self, count: int, steps: int | None) -> None:
        """Warns that the data ran out after so many batches."""
        warnings.warn(
            f"The data ran out after {count} of {steps or 'any'} batches; the epoch ends here. A generator is used up "
            f"once: it must give steps_per_epoch * epochs batches.",
            stacklevel=3,
        )

    def targets(self) -> Any:
        """All targets, or those of the first batch where the data stream."""
        return self.peek()[1]

    def close(self) -> None:
        """Called when training has ended: worker processes are not to wait for the garbage collector."""

    def keep_places(self) -> None:
        """Called before the first epoch, if `place` is going to be asked for."""
        self._rounds.keeps = True

    def place(self) -> dict[str, Any]:
        """Where the next epoch begins, as plain data."""
        raise NotImplementedError

    def place_of_epoch(self) -> dict[str, Any]:
        """Where the epoch that is going on began, and the states in which rounds over the data began since."""
        return {**self._epoch_place, "states": self._rounds.states}

    def go_to(self, place: dict[str, Any]) -> None:
        """Goes to a place that the source of an earlier run gave. It leaves random generators in any state."""
        raise NotImplementedError

    def divide(self, where: Where, drawn: Drawn) -> bool:
        """Before the first batch: only some rows of each are to be loaded, and batches are to be `OwnRows`.

        Args:
            where: From the length of a batch to its rows that are wanted.
            drawn: Calls a function in which the order of samples is drawn, and returns what it returns.

        Returns:
            Whether the data allow it.
        """
        return False
