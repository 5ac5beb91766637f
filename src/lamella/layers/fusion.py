"""Two layers as one, where that is quicker and gives the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lamella import activations
from lamella.engine import masking
from lamella.layers.activation import Activation, ReLU
from lamella.layers.batch_normalization import BatchNormalization
from lamella.layers.convolution import Convolution
from lamella.layers.merging import Add
from lamella.layers.pooling import MaxPooling1D, MaxPooling2D, MaxPooling3D


def fused(first: Any, second: Any, place: int | None = None) -> Callable[..., torch.Tensor] | None:
    """A function that computes two layers quicker than one after the other, or None where there is nothing to gain.

    Values and gradients are exactly those of the two, but for a bias that is added after pooling. Hooks on the layers
    are respected: where there is one, the layers run one after the other.

    Args:
        first: A layer (or layers that were fused) whose result `second` alone uses.
        second: The layer after it.
        place: Which of the second's inputs is the first's result, where it takes a list. The function then takes the
            list with the first's input in that place.
    """
    if place is not None:
        plain = isinstance(first, BatchNormalization) and first._can_be_quick() and type(second) is Add
        return SumWithNormalization(first, second, place) if plain and second.activity_regularizer is None else None
    if _rectifies(second) and second._can_be_quick():
        if type(first) is SumWithNormalization:
            return ReluAfterNormalizedSum(first, second)
        if isinstance(first, BatchNormalization) and first._can_be_quick():
            return ReluAfterNormalization(first, second)
        if isinstance(first, Add) and first.activity_regularizer is None:
            return ReluAfterSum(first, second)
    if isinstance(first, Convolution) and isinstance(second, (MaxPooling1D, MaxPooling2D, MaxPooling3D)):
        alike = (first.rank, first.data_format) == (second.rank, second.data_format)
        quick = first._can_be_quick() and second._can_be_quick()
        if alike and quick and first.activation is activations.relu:
            return ReluAfterPooling(first, second)
    return None


def _rectifies(layer: Any) -> bool:
    if isinstance(layer, ReLU):
        return layer.max_value is None and not layer.negative_slope and not layer.threshold
    return isinstance(layer, Activation) and layer.activation is activations.relu


class Pair:
    """Two layers, as a function of the first one's input."""

    def __init__(self, first: Any, second: Any) -> None:
        self.first = first
        self.second = second
        self.layers: tuple[Any, ...] = (first, second)

    def __call__(self, x: Any) -> torch.Tensor:
        if masking.in_use or not self.takes(x):
            return self.separately(x)
        for layer in self.layers:
            if not layer._quick or layer._has_hooks():
                return self.separately(x)
        try:
            return self.together(x)
        except RuntimeError:
            self.separately(x)  # the same error, with the name of the layer
            raise

    def direct(self, x: Any) -> torch.Tensor:
        """As a layer's `direct`: it is one already."""
        return self(x)

    def takes(self, x: Any) -> bool:
        """Whether `together` can be computed for this input."""
        return type(x) is torch.Tensor and x.dtype is self.first._float

    def separately(self, x: Any) -> torch.Tensor:
        """One after the other."""
        return self.second(self.first(x))

    def together(self, x: Any) -> torch.Tensor:
        """All at once."""
        raise NotImplementedError


class ReluAfterPooling(Pair):
    """relu then max-pooling as max-pooling then relu, which then sees a quarter of the numbers: they commute.

    So does adding a bias. In training it is added last, as its gradient then is a sum over a quarter of the numbers,
    which rounds otherwise.
    """

    def together(self, x: torch.Tensor) -> torch.Tensor:
        first, second = self.first, self.second
        if self._bias_is_last():
            return (second.outward(second.pool(first.convolve_without_bias(x))) + first.bias).relu_()
        return second.outward(second.pool(first.convolve(x)).relu_())

    def _bias_is_last(self) -> bool:
        first = self.first
        trained = first.bias is not None and first.bias.requires_grad and torch.is_grad_enabled()
        return trained and first.channels_last and not first._has_tiles  # products of tiles add it for nothing


class ReluAfterNormalization(Pair):
    """The relu overwrites the normalized values: no gradient needs them."""

    def together(self, x: torch.Tensor) -> torch.Tensor:
        first = self.first
        return first.outward(first.normalize(first.inward(x), first.training).relu_(), x.ndim)


class ReluAfterSum(Pair):
    """The relu overwrites the sum: no gradient needs it."""

    def takes(self, x: Any) -> bool:
        kind = self.first._float
        return len(x) > 1 and all(type(each) is torch.Tensor and each.dtype is kind for each in x)

    def together(self, x: Any) -> torch.Tensor:
        return self.first.call(x).relu_()


class SumWithNormalization(Pair):
    """The other addends are added onto the normalized values: no gradient needs these.

    Args:
        first: The normalization.
        second: The sum.
        place: Which of the addends is normalized.
    """

    def __init__(self, first: BatchNormalization, second: Add, place: int) -> None:
        super().__init__(first, second)
        self.place = place

    def takes(self, x: Any) -> bool:
        kind, shape = self.first._float, x[self.place].shape
        return all(type(each) is torch.Tensor and each.dtype is kind and each.shape == shape for each in x)

    def separately(self, x: Any) -> torch.Tensor:
        addends = list(x)
        addends[self.place] = self.first(addends[self.place])
        return self.second(addends)

    def together(self, x: Any) -> torch.Tensor:
        return self.outward(self.total(x))

    def total(self, x: Any) -> torch.Tensor:
        """The sum, with the channels in axis 1 as the normalization has them."""
        first = self.first
        total = first.normalize(first.inward(x[self.place]), first.training)
        for other in (each for i, each in enumerate(x) if i != self.place):
            total.add_(first.inward(other))
        return total

    def outward(self, total: torch.Tensor) -> torch.Tensor:
        """The sum with its channels where they belong."""
        return self.first.outward(total, total.ndim)


class ReluAfterNormalizedSum(SumWithNormalization):
    """The relu overwrites the sum, which overwrote the normalized values."""

    def __init__(self, summed: SumWithNormalization, relu: Any) -> None:
        super().__init__(summed.first, summed.second, summed.place)
        self.summed = summed
        self.relu = relu
        self.layers = (*summed.layers, relu)

    def separately(self, x: Any) -> torch.Tensor:
        return self.relu(self.summed(x))

    def together(self, x: Any) -> torch.Tensor:
        return self.outward(self.total(x).relu_())
