"""Losses: what training makes small. Keras's names, arguments and numerics."""

from collections.abc import Mapping
from inspect import isfunction
from typing import Any

from lamella.errors import ArgumentError
from lamella.losses.base import Loss, LossFunctionWrapper, function_config, registry
from lamella.losses.binary import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    binary_crossentropy,
    binary_focal_crossentropy,
)
from lamella.losses.categorical import (
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
)
from lamella.losses.circle import Circle, circle
from lamella.losses.ctc import CTC, ctc
from lamella.losses.divergence import KLDivergence, Poisson, kl_divergence, poisson
from lamella.losses.hinge import (
    CategoricalHinge,
    Hinge,
    SquaredHinge,
    categorical_hinge,
    hinge,
    squared_hinge,
)
from lamella.losses.of_torch import LossOfTorch, is_of_torch
from lamella.losses.overlap import Dice, Tversky, dice, tversky
from lamella.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from lamella.losses.short_names import (
    KLD,
    MAE,
    MAPE,
    MSE,
    MSLE,
    Reduction,
    kld,
    kullback_leibler_divergence,
    logcosh,
    mae,
    mape,
    mse,
    msle,
)
from lamella.losses.sparse import (
    CategoricalGeneralizedCrossEntropy,
    SparseCategoricalCrossentropy,
    categorical_generalized_cross_entropy,
    sparse_categorical_crossentropy,
)

__all__ = [
    "CTC",
    "KLD",
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "Circle",
    "CosineSimilarity",
    "Dice",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "Reduction",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "as_loss",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "circle",
    "cosine_similarity",
    "ctc",
    "deserialize",
    "dice",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "kld",
    "kullback_leibler_divergence",
    "log_cosh",
    "logcosh",
    "mae",
    "mape",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mse",
    "msle",
    "poisson",
    "registry",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]


def get(identifier: Any) -> Any:
    """The loss for a name, a config, a class, an object or a function; None for None.

    A name gives a function (`"mse"`, `"mean_squared_error"`), or an object of a class (`"MeanSquaredError"`).

    Raises:
        UnknownNameError: A name that is not known; the message lists the nearest.
        ArgumentError: Something that cannot be called.

    Example:
        >>> get("mse") is mean_squared_error
        True
        >>> get("MeanSquaredError").name
        'mean_squared_error'
    """
    found = deserialize(identifier)
    if found is None or callable(found):
        return found
    raise ArgumentError(f"A loss must be callable; got {found!r}.")


_CLASSES: dict[Any, type[Loss]] = {
    binary_crossentropy: BinaryCrossentropy,
    binary_focal_crossentropy: BinaryFocalCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    categorical_focal_crossentropy: CategoricalFocalCrossentropy,
    categorical_hinge: CategoricalHinge,
    circle: Circle,
    cosine_similarity: CosineSimilarity,
    ctc: CTC,
    dice: Dice,
    hinge: Hinge,
    huber: Huber,
    kl_divergence: KLDivergence,
    log_cosh: LogCosh,
    mean_absolute_error: MeanAbsoluteError,
    mean_absolute_percentage_error: MeanAbsolutePercentageError,
    mean_squared_error: MeanSquaredError,
    mean_squared_logarithmic_error: MeanSquaredLogarithmicError,
    poisson: Poisson,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
    squared_hinge: SquaredHinge,
    tversky: Tversky,
}


def as_loss(identifier: Any) -> Loss:
    """The loss object for whatever `compile(loss=...)` takes.

    A built-in function becomes its class, whose mean is one kernel where torch has one and which can check
    targets; losses of torch are called as torch calls them, (prediction, target); any other function is wrapped.

    Raises:
        UnknownNameError: A name that is not known; the message lists the nearest.
        ArgumentError: Something that cannot be called.

    Example:
        >>> type(as_loss("mse")).__name__, as_loss(lambda y_true, y_pred: y_pred.mean(-1)).reduction
        ('MeanSquaredError', 'sum_over_batch_size')
    """
    found = get(identifier)
    if isinstance(found, Loss):
        return found
    if isfunction(found) and found in _CLASSES:
        return _CLASSES[found]()
    if is_of_torch(found):
        return LossOfTorch(found)
    if callable(found):
        return LossFunctionWrapper(found)
    raise ArgumentError(f"A loss is a name, a function or a Loss; got {identifier!r}.")


def serialize(loss: Any) -> Any:
    """The config of a loss, in Keras's form.

    Example:
        >>> serialize(MeanSquaredError())["class_name"]
        'MeanSquaredError'
    """
    return function_config(loss)


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The loss that `serialize` described, here or in Keras.

    Example:
        >>> deserialize(serialize(MeanSquaredError(reduction="sum"))).reduction
        'sum'
    """
    if isinstance(name, dict) and name.get("class_name") == "function":
        name = {**name, "module": None}  # Keras says "builtins" of its own functions too
    return registry.get(name, custom_objects)
