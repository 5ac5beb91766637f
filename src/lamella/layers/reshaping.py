"""Layers that change the shape and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from lamella.engine.image_data_format import checked_data_format
from lamella.engine.symbolic import symbolic_input
from lamella.errors import ArgumentError, ArgumentTypeError, ShapeError
from lamella.layers.base import InputSpec, Layer, registry


def check_data_format(layer: Layer, value: str | None) -> str:
    """`value`, or the default for None; an error that names the layer for anything but Keras's two."""
    return checked_data_format(value, f"{type(layer).__name__} {layer.name!r}: ")


@registry.register()
class Flatten(Layer):
    """(batch, a, b, ...) -> (batch, a * b * ...).

    Args:
        data_format: `"channels_last"` or `"channels_first"` (then channels are moved last first).
        **kwargs: As for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import Flatten
        >>> Flatten()(torch.ones(2, 28, 28)).shape
        torch.Size([2, 784])
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = check_data_format(self, data_format)
        self.input_spec = InputSpec(min_ndim=1)
        self._build_at_init()

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.data_format == "channels_first" and inputs.ndim > 2:
            inputs = inputs.movedim(1, -1)
        return inputs.reshape(inputs.shape[0], -1 if inputs.numel() else math.prod(inputs.shape[1:]))


@registry.register()
class Reshape(Layer):
    """(batch, ...) -> (batch, *target_shape); one size may be -1.

    Raises:
        ShapeError: The sizes do not multiply to the size of a sample.

    Example:
        >>> import torch
        >>> from lamella.layers import Reshape
        >>> Reshape((28, 28))(torch.ones(2, 784)).shape
        torch.Size([2, 28, 28])
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(target_shape, Iterable):
            raise ArgumentTypeError(
                f"Reshape {self.name!r}: `target_shape` must be a tuple or list of sizes; got {target_shape!r}."
            )
        self.target_shape = tuple(target_shape)
        if sum(size == -1 for size in self.target_shape) > 1:
            raise ArgumentError(f"Reshape {self.name!r}: only one size may be -1; got {self.target_shape}.")
        if any(isinstance(size, bool) or not isinstance(size, int) or size < -1 for size in self.target_shape):
            raise ArgumentError(
                f"Reshape {self.name!r}: each size must be a whole number of 0 or more, or -1 for one; got "
                f"{self.target_shape}."
            )
        self._any_size = False
        self._build_at_init()

    def _call_symbolic(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._any_size = None in getattr(args[0] if args else None, "shape", ())[1:]
        return super()._call_symbolic(args, kwargs)

    def _declared_outputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Where the size of a sample is known from the data alone, the data show whether it fits."""
        if not self._any_size:
            return None
        batch, *sample = args[0].shape
        sizes = (math.prod(sample) if size == -1 else size for size in self.target_shape)
        kind = self._float if self.autocast and args[0].dtype.is_floating_point else args[0].dtype
        return symbolic_input((batch, *sizes), kind)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        size = math.prod(inputs.shape[1:])
        known = math.prod(target for target in self.target_shape if target != -1)
        if size != known and (-1 not in self.target_shape or known == 0 or size % known):
            raise ShapeError(
                f"Reshape {self.name!r} cannot make {self.target_shape} of a sample of shape "
                f"{tuple(inputs.shape[1:])}: {known} is not {size}. The sizes must multiply to the same number."
            )
        if inputs.numel():
            return inputs.reshape(inputs.shape[0], *self.target_shape)
        sizes = (size // (known or 1) if target == -1 else target for target in self.target_shape)
        return inputs.reshape(inputs.shape[0], *sizes)


@registry.register()
class Permute(Layer):
    """Reorders the axes; `dims` counts from 1, the batch stays first.

    Example:
        >>> import torch
        >>> from lamella.layers import Permute
        >>> Permute((2, 1))(torch.ones(5, 10, 64)).shape
        torch.Size([5, 64, 10])
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ArgumentError(f"Permute {self.name!r}: `dims` must name each of 1..n once; got {self.dims}.")
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)
        self._build_at_init()

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.permute(0, *self.dims)


@registry.register()
class RepeatVector(Layer):
    """(batch, features) -> (batch, n, features).

    Example:
        >>> import torch
        >>> from lamella.layers import RepeatVector
        >>> RepeatVector(3)(torch.ones(2, 4)).shape
        torch.Size([2, 3, 4])
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(n, bool) or not isinstance(n, int):
            raise ArgumentTypeError(f"RepeatVector {self.name!r}: `n` must be a whole number; got {n!r}.")
        if n < 1:
            raise ArgumentError(f"RepeatVector {self.name!r}: `n` must be 1 or more; got {n}.")
        self.n = n
        self.input_spec = InputSpec(ndim=2)
        self._build_at_init()

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.unsqueeze(1).expand(-1, self.n, -1)


@registry.register()
class Identity(Layer):
    """Hands its input on.

    Example:
        >>> import torch
        >>> from lamella.layers import Identity
        >>> Identity()(torch.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Any) -> Any:
        return inputs
