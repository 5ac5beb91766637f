"""`Mean`, `Sum`, and means of functions."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isfunction
from typing import Any

import torch

from lamella.engine import masking
from lamella.engine.device import on_one_device
from lamella.engine.naming import auto_name
from lamella.engine.registry import deserialize, get_registered_object, serialize
from lamella.engine.variable import State
from lamella.losses import registry as losses
from lamella.losses.base import _as_tensor, function_config, same_rank
from lamella.metrics.base import Function, Metric, divide_no_nan, functions, registry, weight_error

_HALVES = (torch.float16, torch.bfloat16)


def _detached(values: Any) -> torch.Tensor:
    """The values without their history, but with their mask (`detach` alone loses it)."""
    if not isinstance(values, torch.Tensor):
        return torch.as_tensor(values)
    if not values.requires_grad:
        return values
    mask = masking.get_mask(values)
    values = values.detach()
    if mask is not None:
        masking.set_mask(values, mask)
    return values


def _sum(values: torch.Tensor) -> torch.Tensor:
    """The sum of all values; a half-precision sum would overflow at 65504 or stop counting at 256."""
    return values.sum(dtype=torch.float32) if values.dtype in _HALVES else values.sum()


def _samplewise(name: str, values: torch.Tensor, weight: Any, mean: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """One value for each sample, weighted, and the weights (Keras's rules for axes beyond the samples)."""
    reduce = torch.mean if mean else torch.sum
    mask = masking.get_mask(values)
    if not values.is_floating_point() or values.dtype in _HALVES:
        values = values.to(torch.float32)
    weight = _as_tensor(weight).detach().to(values)
    if mask is not None:
        weight = _masked(weight, mask)
    values, weight = same_rank(values, weight)
    if values.ndim > weight.ndim:
        values = reduce(values, dim=tuple(range(weight.ndim, values.ndim)))
    if values.ndim != weight.ndim or any(a not in (1, b) for a, b in zip(weight.shape, values.shape, strict=True)):
        raise weight_error(name, weight, values)
    weight = weight.expand(values.shape)
    values = values * weight
    if weight.ndim > 1:
        beyond = tuple(range(1, weight.ndim))
        values, weight = reduce(values, dim=beyond), reduce(weight, dim=beyond)
    return values, weight


def _masked(weight: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Weights times a mask; the weight of a sample is that of each of its steps."""
    mask, weight = same_rank(mask.to(weight), weight)
    while 0 < weight.ndim < mask.ndim:
        weight = weight.unsqueeze(-1)
    return weight * mask


def function_of(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The function (or loss) that a config names, here or in Keras.

    Raises:
        UnknownNameError: A name that is neither built in nor registered.
    """
    is_function = isinstance(config, dict) and config.get("class_name") == "function"
    name = config["config"] if is_function else config
    if not isinstance(name, str):
        return deserialize(config, custom_objects)
    found = get_registered_object(name, custom_objects)
    if found is not None:
        return found
    known = losses if name in losses and isfunction(losses[name]) else functions
    return known[name]


@registry.register()
class Sum(Metric):
    """The (weighted) sum of values.

    Example:
        >>> from lamella.metrics import Sum
        >>> float(Sum()([1.0, 2.0]))
        3.0
    """

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), name="total")

    @torch.no_grad()
    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values = _as_tensor(values)
        self._follow(values)
        if sample_weight is not None:
            values, _ = _samplewise(self.name, values, sample_weight, mean=False)
        self.total.add_(_sum(values))

    def result(self) -> torch.Tensor:
        return self._result(self.total)


@registry.register()
class Mean(Metric):
    """The (weighted) mean of values.

    Example:
        >>> from lamella.metrics import Mean
        >>> float(Mean()([1.0, 3.0], sample_weight=[1.0, 3.0]))
        2.5
    """

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self._total = self.add_variable((), name="total")
        self._count = self.add_variable((), name="count")
        self._unadded: list[float] = []  # numbers, and how many samples, wait here until the mean is asked for
        self._uncounted = 0

    def reset_state(self) -> None:
        self._unadded, self._uncounted = [], 0
        super().reset_state()

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        if type(values) is float and type(sample_weight) is int:  # a loss that was read, for so many samples
            self._unadded.append(values * sample_weight)
            self._uncounted += sample_weight
            return
        values = _detached(_as_tensor(values))
        if sample_weight is None:
            self._add(values)
            return
        if values.device != self.total.device:
            self.to(values.device)
        if values.ndim == 0 and type(sample_weight) is int:
            self.total.add_(values, alpha=sample_weight)
            self._add_samples(sample_weight)
            return
        values, weight = _samplewise(self.name, values, sample_weight, mean=True)
        self.total.add_(values.sum())
        self._count.add_(weight.sum())

    def _add(self, values: torch.Tensor) -> None:
        """Adds values that all weigh the same; where a sample has many, their mean."""
        if values.device != self.total.device:
            self.to(values.device)
        if values.ndim < 2:
            self.total.add_(_sum(values))
        else:
            self.total.add_(_sum(values), alpha=values.shape[0] / max(values.numel(), 1))
        self._add_samples(values.shape[0] if values.ndim else 1)

    def _add_samples(self, number: int) -> None:
        if self.total.is_cuda and torch.cuda.is_current_stream_capturing():
            self._count.add_(number)  # a graph that is played again runs kernels, but no Python
        else:
            self._uncounted += number

    @property
    def total(self) -> State:
        """The weighted sum of the values so far."""
        self._settle()
        return self._total

    @property
    def count(self) -> State:
        """The sum of the weights so far."""
        self._settle()
        return self._count

    def _settle(self) -> None:
        if self._unadded:
            total = self._total.item()
            for value in self._unadded:  # one by one: the sum is not to depend on when it was asked for
                total += value
            self._total.fill_(total)
            self._unadded = []
        if self._uncounted:
            self._count.add_(self._uncounted)
            self._uncounted = 0

    @property
    def variables(self) -> list[torch.Tensor]:
        """The sums."""
        self._settle()
        return super().variables

    def result(self) -> torch.Tensor:
        return self._result(divide_no_nan(self.total, self.count))


@registry.register()
class MeanMetricWrapper(Mean):
    """The mean of a function (y_true, y_pred, **kwargs).

    Example:
        >>> import torch
        >>> from lamella.metrics import MeanMetricWrapper
        >>> metric = MeanMetricWrapper(lambda y_true, y_pred: (y_true - y_pred).abs())
        >>> float(metric(torch.zeros(2), torch.ones(2)))
        1.0
    """

    def __init__(self, fn: Function, name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name or auto_name(type(self).__name__), dtype)
        self._fn = fn
        self._fn_kwargs = kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        mask = masking.get_mask(y_pred) if masking.in_use else None
        y_true, y_pred = on_one_device([_as_tensor(y_true), _as_tensor(y_pred)])
        values = _detached(self._fn(y_true, y_pred, **self._fn_kwargs))
        if mask is None and sample_weight is None:
            self._add(values)
            return
        if mask is not None:
            mask = mask.to(values.device, torch.float32)
            sample_weight = mask if sample_weight is None else _masked(_as_tensor(sample_weight).to(mask), mask)
        super().update_state(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if type(self) is MeanMetricWrapper:
            config["fn"] = function_config(self._fn)
        return config | {key: serialize(value) for key, value in self._fn_kwargs.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Metric:
        config = dict(config)
        if "fn" in config:
            config["fn"] = function_of(config["fn"], custom_objects)
        return super().from_config(config)
