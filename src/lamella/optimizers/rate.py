"""The learning rate as a number that can be read and assigned as Keras's variable can."""

from __future__ import annotations

from typing import Any

import numpy as np


class Rate(float):
    """A learning rate: a float, with `numpy()`, `assign()` and a shape for scripts that treat it as a variable.

    Example:
        >>> from lamella.optimizers import SGD
        >>> optimizer = SGD(0.5)
        >>> optimizer.learning_rate.assign(0.25)
        0.25
        >>> optimizer.learning_rate == 0.25, optimizer.learning_rate.numpy().dtype
        (True, dtype('float32'))
    """

    _optimizer: Any
    shape = ()
    ndim = 0
    dtype = "float32"

    @classmethod
    def of(cls, optimizer: Any, value: float) -> Rate:
        """The rate of an optimizer."""
        rate = cls(value)
        rate._optimizer = optimizer
        return rate

    @property
    def value(self) -> Rate:
        """The rate itself."""
        return self

    def numpy(self) -> np.float32:
        """The rate as NumPy's number."""
        return np.float32(self)

    def assign(self, value: Any) -> Rate:
        """Gives the optimizer another rate.

        Raises:
            TypeError: The optimizer follows a schedule.
        """
        self._optimizer.learning_rate = value
        found: Rate = self._optimizer.learning_rate
        return found

    def __reduce__(self) -> Any:
        return float, (float(self),)


def with_rates(optimizer: Any) -> list[tuple[str, Any]]:
    """What has a learning rate, each with its name in logs: one optimizer, or the inner ones of a `MultiOptimizer`.

    Nothing of None, which a model has that is compiled for its metrics alone.

    Example:
        >>> from lamella.optimizers import SGD, MultiOptimizer, OptimizerMap
        >>> [name for name, _ in with_rates(SGD())]
        ['learning_rate']
        >>> [name for name, _ in with_rates(MultiOptimizer(OptimizerMap(SGD(name="slow"))))]
        ['learning_rate_slow']
    """
    if optimizer is None:
        return []
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    inner = getattr(optimizer, "optimizers", None)
    return [("learning_rate", optimizer)] if inner is None else [(f"learning_rate_{each.name}", each) for each in inner]


def steps_of(optimizer: Any) -> int:
    """How many updates an optimizer made; 0 without one."""
    return 0 if optimizer is None else int(optimizer.iterations)
