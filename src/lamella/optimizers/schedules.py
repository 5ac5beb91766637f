"""Learning-rate schedules: the rate as a function of the step."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from lamella.engine import registry as _names
from lamella.engine.registry import Registry
from lamella.errors import ArgumentError

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]

registry = Registry("learning-rate schedule", "keras.optimizers.schedules")


@registry.register()
class LearningRateSchedule:
    """The base of schedules: subclasses write `__call__(step)` and `get_config`.

    Example:
        >>> class Halving(LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return 0.5 ** int(step)
        >>> Halving()(2)
        0.25
    """

    def __call__(self, step: Any) -> float:
        """The learning rate at `step` (a number, counted from 0)."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__().")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """The schedule that `get_config` described."""
        return cls(**config)


def _positive(schedule: LearningRateSchedule, name: str, value: float) -> None:
    if value <= 0:
        raise ArgumentError(f"{type(schedule).__name__}: `{name}` must be positive; got {value}.")


def _of_each(call: Callable[[Any, Any], float]) -> Callable[[Any, Any], Any]:
    """A schedule's `__call__` that answers for many steps (an array or a tensor) with a tensor: for a plot, say."""

    @functools.wraps(call)
    def called(self: Any, step: Any) -> Any:
        if not getattr(step, "ndim", 0):
            return call(self, step)
        return torch.tensor([call(self, each) for each in step.reshape(-1).tolist()]).reshape(tuple(step.shape))

    return called


@registry.register()
class ExponentialDecay(LearningRateSchedule):
    """initial * decay_rate^(step / decay_steps); in steps with `staircase`.

    Example:
        >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
        0.025
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        _positive(self, "decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    @_of_each
    def __call__(self, step: Any) -> float:
        p = float(step) / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (math.floor(p) if self.staircase else p)


@registry.register()
class InverseTimeDecay(LearningRateSchedule):
    """initial / (1 + decay_rate * step / decay_steps); in steps with `staircase`.

    Example:
        >>> InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0)(10)
        0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        _positive(self, "decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    @_of_each
    def __call__(self, step: Any) -> float:
        p = float(step) / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * (math.floor(p) if self.staircase else p))


@registry.register()
class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to boundaries[i], the last value after.

    Example:
        >>> schedule = PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
        >>> schedule(100), schedule(101), schedule(1000)
        (0.1, 0.01, 0.001)
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1:
            raise ArgumentError(
                f"PiecewiseConstantDecay needs one value more than boundaries; got {len(boundaries)} boundaries and "
                f"{len(values)} values."
            )
        self.boundaries = list(boundaries)
        self.values = list(values)
        self.name = name

    @_of_each
    def __call__(self, step: Any) -> float:
        for boundary, value in zip(self.boundaries, self.values, strict=False):
            if float(step) <= boundary:
                return value
        return self.values[-1]


@registry.register()
class PolynomialDecay(LearningRateSchedule):
    """From the initial to the end rate as (1 - step / decay_steps)^power; with `cycle`, longer and longer rounds.

    Example:
        >>> PolynomialDecay(0.1, decay_steps=10, end_learning_rate=0.0)(5)
        0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        _positive(self, "decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    @_of_each
    def __call__(self, step: Any) -> float:
        step, steps = float(step), float(self.decay_steps)
        if self.cycle:
            steps *= max(1.0, math.ceil(step / steps))
        else:
            step = min(step, steps)
        span = self.initial_learning_rate - self.end_learning_rate
        return span * (1 - step / steps) ** self.power + self.end_learning_rate


@registry.register()
class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate to alpha times it, after an optional linear warm-up.

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: The length of the decay.
        alpha: The share of the rate that is left at the end.
        name: A name.
        warmup_target: The rate that a linear warm-up ends at; None for no warm-up.
        warmup_steps: The length of the warm-up.

    Source: Loshchilov and Hutter, 2017.

    Example:
        >>> CosineDecay(0.1, decay_steps=10)(5)
        0.05
        >>> CosineDecay(0.0, decay_steps=10, warmup_target=0.1, warmup_steps=4)(2)
        0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        _positive(self, "decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_steps = warmup_steps
        self.warmup_target = warmup_target

    @_of_each
    def __call__(self, step: Any) -> float:
        step = float(step)
        if self.warmup_target is None:
            return self._decayed(step, self.initial_learning_rate)
        if step < self.warmup_steps:
            span = self.warmup_target - self.initial_learning_rate
            return self.initial_learning_rate + span * step / self.warmup_steps
        return self._decayed(step - self.warmup_steps, self.warmup_target)

    def _decayed(self, step: float, start: float) -> float:
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(step, self.decay_steps) / self.decay_steps))
        return start * ((1 - self.alpha) * cosine + self.alpha)


@registry.register()
class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decays one after the other, each `t_mul` times as long and `m_mul` times as high.

    Source: Loshchilov and Hutter, 2017.

    Example:
        >>> CosineDecayRestarts(0.1, first_decay_steps=10)(5)
        0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        _positive(self, "first_decay_steps", first_decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    @_of_each
    def __call__(self, step: Any) -> float:
        done, length, height = float(step), float(self.first_decay_steps), 1.0
        if self.t_mul == 1.0:
            rounds, done = divmod(done, length)
            height = self.m_mul**rounds
        elif self.t_mul < 1.0 and done >= length / (1.0 - self.t_mul):  # shorter and shorter rounds: all are over
            return self.initial_learning_rate * self.alpha
        while done >= length:
            done, length, height = done - length, length * self.t_mul, height * self.m_mul
        cosine = 0.5 * height * (1.0 + math.cos(math.pi * done / length))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)


def serialize(learning_rate_schedule: Any) -> Any:
    """The config of a schedule, in Keras's form."""
    return _names.serialize(learning_rate_schedule)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The schedule that `serialize` described."""
    return registry.get(config, custom_objects)


def __dir__() -> list[str]:
    return sorted(__all__)  # scripts list the schedules by dir()
