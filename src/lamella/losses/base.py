"""`Loss`: from targets and predictions to one number, or one for each sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella.engine import masking
from lamella.engine.device import brought_to
from lamella.engine.dtypes import dtype_name, torch_dtype
from lamella.engine.naming import auto_name
from lamella.engine.registry import Registry, serialize
from lamella.errors import ArgumentError, DataError, ShapeError

registry = Registry("loss", "keras.losses")

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)
EPSILON = 1e-7


@registry.register()
class Loss:
    """The base of losses: subclasses write `call(y_true, y_pred)`, which gives one number a sample.

    Args:
        name: A name for messages.
        reduction: `"sum_over_batch_size"` (or `"mean"`), `"sum"`, `"mean_with_sample_weight"` (divides by the
            sum of the weights), or `"none"` for no reduction.
        dtype: The data type of the computation; `floatx()` by default.

    Example:
        >>> import torch
        >>> from lamella.losses import Loss
        >>> class Absolute(Loss):
        ...     def call(self, y_true, y_pred):
        ...         return (y_true - y_pred).abs().mean(dim=-1)
        >>> Absolute()(torch.zeros(2, 1), torch.ones(2, 1))
        tensor(1.)
    """

    _takes_class_numbers: ClassVar[bool] = False

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        if reduction not in REDUCTIONS:
            raise ArgumentError(f"`reduction` must be one of {REDUCTIONS}; got {reduction!r}.")
        self.name = name or auto_name(type(self).__name__)
        self.reduction = reduction
        self._dtype = dtype_name(getattr(dtype, "compute_dtype", dtype))
        self._float = torch_dtype(self._dtype)
        self._averages = reduction in ("sum_over_batch_size", "mean", "mean_with_sample_weight")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "call" in cls.__dict__ and "mean" not in cls.__dict__:
            cls.mean = Loss.mean  # type: ignore[method-assign]  # a parent's kernel knows the parent's formula

    @property
    def dtype(self) -> str:
        """The name of the data type of the computation."""
        return self._dtype

    def call(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        """The loss of each sample."""
        raise NotImplementedError(f"{type(self).__name__} has no call().")

    def mean(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        """The mean of `call`. Losses that torch has a fused kernel for use it here."""
        return self._reduced(self.call(y_true, y_pred), None, None, "mean")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> torch.Tensor:
        """The reduced loss.

        Args:
            y_true: The targets.
            y_pred: The predictions. A mask that they carry leaves the padding out.
            sample_weight: A weight for each sample (or each element of `call`'s result).
        """
        if isinstance(y_pred, torch.Tensor):
            y_true = brought_to(y_pred.device, y_true)
        mask = masking.get_mask(y_pred) if masking.in_use else None
        if type(y_pred) is not torch.Tensor or y_pred.dtype is not self._float:
            y_pred = pytree.tree_map(self._as_float, y_pred, is_leaf=_is_number_list)
        if self._takes_class_numbers:
            if type(y_true) is not torch.Tensor:
                y_true = pytree.tree_map(_as_tensor, y_true, is_leaf=_is_number_list)
        elif type(y_true) is not torch.Tensor or y_true.dtype is not self._float:
            y_true = pytree.tree_map(self._as_float, y_true, is_leaf=_is_number_list)
        if sample_weight is None and mask is None and self._averages:
            return self.mean(y_true, y_pred)
        return self._reduced(self.call(y_true, y_pred), sample_weight, mask, self.reduction)

    def _reduced(self, values: Any, sample_weight: Any, mask: Any, reduction: str | None) -> torch.Tensor:
        if values is None:
            raise ArgumentError(f"The loss {self.name!r} gave None: is a `return` missing from its function?")
        own_mask = masking.get_mask(values)
        if own_mask is not None:
            mask = own_mask if mask is None else mask & own_mask
        return reduce_weighted(self._as_float(values), sample_weight, mask, reduction)

    def _as_float(self, x: Any) -> Any:
        return None if x is None else _as_tensor(x).to(self._float)

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        """Refuses targets that cannot be right, once, before training. It may wait for the device.

        Args:
            y_true: All the targets.
            output_shape: The shape of the model's output, None where unknown.

        Raises:
            ShapeError: A shape that does not fit the output.
            DataError: NaN, infinity, or values outside the loss's range.
        """
        check_finite(self.name, as_targets(self.name, y_true))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """The loss that `get_config` described."""
        return cls(**config)


@registry.register()
class LossFunctionWrapper(Loss):
    """A function (y_true, y_pred, **kwargs) as a loss.

    Example:
        >>> import torch
        >>> from lamella.losses import LossFunctionWrapper
        >>> loss = LossFunctionWrapper(lambda y_true, y_pred, power: (y_true - y_pred) ** power, power=2)
        >>> loss(torch.zeros(2), torch.full((2,), 3.0))
        tensor(9.)
    """

    def __init__(
        self,
        fn: Callable[..., torch.Tensor],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn = fn
        self._fn_kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        if isinstance(y_true, torch.Tensor) and isinstance(y_pred, torch.Tensor):
            y_true, y_pred = same_rank(y_true, y_pred)
        else:
            y_true, y_pred = _same_ranks(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if type(self) is LossFunctionWrapper:
            config["fn"] = function_config(self.fn)
        return config | {key: serialize(value) for key, value in self._fn_kwargs.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Loss:
        config = dict(config)
        if "fn" in config:
            fn = config["fn"]  # Keras says "builtins" of its own functions too
            fn = {**fn, "module": None} if isinstance(fn, dict) else fn
            config["fn"] = registry.get(fn, custom_objects)
        return cls(**config)


def function_config(function: Any) -> Any:
    """The config of a function in the form that Keras's losses read, which has no bare names."""
    config = serialize(function)
    if isinstance(config, str):
        kind = "function"
        return {"module": "builtins", "class_name": kind, "config": config, "registered_name": kind}
    return config


class ElementwiseLoss(LossFunctionWrapper):
    """The base of losses whose targets have the shape of the predictions."""

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        y_true = as_targets(self.name, y_true)
        super().check_targets(y_true, output_shape)
        shape = tuple(y_true.shape)
        if not fits(shape, output_shape):
            raise shape_error(self.name, shape, output_shape)


def reduce_weighted(
    values: torch.Tensor, sample_weight: Any, mask: torch.Tensor | None, reduction: str | None
) -> torch.Tensor:
    """The losses of the samples, weighted, without the masked ones, reduced (Keras's rules)."""
    weight = None
    if sample_weight is not None:
        weight = torch.as_tensor(sample_weight, device=values.device).to(values.dtype)
    if mask is not None:
        kept = mask.to(values.dtype)
        if reduction in ("mean", "sum_over_batch_size"):
            kept = kept * (mask.numel() / kept.sum().clamp(min=1.0))
        if weight is None:
            weight = kept
        else:
            kept, weight = same_rank(kept, weight)
            if any(a != b and 1 not in (a, b) for a, b in zip(kept.shape, weight.shape, strict=False)):
                raise _weight_error("sample_weight", kept, weight)
            kept, weight = _leading(kept, weight)
            weight = weight * kept
    if weight is not None:
        values, weight = same_rank(values, weight)
        fits = all(own in (1, size) for own, size in zip(weight.shape, values.shape, strict=False))
        if values.ndim and not (fits and weight.ndim <= values.ndim):
            raise _weight_error("sample_weight" if mask is None else "the mask", values, weight)
        values, weight = _leading(values, weight)
        values = values * weight
    if reduction in (None, "none") or values.ndim == 0:
        return values
    if reduction == "sum":
        return values.sum()
    if reduction == "mean_with_sample_weight" and weight is not None:
        total = weight.sum()
        divisor = torch.where(total == 0, torch.ones_like(total), total)
        return torch.where(total == 0, torch.zeros_like(total), values.sum() / divisor)
    return values.sum() / max(values.numel(), 1)


def _leading(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gives the one of lower rank more axes of size 1: a sample's weight is that of all its elements."""
    if 0 < a.ndim < b.ndim:
        a = a.reshape(*a.shape, *[1] * (b.ndim - a.ndim))
    elif 0 < b.ndim < a.ndim:
        b = b.reshape(*b.shape, *[1] * (a.ndim - b.ndim))
    return a, b


def _weight_error(name: str, values: torch.Tensor, weight: torch.Tensor) -> ShapeError:
    return ShapeError(
        f"{name} of shape {tuple(weight.shape)} does not fit losses of shape {tuple(values.shape)}: give one "
        f"weight a sample, shape ({values.shape[0]},), or one an element. The last axis of the predictions is "
        f"averaged already; to weigh along it, give targets and predictions a further last axis of size 1."
    )


def same_rank(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Brings two tensors to one rank where they differ by a last axis of size 1."""
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b.unsqueeze(-1)) if b.ndim == 1 else (a.squeeze(-1), b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a.unsqueeze(-1), b) if a.ndim == 1 else (a, b.squeeze(-1))
    return a, b


def matched(name: str, y_true: Any, y_pred: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Targets and predictions as tensors of one type and shape.

    Raises:
        ShapeError: Shapes that torch would broadcast, which is never what was meant.
    """
    y_pred = as_predictions(y_pred)
    y_true = _as_tensor(y_true)
    if y_true.dtype is not y_pred.dtype or y_true.device != y_pred.device:
        y_true = y_true.to(y_pred)
    if y_true.shape != y_pred.shape:
        y_true, y_pred = same_rank(y_true, y_pred)
        if y_true.shape != y_pred.shape:
            raise shape_error(name, tuple(y_true.shape), tuple(y_pred.shape))
    return y_true, y_pred


def _same_ranks(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """`same_rank` of targets and predictions, or of each pair of them where both are nested alike."""
    true, true_spec = pytree.tree_flatten(y_true)
    pred, pred_spec = pytree.tree_flatten(y_pred)
    if true_spec != pred_spec or not all(isinstance(leaf, torch.Tensor) for leaf in (*true, *pred)):
        return y_true, y_pred
    pairs = [same_rank(*pair) for pair in zip(true, pred, strict=True)]
    return tuple(pytree.tree_unflatten(side, true_spec) for side in zip(*pairs, strict=True))  # type: ignore


def shape_error(name: str, target: Sequence[int | None], output: Sequence[int | None]) -> ShapeError:
    """The error for targets that do not have the shape of the predictions."""
    target, output = tuple(target), tuple(output)
    mend = "Give the last layer as many units as a target has numbers, or reshape the targets."
    return ShapeError(
        f"{name}: the targets have shape {target}, but the predictions have shape {output}; they must be equal. {mend}"
    )


def fits(target: Sequence[int], output: Sequence[int | None]) -> bool:
    """Whether targets of one shape can be compared with outputs of another, element by element."""
    target, output = tuple(target), tuple(output)
    if len(target) + 1 == len(output) and output[-1] == 1:
        output = output[:-1]
    elif len(output) + 1 == len(target) and target[-1] == 1:
        target = target[:-1]
    return len(target) == len(output) and all(
        own is None or size == own for size, own in zip(target[1:], output[1:], strict=True)
    )


def check_finite(name: str, y_true: torch.Tensor) -> None:
    """Raises DataError where targets have NaN or infinity, with the first place."""
    if y_true.is_floating_point() and not bool(torch.isfinite(y_true.sum(dtype=torch.float64))):
        bad = ~torch.isfinite(y_true)
        if bool(bad.any()):
            first = bad.nonzero()[0].tolist()
            raise DataError(
                f"{name}: y has {int(bad.sum())} values that are NaN or infinite, the first at sample {first[0]}. "
                f"Clean them before training, for instance with y[numpy.isfinite(y)]."
            )


def _as_tensor(x: Any) -> Any:
    if isinstance(x, torch.Tensor) or x is None:
        return x
    array = np.asarray(x)
    if not array.flags.writeable:  # torch warns of memory that it must not write
        array = array.copy()
    x = torch.as_tensor(array)
    return x.to(torch_dtype(None)) if x.dtype is torch.float64 else x


def as_predictions(x: Any) -> torch.Tensor:
    """Predictions as a tensor of floats."""
    x = _as_tensor(x)
    return x if x.is_floating_point() else x.to(torch_dtype(None))


def as_targets(name: str, y: Any) -> torch.Tensor:
    """All the targets, of any kind, as a tensor.

    Raises:
        DataError: Targets that are no numbers.
    """
    if isinstance(y, torch.Tensor):
        return y
    array = np.asarray(y)
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{name}: targets must be numbers; found {array.dtype}. Number the classes, for instance with "
            f"numpy.unique(y, return_inverse=True)[1]."
        )
    return _as_tensor(array)


def _is_number_list(x: Any) -> bool:
    while type(x) in (list, tuple) and x:
        x = x[0]
        if isinstance(x, (bool, int, float)):
            return True
    return False
