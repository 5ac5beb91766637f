"""Layers that make one tensor of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine import masking
from lamella.errors import ArgumentError, ArgumentTypeError, ShapeError
from lamella.layers.base import Layer, registry


class Merge(Layer):
    """The base: checks that there are several inputs, and lines up their ranks."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if (
            not isinstance(input_shape, (list, tuple))
            or not input_shape
            or not isinstance(input_shape[0], (list, tuple))
        ):
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} takes a list of inputs, as in {type(self).__name__}()([a, b]); "
                f"got one input of shape {input_shape}."
            )
        if type(self).call is Merge.call:
            self._check_sizes(input_shape)

    def merge(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """The formula, on inputs of equal rank."""
        raise NotImplementedError

    def call(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        rank = max(x.ndim for x in inputs)
        # A missing axis goes after the batch, as in Keras, where torch would put it before.
        if masking.in_use and any(masking.get_mask(x) is not None for x in inputs):
            return self.merge_masked([_expanded(x, rank) for x in inputs], [_places(x, rank) for x in inputs])
        lined_up = [_expanded(x, rank) for x in inputs]
        try:
            return self.merge(lined_up)
        except RuntimeError:
            self._check_sizes([x.shape for x in inputs])
            raise

    def _check_sizes(self, shapes: Sequence[Sequence[int | None]]) -> None:
        """Raises ShapeError where the shapes do not broadcast; the axes that some lack go after the batch."""
        rank = max(map(len, shapes))
        lined_up = [(*shape[:1], *(1,) * (rank - len(shape)), *shape[1:]) for shape in shapes]
        for axis, sizes in enumerate(zip(*lined_up, strict=True)):
            if len({size for size in sizes if size not in (1, None)}) > 1:
                raise ShapeError(
                    f"{type(self).__name__} {self.name!r} goes over its inputs number by number, so that their sizes "
                    f"must be equal, or 1. Got shapes {[tuple(shape) for shape in shapes]}, which differ in axis "
                    f"{axis}: bring them to one, for instance by a Dense or a Conv2D with window 1."
                )

    def merge_masked(self, inputs: list[torch.Tensor], masks: list[torch.Tensor | None]) -> torch.Tensor:
        """The formula, where some of the inputs have masks: a mask is True where the input is real, or None."""
        return self.merge(inputs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """A step is real where it is real in any of the inputs; without a mask where one of them has none."""
        masks = self._masks(inputs, mask)
        known = [each for each in masks if each is not None]
        return reduce(torch.logical_or, known) if known and len(known) == len(masks) else None

    def _masks(self, inputs: Any, mask: Any) -> list[torch.Tensor | None]:
        """`mask`, if it is a list with one for each of the inputs."""
        if mask is None:
            return []
        if not (isinstance(inputs, (list, tuple)) and isinstance(mask, (list, tuple)) and len(mask) == len(inputs)):
            found = [
                f"{len(x)} {what}" if isinstance(x, (list, tuple)) else f"a {type(x).__name__} as {what}"
                for x, what in ((inputs, "inputs"), (mask, "mask"))
            ]
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: compute_mask takes a list of inputs and a list with a mask (or "
                f"None) for each; got {' and '.join(found)}."
            )
        return [each if each is None else torch.as_tensor(each) for each in mask]

    def _can_be_quick(self) -> bool:
        return self.activity_regularizer is None  # where there are no masks it makes none


def _differ(sizes: Sequence[int | None]) -> bool:
    known = [size for size in sizes if size is not None]
    return any(size != known[0] for size in known[1:])


def _places(x: torch.Tensor, rank: int) -> torch.Tensor | None:
    """The mask of `x`, with axes that make it broadcast against `_expanded(x, rank)`; None if it has none."""
    mask = masking.get_mask(x)
    if mask is None:
        return None
    mask = mask.to(torch.bool)
    return _expanded(mask.reshape(*mask.shape, *(1,) * (x.ndim - mask.ndim)), rank)


def _extreme_of_real(
    pick: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    inputs: list[torch.Tensor],
    masks: list[torch.Tensor | None],
) -> torch.Tensor:
    """The largest (or smallest) of the inputs that are real at each place; those that are not stand back."""
    best, real = inputs[0], masks[0]
    for x, mask in zip(inputs[1:], masks[1:], strict=True):
        own = x if mask is None else torch.where(mask, x, best)
        best = pick(best if real is None else torch.where(real, best, own), own)
        real = None if real is None or mask is None else real | mask
    return best


def _expanded(x: torch.Tensor, rank: int) -> torch.Tensor:
    return x if x.ndim == rank else x.reshape(x.shape[0], *(1,) * (rank - x.ndim), *x.shape[1:])


@registry.register()
class Add(Merge):
    """The sum of the inputs.

    Example:
        >>> import torch
        >>> from lamella.layers import Add
        >>> Add()([torch.ones(1, 2), torch.ones(1, 2)])
        tensor([[2., 2.]])
    """

    def merge(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return reduce(torch.add, inputs)


@registry.register()
class Subtract(Merge):
    """The first input minus the second.

    Example:
        >>> import torch
        >>> from lamella.layers import Subtract
        >>> Subtract()([torch.ones(1, 2), torch.ones(1, 2)])
        tensor([[0., 0.]])
    """

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if len(input_shape) != 2:
            raise ShapeError(f"Subtract {self.name!r} takes two inputs; got {len(input_shape)}.")

    def merge(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return inputs[0] - inputs[1]


@registry.register()
class Multiply(Merge):
    """The product of the inputs, element by element.

    Example:
        >>> import torch
        >>> from lamella.layers import Multiply
        >>> Multiply()([torch.full((1, 2), 2.0), torch.full((1, 2), 3.0)])
        tensor([[6., 6.]])
    """

    def merge(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return reduce(torch.mul, inputs)

    def merge_masked(self, inputs: list[torch.Tensor], masks: list[torch.Tensor | None]) -> torch.Tensor:
        """Padding multiplies by 1; where all the inputs are padding, the product is 0."""
        one = inputs[0].new_ones(())
        known = [x if mask is None else torch.where(mask, x, one) for x, mask in zip(inputs, masks, strict=True)]
        product = self.merge(known)
        places = [mask for mask in masks if mask is not None]
        if len(places) < len(masks):
            return product
        return product.masked_fill(~reduce(torch.logical_or, places), 0)


@registry.register()
class Average(Merge):
    """The mean of the inputs.

    Example:
        >>> import torch
        >>> from lamella.layers import Average
        >>> Average()([torch.zeros(1, 2), torch.ones(1, 2)])
        tensor([[0.5000, 0.5000]])
    """

    def merge(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return reduce(torch.add, inputs) / len(inputs)


@registry.register()
class Maximum(Merge):
    """The largest of the inputs, element by element.

    Example:
        >>> import torch
        >>> from lamella.layers import Maximum
        >>> Maximum()([torch.zeros(1, 2), torch.ones(1, 2)])
        tensor([[1., 1.]])
    """

    def merge(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return reduce(torch.maximum, inputs)

    def merge_masked(self, inputs: list[torch.Tensor], masks: list[torch.Tensor | None]) -> torch.Tensor:
        return _extreme_of_real(torch.maximum, inputs, masks)


@registry.register()
class Minimum(Merge):
    """The smallest of the inputs, element by element.

    Example:
        >>> import torch
        >>> from lamella.layers import Minimum
        >>> Minimum()([torch.zeros(1, 2), torch.ones(1, 2)])
        tensor([[0., 0.]])
    """

    def merge(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return reduce(torch.minimum, inputs)

    def merge_masked(self, inputs: list[torch.Tensor], masks: list[torch.Tensor | None]) -> torch.Tensor:
        return _extreme_of_real(torch.minimum, inputs, masks)


@registry.register()
class Concatenate(Merge):
    """The inputs one after the other along `axis`.

    Raises:
        ShapeError: Inputs that differ in another axis.

    Example:
        >>> import torch
        >>> from lamella.layers import Concatenate
        >>> Concatenate()([torch.zeros(1, 2), torch.ones(1, 3)]).shape
        torch.Size([1, 5])
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        ranks = {len(shape) for shape in input_shape}
        axis = self.axis % len(input_shape[0])
        others = [[size for i, size in enumerate(shape) if i != axis] for shape in input_shape]
        if len(ranks) > 1 or any(_differ(sizes) for sizes in zip(*others, strict=True)):
            raise ShapeError(
                f"Concatenate {self.name!r} joins along axis {self.axis}; in every other axis its inputs must "
                f"have equal sizes. Got shapes {[tuple(shape) for shape in input_shape]}."
            )

    def call(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat(list(inputs), dim=self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        masks = self._masks(inputs, mask)
        if all(mask is None for mask in masks):
            return None
        rank = len(inputs[0].shape)
        axis = self.axis % rank
        device = next(mask.device for mask in masks if mask is not None)
        filled = [_steps_that_count(x, mask, device) for x, mask in zip(inputs, masks, strict=True)]
        if axis == rank - 1:
            return reduce(torch.logical_or, filled)
        return torch.cat(filled, dim=axis)


@registry.register()
class Dot(Merge):
    """The products of two inputs, summed along an axis of each.

    Args:
        axes: The axis of both, or a pair of axes.
        normalize: Whether to scale to norm one along it first: cosine proximity.
        **kwargs: As for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import Dot
        >>> Dot(axes=1)([torch.ones(2, 3), torch.ones(2, 3)])
        tensor([[3.],
                [3.]])
    """

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        pair = isinstance(axes, (list, tuple)) and len(axes) == 2 and all(isinstance(a, int) for a in axes)
        if not isinstance(axes, int) and not pair:
            raise ArgumentTypeError(f"Dot {self.name!r}: `axes` must be a whole number or two of them; got {axes!r}.")
        self.axes = axes if isinstance(axes, int) else tuple(axes)
        self.normalize = normalize

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if len(input_shape) != 2:
            raise ShapeError(f"Dot {self.name!r} takes two inputs; got {len(input_shape)}.")
        a, b = input_shape
        first, second = self._axes(len(a), len(b))
        if a[first] != b[second]:
            raise ShapeError(
                f"Dot {self.name!r} sums along axis {first} of its first input and axis {second} of its second; "
                f"their sizes must be equal. Got shapes {tuple(a)} and {tuple(b)}."
            )

    def _axes(self, rank_a: int, rank_b: int) -> tuple[int, int]:
        first, second = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        return first % rank_a, second % rank_b

    def call(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        a, b = inputs
        first, second = self._axes(a.ndim, b.ndim)
        if self.normalize:
            a, b = F.normalize(self._in_floats(a), dim=first), F.normalize(self._in_floats(b), dim=second)
        kind = torch.promote_types(a.dtype, b.dtype)
        a, b = a.to(kind).movedim(first, -1), b.to(kind).movedim(second, -1)
        shape = (*a.shape[1:-1], *b.shape[1:-1])
        product = torch.bmm(_as_rows(a), _as_rows(b).mT)
        return product.reshape(a.shape[0], *(shape or (1,)))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None


def _steps_that_count(x: Any, mask: torch.Tensor | None, device: torch.device) -> torch.Tensor:
    """The mask of one of several inputs, without their last axis: all steps where it has none."""
    if mask is None:
        return torch.ones(tuple(x.shape)[:-1], dtype=torch.bool, device=device)
    return mask.any(-1) if mask.ndim == len(x.shape) else mask


def _as_rows(x: torch.Tensor) -> torch.Tensor:
    """(batch, ..., size) -> (batch, rows, size)."""
    return x.unsqueeze(1) if x.ndim == 2 else x.flatten(1, -2)


def _function(cls: type[Layer], name: str) -> Callable[..., Any]:
    def function(inputs: Any, **kwargs: Any) -> Any:
        return cls(**kwargs)(inputs)

    function.__name__ = name
    function.__doc__ = f"`{cls.__name__}(**kwargs)(inputs)`."
    return function


add = _function(Add, "add")
subtract = _function(Subtract, "subtract")
multiply = _function(Multiply, "multiply")
average = _function(Average, "average")
maximum = _function(Maximum, "maximum")
minimum = _function(Minimum, "minimum")
concatenate = _function(Concatenate, "concatenate")


def dot(inputs: Any, axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """`Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes, **kwargs)(inputs)
