"""Layers that bring numbers to a good scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from lamella.engine.device import default_device
from lamella.engine.image_data_format import image_data_format
from lamella.errors import ArgumentError, ShapeError
from lamella.layers.backend_view import BackendView
from lamella.layers.base import Layer, registry
from lamella.layers.data_layer import as_numbers, each_batch
from lamella.layers.shapes import is_number_list

_EPSILON = 1e-7


@registry.register()
class Rescaling(Layer):
    """inputs * scale + offset, as in `Rescaling(1 / 255)`.

    Example:
        >>> import torch
        >>> from lamella.layers import Rescaling
        >>> Rescaling(0.5, offset=-1.0)(torch.tensor([4, 6]))
        tensor([1., 2.])
    """

    backend = BackendView()

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.is_meta:  # torch would load its compiler, most of a second, to multiply shapes
            return torch.empty(inputs.shape, dtype=self._float, device="meta")
        return inputs.to(self._float) * self._as_tensor(self.scale, inputs) + self._as_tensor(self.offset, inputs)

    def _as_tensor(self, value: Any, like: torch.Tensor) -> Any:
        if isinstance(value, (int, float)):
            return value
        value = torch.as_tensor(value, dtype=self._float, device=like.device)
        by_channel = value.ndim and image_data_format() == "channels_first"
        return value.reshape(*value.shape, *(1,) * (3 - value.ndim)) if by_channel else value


@registry.register()
class Normalization(Layer):
    """(inputs - mean) / sqrt(variance), both given or learnt by `adapt(data)` (before that: 0 and 1).

    Args:
        axis: The axes that keep a mean and a variance each; None for one mean of everything.
        mean: The mean, if known.
        variance: The variance, if known.
        invert: Whether to undo the normalization instead.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Only one of `mean` and `variance`.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Normalization
        >>> layer = Normalization()
        >>> layer.adapt(np.array([[1.0], [3.0]]))
        >>> layer(np.array([[1.0], [5.0]]))
        tensor([[-1.],
                [ 3.]])
    """

    mean: Any  # None before `build`
    variance: Any

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ArgumentError(f"Normalization {self.name!r}: give both `mean` and `variance`, or neither.")
        if mean is not None and np.shape(mean) != np.shape(variance):
            raise ArgumentError(
                f"Normalization {self.name!r}: `mean` has shape {np.shape(mean)} and `variance` has shape "
                f"{np.shape(variance)}; they must be equal."
            )
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.input_mean = mean
        self.input_variance = variance
        self.invert = invert
        self.supports_masking = True
        self.mean = self.variance = None  # until it is built

    def build(self, input_shape: Any) -> None:
        rank = len(input_shape)
        if any(not -rank <= axis < rank for axis in self.axis):
            raise ArgumentError(
                f"Normalization {self.name!r}: each `axis` must be from {-rank} to {rank - 1}, as inputs have {rank} "
                f"axes; got {self.axis}."
            )
        keep = sorted(axis % rank for axis in self.axis)
        if any(input_shape[axis] is None for axis in keep):
            raise ShapeError(
                f"Normalization {self.name!r} keeps axes {self.axis}, whose sizes must be known; got {input_shape}."
            )
        self._reduced = [axis for axis in range(rank) if axis not in keep]
        self._broadcast = [input_shape[axis] if axis in keep else 1 for axis in range(rank)]
        shape = [input_shape[axis] for axis in keep]
        if self.input_mean is not None:  # given, so no weights: they are in the config
            for name, value in (("mean", self.input_mean), ("variance", self.input_variance)):
                self.__dict__.pop(name, None)
                self.register_buffer(name, self._expanded(value, shape), persistent=False)
            return
        self.add_weight(shape, "zeros", trainable=False, name="mean")
        self.add_weight(shape, "ones", trainable=False, name="variance")
        self.count = self.add_weight((), "zeros", dtype="int64", trainable=False, name="count")

    def _expanded(self, value: Any, shape: Sequence[int]) -> torch.Tensor:
        value = torch.as_tensor(np.asarray(value), dtype=self._float, device=default_device())
        return value.expand(tuple(shape)).clone()

    def __getattr__(self, name: str) -> Any:
        # The weights have one axis for each that is kept; as `mean` they lie along the inputs, (1, n) for (batch, n)
        held: Any = nn.Module.__getattr__(self, {"adapt_mean": "mean", "adapt_variance": "variance"}.get(name, name))
        return held.reshape(self._broadcast).to(self._float) if name in ("mean", "variance") else held

    def adapt(self, data: Any) -> None:
        """Learns mean and variance.

        Args:
            data: An array, a tensor, a data frame, a nested list of numbers, or an iterable of batches x, (x, y) or
                (x, y, weight): a list of arrays, a generator, a `DataLoader`, a `Dataset` or a `PyDataset`.

        Raises:
            ArgumentError: The mean was given, or there are no data.
            ShapeError: A batch of another shape than the ones before.
        """
        if self.input_mean is not None:
            raise ArgumentError(
                f"Normalization {self.name!r} was given its mean and variance: there is nothing to adapt."
            )
        count, mean, squares = 0, None, None
        for batch in each_batch(data, None, _is_array):
            values = as_numbers(batch)
            if not self.built:
                kept = {axis % max(values.ndim, 1) for axis in self.axis}
                self.build(tuple(values.shape) if 0 in kept else (None, *values.shape[1:]))
                self._mark_built()
            self._check_batch(tuple(values.shape))
            # Float64 and a merge of means and squared deviations (Chan et al., 1979) keep this exact for
            # data of any offset and any number of batches.
            values = values.to("cpu", torch.float64)
            size = int(np.prod([values.shape[axis] for axis in self._reduced])) if self._reduced else 1
            batch_mean = values.mean(dim=self._reduced) if self._reduced else values
            centred = values - batch_mean.reshape(_like(self._broadcast, values))
            batch_squares = centred.square().sum(dim=self._reduced) if self._reduced else torch.zeros_like(values)
            if mean is None or squares is None:
                count, mean, squares = size, batch_mean, batch_squares
            else:
                delta, total = batch_mean - mean, count + size
                mean = mean + delta * size / total
                squares = squares + batch_squares + delta.square() * count * size / total
                count = total
        if mean is None or squares is None:
            raise ArgumentError(f"Normalization {self.name!r}: adapt() got no data.")
        self.adapt_mean.copy_(mean)
        self.adapt_variance.copy_(squares / max(count, 1))
        self.count.fill_(count)

    def _check_batch(self, shape: tuple[int, ...]) -> None:
        fits = len(shape) == len(self._broadcast) and all(
            axis in self._reduced or size == shape[axis] for axis, size in enumerate(self._broadcast)
        )
        if not fits:
            wanted = tuple(None if axis in self._reduced else size for axis, size in enumerate(self._broadcast))
            raise ShapeError(f"Normalization {self.name!r} learns from data of shape {wanted}; got a batch of {shape}.")

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        inputs = inputs.to(self._float)
        mean, deviation = self.mean, self.variance.sqrt().clamp(min=_EPSILON)
        return inputs * deviation + mean if self.invert else (inputs - mean) / deviation

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        mean, variance = self.input_mean, self.input_variance
        config["mean"] = None if mean is None else np.asarray(mean).tolist()
        config["variance"] = None if variance is None else np.asarray(variance).tolist()
        return config


def _is_array(data: Any) -> bool:
    return hasattr(data, "shape") or is_number_list(data)


def _like(broadcast: list[int], values: torch.Tensor) -> list[int]:
    return [size if size == own else 1 for size, own in zip(broadcast, values.shape, strict=True)]
