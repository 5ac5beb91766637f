"""Cross-entropies: losses for classes and probabilities."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine import masking
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.losses.base import (
    EPSILON,
    ElementwiseLoss,
    LossFunctionWrapper,
    _as_tensor,
    as_predictions,
    as_targets,
    check_finite,
    matched,
    registry,
)


@registry.register("bce", "BCE")
def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> torch.Tensor:
    """-mean(y log p + (1 - y) log(1 - p)) along `axis`.

    Args:
        y_true: Targets from 0 to 1.
        y_pred: Probabilities, or logits with `from_logits`.
        from_logits: Whether `y_pred` has not been through a sigmoid yet.
        label_smoothing: Moves targets towards 1/2 by this share.
        axis: The axis of the mean.

    Example:
        >>> binary_crossentropy([[1.0]], [[0.5]])
        tensor([0.6931])
    """
    y_true, y_pred = matched("binary_crossentropy", y_true, y_pred)
    return _binary(_smoothed_binary(y_true, label_smoothing), y_pred, from_logits).mean(dim=axis)


def _binary(y_true: torch.Tensor, y_pred: torch.Tensor, from_logits: bool, reduction: str = "none") -> torch.Tensor:
    # From the logit of the clipped probability: quicker than torch's binary_cross_entropy, and a NaN gives a
    # NaN loss, where that one stops the program (on CUDA with an assertion after which nothing runs).
    logits = y_pred if from_logits else torch.logit(y_pred, EPSILON)
    return F.binary_cross_entropy_with_logits(logits, y_true, reduction=reduction)


def _smoothed_binary(y_true: torch.Tensor, smoothing: float) -> torch.Tensor:
    return y_true * (1.0 - smoothing) + 0.5 * smoothing if smoothing else y_true


@registry.register()
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> torch.Tensor:
    """Binary cross-entropy times (1 - p_true)^gamma: easy samples count less (Lin et al., 2017).

    Args:
        y_true: Targets from 0 to 1.
        y_pred: Probabilities, or logits with `from_logits`.
        apply_class_balancing: Whether to weigh class 1 by `alpha` and class 0 by 1 - `alpha`.
        alpha: The weight of class 1.
        gamma: How much less easy samples count.
        from_logits: Whether `y_pred` has not been through a sigmoid yet.
        label_smoothing: Moves targets towards 1/2 by this share.
        axis: The axis of the mean.

    Example:
        >>> binary_focal_crossentropy([[1.0]], [[0.5]])
        tensor([0.1733])
    """
    y_true, y_pred = matched("binary_focal_crossentropy", y_true, y_pred)
    y_true = _smoothed_binary(y_true, label_smoothing)
    if from_logits:
        y_pred = torch.sigmoid(y_pred)
    p_true = y_true * y_pred + (1 - y_true) * (1 - y_pred)
    focal = (1.0 - p_true).pow(gamma) * _binary(y_true, y_pred, False)
    if apply_class_balancing:
        focal = focal * (y_true * alpha + (1 - y_true) * (1 - alpha))
    return focal.mean(dim=axis)


@registry.register()
def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> torch.Tensor:
    """-sum(y log p) along `axis`, for one-hot (or any) target distributions.

    Args:
        y_true: Target distributions.
        y_pred: Probabilities (scaled to sum to one), or logits with `from_logits`.
        from_logits: Whether `y_pred` has not been through a softmax yet.
        label_smoothing: Moves targets towards the uniform distribution by this share.
        axis: The axis of the classes.

    Example:
        >>> categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])
        tensor([0.6931])
    """
    _check_axis("categorical_crossentropy", axis)
    y_true, y_pred = _one_hot_matched("categorical_crossentropy", y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing)
    return -(y_true * _log_probabilities(y_pred, from_logits, axis)).sum(dim=axis)


def _log_probabilities(y_pred: torch.Tensor, from_logits: bool, axis: int) -> torch.Tensor:
    if from_logits:
        return torch.log_softmax(y_pred, dim=axis)
    return torch.log(_probabilities(y_pred, axis))


def _probabilities(y_pred: torch.Tensor, axis: int) -> torch.Tensor:
    return (y_pred / y_pred.sum(dim=axis, keepdim=True)).clamp(EPSILON, 1.0 - EPSILON)


def _smoothed(y_true: torch.Tensor, smoothing: float) -> torch.Tensor:
    return y_true * (1.0 - smoothing) + smoothing / y_true.shape[-1] if smoothing else y_true


def _one_hot_matched(name: str, y_true: Any, y_pred: Any) -> tuple[torch.Tensor, torch.Tensor]:
    y_true, y_pred = _as_tensor(y_true), as_predictions(y_pred)
    if y_true.shape != y_pred.shape and _are_class_numbers(y_true.shape, y_pred.shape):
        raise _class_numbers_error(name, y_true.shape, y_pred.shape)
    y_true, y_pred = matched(name, y_true, y_pred)
    if y_pred.shape[-1] == 1:
        warnings.warn(
            f"{name} of one class is always 0 (the predictions have shape {tuple(y_pred.shape)}). For two classes "
            f"with one output use binary_crossentropy.",
            SyntaxWarning,
            stacklevel=4,
        )
    return y_true, y_pred


def _are_class_numbers(target: Sequence[int], output: Sequence[int | None]) -> bool:
    """Whether targets have one number where the output has one for each class."""
    wanted = tuple(output[:-1])
    target = tuple(target[:-1]) if len(target) == len(output) and target[-1] == 1 else tuple(target)
    return output[-1] != 1 and len(target) == len(wanted) and target[1:] == wanted[1:]


def _class_numbers_error(name: str, target: Sequence[int], output: Sequence[int | None]) -> ShapeError:
    return ShapeError(
        f"{name}: the targets have shape {tuple(target)}, but the predictions have shape {tuple(output)}; "
        f"they must be equal. The targets look like class numbers: use loss='sparse_categorical_crossentropy', "
        f"or make them one-hot with lamella.utils.to_categorical(y, {output[-1]})."
    )


def _check_axis(name: str, axis: Any) -> None:
    if isinstance(axis, bool):
        raise ArgumentError(f"{name}: `axis` must be a whole number; got {axis!r}.")


@registry.register()
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> torch.Tensor:
    """-sum(alpha (1 - p)^gamma y log p) along `axis` (Lin et al., 2017).

    Args:
        y_true: Target distributions.
        y_pred: Probabilities, or logits with `from_logits`.
        alpha: The weight (a number, or one for each class).
        gamma: How much less easy samples count.
        from_logits: Whether `y_pred` has not been through a softmax yet.
        label_smoothing: Moves targets towards the uniform distribution by this share.
        axis: The axis of the classes.

    Example:
        >>> categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])
        tensor([0.0433])
    """
    _check_axis("categorical_focal_crossentropy", axis)
    y_true, y_pred = _one_hot_matched("categorical_focal_crossentropy", y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing)
    p = _probabilities(torch.softmax(y_pred, dim=axis) if from_logits else y_pred, axis)
    if not isinstance(alpha, (int, float)):
        alpha = torch.as_tensor(alpha, dtype=p.dtype, device=p.device)
    return (alpha * (1.0 - p).pow(gamma) * -y_true * torch.log(p)).sum(dim=axis)


@registry.register()
def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> torch.Tensor:
    """-log p[y], for targets that are class numbers.

    Args:
        y_true: Class numbers from 0.
        y_pred: Probabilities (scaled to sum to one), or logits with `from_logits`.
        from_logits: Whether `y_pred` has not been through a softmax yet.
        ignore_class: A class number whose samples are left out.
        axis: The axis of the classes in `y_pred`.

    Raises:
        ShapeError: Targets that do not have the shape of the predictions without the class axis.

    Example:
        >>> sparse_categorical_crossentropy([1], [[0.5, 0.5]])
        tensor([0.6931])
    """
    y_true, y_pred = _sparse_matched("sparse_categorical_crossentropy", y_true, y_pred, axis)
    if ignore_class is None:
        return _sparse(y_true, y_pred, from_logits, axis)
    valid = y_true != ignore_class
    losses = _sparse(torch.where(valid, y_true, torch.zeros_like(y_true)), y_pred, from_logits, axis)
    losses = torch.where(valid, losses, torch.zeros_like(losses))
    masking.set_mask(losses, valid)
    return losses


def _sparse(y_true: torch.Tensor, y_pred: torch.Tensor, from_logits: bool, axis: int) -> torch.Tensor:
    if from_logits:
        losses = F.cross_entropy(_rows(y_pred, axis), y_true.reshape(-1), reduction="none")
        return losses.reshape(y_true.shape)
    # Only the probability of the true class is scaled and clipped: the others have no part in the loss.
    p_true = y_pred.gather(axis, y_true.unsqueeze(axis)) / y_pred.sum(dim=axis, keepdim=True)
    return -torch.log(p_true.clamp(EPSILON, 1.0 - EPSILON)).squeeze(axis)


def _rows(x: torch.Tensor, axis: int) -> torch.Tensor:
    """(batch, ..., classes) as (samples, classes): kernels for matrices are the quickest."""
    x = x if axis in (-1, x.ndim - 1) else x.movedim(axis, -1)
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def _sparse_matched(name: str, y_true: Any, y_pred: Any, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    y_pred, y_true = as_predictions(y_pred), _as_tensor(y_true)
    if y_true.ndim == y_pred.ndim and y_true.shape[axis] == 1:
        y_true = y_true.squeeze(axis)
    shape = y_pred.shape
    if y_true.shape != (shape[:-1] if axis == -1 else _without(shape, axis)):
        raise _sparse_shape_error(name, tuple(y_true.shape), tuple(shape))
    return y_true.to(torch.int64) if y_true.dtype is not torch.int64 else y_true, y_pred


def _without(shape: Sequence[Any], axis: int) -> tuple[Any, ...]:
    axis %= len(shape)
    return (*shape[:axis], *shape[axis + 1 :])


def _sparse_shape_error(name: str, target: Sequence[Any], output: Sequence[Any]) -> ShapeError:
    mend = "Reshape the targets to one class number for each prediction."
    if len(target) == len(output) and target[-1] not in (None, 1):
        mend = "The targets look one-hot: use loss='categorical_crossentropy', or y.argmax(axis=-1)."
    return ShapeError(
        f"{name}: the targets have shape {tuple(target)}, but the predictions have shape {tuple(output)}: expected "
        f"targets of shape {_without(tuple(output), -1)}, one class number each. {mend}"
    )


@registry.register()
def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> torch.Tensor:
    """(1 - p[y]^q) / q: between cross-entropy (q -> 0) and mean absolute error (q = 1); robust to wrong labels.

    Source: Zhang and Sabuncu, 2018.

    Example:
        >>> categorical_generalized_cross_entropy([1], [[0.75, 0.25]], q=0.5)
        tensor([1.])
    """
    y_true, y_pred = _sparse_matched("categorical_generalized_cross_entropy", y_true, y_pred, -1)
    p_true = y_pred.gather(-1, y_true.unsqueeze(-1)).squeeze(-1)
    # The slope of p^q is infinite at 0, and infinity times the 0 of a softmax would be NaN.
    positive = p_true > 0
    power = torch.where(positive, p_true, torch.ones_like(p_true)).pow(q)
    return (1 - torch.where(positive, power, torch.zeros_like(power))) / q


@registry.register()
class BinaryCrossentropy(ElementwiseLoss):
    """-mean(y log p + (1 - y) log(1 - p)), for two classes or several independent ones.

    Args:
        from_logits: Whether predictions have not been through a sigmoid yet (more exact, and faster).
        label_smoothing: Moves targets towards 1/2 by this share.
        axis: The axis of the mean.
        reduction: As for every loss.
        name: A name.
        dtype: The data type.

    Example:
        >>> BinaryCrossentropy()([[1.0]], [[0.5]])
        tensor(0.6931)
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            binary_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def mean(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        y_true, y_pred = matched(self.name, y_true, y_pred)
        return _binary(_smoothed_binary(y_true, self.label_smoothing), y_pred, self.from_logits, "mean")

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        super().check_targets(y_true, output_shape)
        check_unit_interval(self.name, y_true)


@registry.register()
class BinaryFocalCrossentropy(ElementwiseLoss):
    """Binary cross-entropy in which easy samples count less (Lin et al., 2017).

    Example:
        >>> BinaryFocalCrossentropy()([[1.0]], [[0.5]])
        tensor(0.1733)
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.apply_class_balancing = apply_class_balancing
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        super().check_targets(y_true, output_shape)
        check_unit_interval(self.name, y_true)


class _OneHotLoss(LossFunctionWrapper):
    """What losses of one-hot targets share: the check of the targets."""

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        y_true = as_targets(self.name, y_true)
        shape = tuple(y_true.shape)
        if len(shape) != len(output_shape) or any(
            own not in (None, size) for size, own in zip(shape[1:], output_shape[1:], strict=True)
        ):
            if _are_class_numbers(shape, output_shape):
                raise _class_numbers_error(self.name, shape, output_shape)
            raise ShapeError(
                f"{self.name}: the targets have shape {shape}, but the model's output has shape {tuple(output_shape)}. "
                f"Give the last layer as many units as there are classes."
            )
        check_finite(self.name, y_true)
        if y_true.numel() and bool((y_true < 0).any()):
            raise DataError(f"{self.name}: the targets are distributions, 0 or more; found {float(y_true.min()):g}.")


@registry.register()
class CategoricalCrossentropy(_OneHotLoss):
    """-sum(y log p), for one-hot targets.

    Args:
        from_logits: Whether predictions have not been through a softmax yet (more exact, and faster).
        label_smoothing: Moves targets towards the uniform distribution by this share.
        axis: The axis of the classes.
        reduction: As for every loss.
        name: A name.
        dtype: The data type.

    Example:
        >>> CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])
        tensor(0.6931)
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def mean(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        logits = y_pred if self.from_logits else logits_of(y_pred, self.axis)
        if logits is None:
            return super().mean(y_true, y_pred)
        y_true, logits = _one_hot_matched(self.name, y_true, logits)
        y_true = _smoothed(y_true, self.label_smoothing)
        return F.cross_entropy(_rows(logits, self.axis), _rows(y_true, self.axis))


@registry.register()
class CategoricalFocalCrossentropy(_OneHotLoss):
    """Categorical cross-entropy in which easy samples count less (Lin et al., 2017).

    Example:
        >>> CategoricalFocalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])
        tensor(0.0433)
    """

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self._weight = alpha

    def call(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        if not isinstance(self._weight, (int, float)):
            # Kept on the device: a copy from the host at every step would wait, and cannot be captured.
            self._weight = torch.as_tensor(self._weight, dtype=y_pred.dtype, device=y_pred.device)
        return self.fn(y_true, y_pred, **{**self._fn_kwargs, "alpha": self._weight})


class _SparseLoss(LossFunctionWrapper):
    """What losses of class numbers share: the check of the targets."""

    _takes_class_numbers = True
    ignore_class: int | None = None
    axis: int = -1

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        output_shape = tuple(output_shape)
        classes = output_shape[self.axis]
        y_true = as_targets(self.name, y_true)
        shape = tuple(y_true.shape)
        if len(shape) == len(output_shape) and shape[self.axis] == 1:
            shape = _without(shape, self.axis)
        wanted = _without(output_shape, self.axis)
        if len(shape) != len(wanted) or any(
            own not in (None, size) for size, own in zip(shape[1:], wanted[1:], strict=True)
        ):
            raise _sparse_shape_error(self.name, tuple(y_true.shape), output_shape)
        check_finite(self.name, y_true)
        if y_true.is_floating_point() and bool((y_true != y_true.round()).any()):
            raise DataError(
                f"{self.name}: the targets must be class numbers (whole numbers), but some have a fraction."
            )
        bad = (y_true < 0) if classes is None else (y_true < 0) | (y_true >= classes)
        if self.ignore_class is not None:
            bad = bad & (y_true != self.ignore_class)
        if bool(bad.any()):
            raise self._out_of_range(y_true, bad, classes)

    def _out_of_range(self, y_true: torch.Tensor, bad: torch.Tensor, classes: int | None) -> DataError:
        counted = y_true if self.ignore_class is None else y_true[y_true != self.ignore_class]
        low, high, first = int(counted.min()), int(counted.max()), int(bad.nonzero()[0, 0])
        if classes is not None and low == 1 and high == classes:
            mend = "The labels start at 1: subtract 1 from them."
        elif classes == 1:
            mend = "For two classes and one output use binary_crossentropy."
        elif low < 0:
            mend = f"If {low} means 'no label', pass SparseCategoricalCrossentropy(ignore_class={low})."
        else:
            mend = f"Give the last layer {high + 1} units, one for each class."
        wanted = "0 or more"
        if classes is not None:
            wanted = f"from 0 to {classes - 1}, because the model has {classes} outputs"
        return DataError(
            f"{self.name}: labels must be whole numbers {wanted}; found {low} to {high} ({int(bad.sum())} out of "
            f"range, the first at sample {first}). {mend}"
        )


@registry.register()
class SparseCategoricalCrossentropy(_SparseLoss):
    """-log p[y], for targets that are class numbers.

    Args:
        from_logits: Whether predictions have not been through a softmax yet (more exact, and faster).
        ignore_class: A class number whose samples are left out.
        reduction: As for every loss.
        axis: The axis of the classes in the predictions.
        name: A name.
        dtype: The data type.

    Example:
        >>> SparseCategoricalCrossentropy()([1, 0], [[0.5, 0.5], [0.5, 0.5]])
        tensor(0.6931)
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis

    def mean(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        if self.ignore_class is not None:
            losses = self.call(y_true, y_pred)
            valid = masking.get_mask(losses)
            assert valid is not None
            return losses.sum() / valid.sum().clamp(min=1)
        logits = y_pred if self.from_logits else logits_of(y_pred, self.axis)
        if logits is None:
            return self.call(y_true, y_pred).mean()
        y_true, logits = _sparse_matched(self.name, y_true, logits, self.axis)
        return F.cross_entropy(_rows(logits, self.axis), y_true if y_true.ndim == 1 else y_true.reshape(-1))


@registry.register()
class CategoricalGeneralizedCrossEntropy(_SparseLoss):
    """(1 - p[y]^q) / q, robust to wrong labels (Zhang and Sabuncu, 2018).

    Example:
        >>> CategoricalGeneralizedCrossEntropy(q=0.5)([1], [[0.75, 0.25]])
        tensor(1.)
    """

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        if not 0 < q < 1:
            raise ArgumentError(f"`q` must lie between 0 and 1; got {q!r}.")
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)
        self.q = q


def logits_of(y_pred: torch.Tensor, axis: int) -> torch.Tensor | None:
    """What a softmax along the last axis was taken of to give `y_pred`, if it is known.

    Cross-entropy from the logits is exact where rounded probabilities are 0 or 1, and is one kernel.
    """
    if torch.compiler.is_compiling():  # the compiler fuses the two by itself
        return None
    return getattr(y_pred, "_keras_logits", None) if axis in (-1, y_pred.ndim - 1) else None


_MOST_CLASSES = 100
"""Whole numbers above it, up to 255, are more likely pixels than numbers of classes."""


def check_unit_interval(name: str, y_true: torch.Tensor) -> None:
    """Raises DataError for targets outside [0, 1]."""
    y_true = as_targets(name, y_true)
    if y_true.numel() and bool(((y_true < 0) | (y_true > 1)).any()):
        low, high = float(y_true.min()), float(y_true.max())
        mend = (
            "labels of -1 and 1 become 0 and 1 by (y + 1) / 2"
            if low == -1 and high == 1
            else "pictures of 0 to 255 become 0 to 1 if they are divided by 255: y / 255"
            if low >= 0 and _MOST_CLASSES < high <= 255
            else ("for class numbers use sparse_categorical_crossentropy and one output for each class")
        )
        raise DataError(f"{name}: targets must lie from 0 to 1; found {low:g} to {high:g}. Mend: {mend}.")
