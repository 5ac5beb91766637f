"""`EnergyModel`: what the training of all Boltzmann machines has in common."""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine.device import device_of
from lamella.errors import ArgumentError, DataError, NotBuiltError
from lamella.models import Model


class EnergyModel(Model):
    """A model that learns the distribution of its inputs: there are no targets, and the loss is its own.

    A family writes `check_data`, `build`, `call`, `train_step` and `test_step`.
    """

    def check_data(self, v: torch.Tensor) -> None:
        """Raises ShapeError or DataError for data (rows, units) that the visible units cannot be."""
        raise NotImplementedError(f"{type(self).__name__} has no check_data().")

    def compile(self, optimizer: Any = "sgd", loss: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
        """Says how to train: with which optimizer. Loss and metrics are the machine's own.

        Raises:
            ArgumentError: A loss or metrics.
        """
        if loss is not None or kwargs.get("metrics") or kwargs.get("weighted_metrics"):
            raise ArgumentError(f"{type(self).__name__} has its own loss and metrics: compile(optimizer) is all.")
        super().compile(optimizer, **kwargs)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Trains on data without targets; arguments as for every model.

        Args:
            x: Data (rows, units), or a data set that gives batches of them.
            y: None.
            *args: As for every model.
            **kwargs: As for every model.

        Raises:
            DataError: Targets; or data that the visible units cannot be, with the row.
        """
        if y is not None:
            raise DataError(f"{type(self).__name__} learns from x alone: leave y out.")
        if hasattr(x, "shape"):
            self.check_data(self._tensor(x))
        return super().fit(x, None, *args, **kwargs)

    def _batch(self, data: Any) -> torch.Tensor:
        if not isinstance(data, torch.Tensor):
            raise DataError(f"{type(self).__name__} learns from x alone: batches are x, not (x, y).")
        return data

    def _tensor(self, v: Any) -> torch.Tensor:
        return torch.as_tensor(v, device=device_of(self))

    def _need_weights(self) -> None:
        if not self.built:
            raise NotBuiltError(
                f"{type(self).__name__} {self.name!r} has no weights yet: fit it, or build((None, units)) it."
            )
