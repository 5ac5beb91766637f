"""`Mean`, `Sum`, and means of functions."""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine import masking
from lamella.engine.registry import serialize
from lamella.losses.base import _as_tensor, same_rank
from lamella.metrics.base import Function, Metric, divide_no_nan, registry


def _samplewise(values: torch.Tensor, weight: Any, mean: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    """One value for each sample, weighted, and the weights (Keras's rules for axes beyond the samples)."""
    reduce = torch.mean if mean else torch.sum
    if not values.is_floating_point():
        values = values.to(torch.float32)
    if weight is not None:
        weight = _as_tensor(weight).to(values)
        mask = masking.get_mask(values)
        if mask is not None:
            weight = weight * mask.to(values.dtype)
        values, weight = same_rank(values, weight)
        if values.ndim > weight.ndim:
            values = reduce(values, dim=tuple(range(weight.ndim, values.ndim)))
        weight = weight.expand(values.shape)
        values = values * weight
        if weight.ndim > 1:
            weight = reduce(weight, dim=tuple(range(1, weight.ndim)))
    if values.ndim > 1:
        values = reduce(values, dim=tuple(range(1, values.ndim)))
    return values, weight


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
        values, _ = _samplewise(_as_tensor(values), sample_weight, mean=False)
        self.to(values.device)
        self.total.add_(values.sum())

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
        self.total = self.add_variable((), name="total")
        self.count = self.add_variable((), name="count")
        self._uncounted = 0  # whole batches are counted here, in Python, and added when the mean is asked for

    def reset_state(self) -> None:
        self._uncounted = 0
        super().reset_state()

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values = _as_tensor(values).detach()
        if values.device != self.total.device:
            self.to(values.device)
        if values.ndim == 0 and isinstance(sample_weight, int):  # a loss, for so many samples
            self.total.add_(values, alpha=sample_weight)
            self._uncounted += sample_weight
            return
        values, weight = _samplewise(values, sample_weight, mean=True)
        self.total.add_(values.sum())
        self.count.add_(weight.sum() if weight is not None else values.shape[0] if values.ndim else 1)

    @property
    def variables(self) -> list[torch.Tensor]:
        """The sums."""
        self._add_up()
        return super().variables

    def _add_up(self) -> None:
        if self._uncounted:
            self.count.add_(self._uncounted)
            self._uncounted = 0

    def result(self) -> torch.Tensor:
        self._add_up()
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
        super().__init__(
            str(name or getattr(fn, "name", None) or getattr(fn, "__name__", "mean_metric_wrapper")), dtype
        )
        self._fn = fn
        self._fn_kwargs = kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        mask = masking.get_mask(y_pred) if masking.in_use else None
        values = self._fn(_as_tensor(y_true), _as_tensor(y_pred), **self._fn_kwargs).detach()
        if mask is None and sample_weight is None and values.ndim == 1:
            if values.device != self.total.device:
                self.to(values.device)
            self.total.add_(values.sum())
            self._uncounted += values.shape[0]
            return
        if mask is not None:
            mask = mask.to(values.device, torch.float32)
            if sample_weight is None:
                sample_weight = mask
            else:
                mask, sample_weight = same_rank(mask, _as_tensor(sample_weight).to(mask))
                sample_weight = mask * sample_weight
        super().update_state(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if type(self) is MeanMetricWrapper:
            config["fn"] = serialize(self._fn)
        return config | {key: serialize(value) for key, value in self._fn_kwargs.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        config = dict(config)
        if "fn" in config:
            config["fn"] = registry.get(config["fn"])
        return super().from_config(config)
