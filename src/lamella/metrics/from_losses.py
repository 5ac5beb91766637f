"""Losses as metrics: their means."""

from __future__ import annotations

from typing import Any

import torch

from lamella import losses
from lamella.losses.base import matched
from lamella.metrics.base import functions, registry
from lamella.metrics.reduction import Mean, MeanMetricWrapper


def _of(function: Any, name: str, aliases: tuple[str, ...], doc: str, default_name: str) -> type[MeanMetricWrapper]:
    """A metric class that is the mean of a loss function without further arguments."""

    def __init__(self: Any, name: str = default_name, dtype: Any = None) -> None:
        MeanMetricWrapper.__init__(self, function, name, dtype)

    cls = type(name, (MeanMetricWrapper,), {"__init__": __init__, "__doc__": doc, "__module__": __name__})
    return registry.register(*aliases)(cls)


MeanSquaredError = _of(
    losses.mean_squared_error,
    "MeanSquaredError",
    ("mse", "MSE"),
    "The mean of (y_true - y_pred)^2.",
    "mean_squared_error",
)
MeanAbsoluteError = _of(
    losses.mean_absolute_error,
    "MeanAbsoluteError",
    ("mae", "MAE"),
    "The mean of |y_true - y_pred|.",
    "mean_absolute_error",
)
MeanAbsolutePercentageError = _of(
    losses.mean_absolute_percentage_error,
    "MeanAbsolutePercentageError",
    ("mape", "MAPE"),
    "100 times the mean of |y_true - y_pred| / |y_true|.",
    "mean_absolute_percentage_error",
)
MeanSquaredLogarithmicError = _of(
    losses.mean_squared_logarithmic_error,
    "MeanSquaredLogarithmicError",
    ("msle", "MSLE"),
    "The mean of (log(1 + y_true) - log(1 + y_pred))^2.",
    "mean_squared_logarithmic_error",
)
LogCoshError = _of(losses.log_cosh, "LogCoshError", ("logcosh",), "The mean of log(cosh(y_pred - y_true)).", "logcosh")
Hinge = _of(losses.hinge, "Hinge", (), "The mean of max(1 - y p, 0).", "hinge")
SquaredHinge = _of(losses.squared_hinge, "SquaredHinge", (), "The mean of max(1 - y p, 0)^2.", "squared_hinge")
CategoricalHinge = _of(
    losses.categorical_hinge,
    "CategoricalHinge",
    (),
    "The mean of max(wrong - right + 1, 0).",
    "categorical_hinge",
)
KLDivergence = _of(
    losses.kl_divergence, "KLDivergence", ("kld", "KLD"), "The mean of sum(y log(y / p)).", "kl_divergence"
)
Poisson = _of(losses.poisson, "Poisson", (), "The mean of p - y log p.", "poisson")


@registry.register()
class RootMeanSquaredError(Mean):
    """The square root of the mean of (y_true - y_pred)^2.

    Example:
        >>> from lamella.metrics import RootMeanSquaredError
        >>> float(RootMeanSquaredError()([0.0, 0.0], [3.0, 3.0]))
        3.0
    """

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    @torch.no_grad()
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = matched(self.name, y_true, y_pred)
        super().update_state((y_pred - y_true).square(), sample_weight)

    def result(self) -> torch.Tensor:
        return super().result().sqrt()


def _cosine(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    return -losses.cosine_similarity(y_true, y_pred, axis)


@registry.register()
class CosineSimilarity(MeanMetricWrapper):
    """The mean cosine of the angle between target and prediction: 1 is best.

    Example:
        >>> from lamella.metrics import CosineSimilarity
        >>> float(CosineSimilarity()([[1.0, 0.0]], [[2.0, 0.0]]))
        1.0
    """

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(_cosine, name, dtype, axis=axis)
        self.axis = axis


@registry.register("bce", "BCE")
class BinaryCrossentropy(MeanMetricWrapper):
    """The mean of -(y log p + (1 - y) log(1 - p)).

    Example:
        >>> from lamella.metrics import BinaryCrossentropy
        >>> round(float(BinaryCrossentropy()([[1.0]], [[0.5]])), 4)
        0.6931
    """

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(
            losses.binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing


@registry.register()
class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean of -sum(y log p), for one-hot targets.

    Example:
        >>> from lamella.metrics import CategoricalCrossentropy
        >>> round(float(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
        0.6931
    """

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


@registry.register()
class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean of -log p[y], for targets that are class numbers.

    Example:
        >>> from lamella.metrics import SparseCategoricalCrossentropy
        >>> round(float(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]])), 4)
        0.6931
    """

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.sparse_categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis


@functions.register()
def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """The correlation of target and prediction along `axis` (Pearson, 1895).

    Example:
        >>> pearson_correlation([[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]]).round(decimals=4)
        tensor([1.])
    """
    y_true, y_pred = matched("pearson_correlation", y_true, y_pred)
    a = y_true - y_true.mean(dim=axis, keepdim=True)
    b = y_pred - y_pred.mean(dim=axis, keepdim=True)
    a = a / a.std(dim=axis, keepdim=True, correction=0)
    b = b / b.std(dim=axis, keepdim=True, correction=0)
    return (a * b).mean(dim=axis)


@functions.register()
def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """The concordance of target and prediction along `axis`: 1 where they are equal (Lin, 1989).

    Example:
        >>> concordance_correlation([[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]]).round(decimals=4)
        tensor([1.])
    """
    y_true, y_pred = matched("concordance_correlation", y_true, y_pred)
    mean_true, mean_pred = y_true.mean(dim=axis, keepdim=True), y_pred.mean(dim=axis, keepdim=True)
    spread = y_true.var(dim=axis, keepdim=True, correction=0) + y_pred.var(dim=axis, keepdim=True, correction=0)
    covariance = (y_true - mean_pred) * (y_pred - mean_pred)
    return (2 * covariance / (spread + (mean_true - mean_pred).square() + 1e-7)).mean(dim=axis)


@registry.register()
class PearsonCorrelation(MeanMetricWrapper):
    """The mean correlation of target and prediction along `axis` (Pearson, 1895).

    Example:
        >>> from lamella.metrics import PearsonCorrelation
        >>> round(float(PearsonCorrelation()([[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]])), 4)
        1.0
    """

    def __init__(self, name: str = "pearson_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)
        self.axis = axis


@registry.register()
class ConcordanceCorrelation(MeanMetricWrapper):
    """The mean concordance of target and prediction along `axis` (Lin, 1989).

    Example:
        >>> from lamella.metrics import ConcordanceCorrelation
        >>> round(float(ConcordanceCorrelation()([[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]])), 4)
        1.0
    """

    def __init__(self, name: str = "concordance_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)
        self.axis = axis
