"""The short and the earlier names of the loss functions, and of the ways to reduce: for scripts of earlier days."""

from lamella.losses.divergence import kl_divergence
from lamella.losses.regression import (
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)

__all__ = [
    "KLD",
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "kld",
    "kullback_leibler_divergence",
    "logcosh",
    "mae",
    "mape",
    "mse",
    "msle",
]

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh = log_cosh


class Reduction:
    """The names of the ways to make one number of the losses of all samples: `Reduction.NONE` is `"none"`.

    Example:
        >>> from lamella import losses
        >>> losses.MeanSquaredError(reduction=losses.Reduction.NONE)([[1.0], [2.0]], [[1.0], [4.0]])
        tensor([0., 4.])
    """

    AUTO = SUM_OVER_BATCH_SIZE = "sum_over_batch_size"
    NONE = "none"
    SUM = "sum"
