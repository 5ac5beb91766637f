"""Adaptive pooling: an output of a given size, whatever the size of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.layers.base import InputSpec, registry
from lamella.layers.windows import SpatialLayer, lifted, sizes, volume_by_pictures


class AdaptivePooling(SpatialLayer):
    """The base of adaptive poolings over `rank` axes.

    Output i along an axis of size n is taken of the inputs from floor(i * n / size) to ceil((i + 1) * n / size).
    """

    def __init__(self, output_size: int | Sequence[int], data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size = sizes(self, "output_size", output_size, self.rank)
        self._set_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self._size = lifted(self.output_size)
        self._build_at_init()

    def _pool(self, inputs: torch.Tensor, over_pictures: Any, over_volumes: Any) -> torch.Tensor:
        if self.rank < 3:
            return self.outward(over_pictures(self.inward(inputs), self._size))
        if not self.channels_last:
            return over_volumes(self.inward(inputs), self._size)
        depth, *rest = self._size
        self.check_rank(inputs)
        return volume_by_pictures(
            inputs, lambda x: over_pictures(x, rest), lambda x: over_pictures(x, (depth, x.shape[3]))
        )


class _AdaptiveAverage(AdaptivePooling):
    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return self._pool(self._in_floats(inputs), F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)


class _AdaptiveMax(AdaptivePooling):
    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return self._pool(inputs, F.adaptive_max_pool2d, F.adaptive_max_pool3d)


@registry.register()
class AdaptiveAveragePooling1D(_AdaptiveAverage):
    """The mean of windows of a sequence that are chosen so that the output has size `output_size`.

    Args:
        output_size: The length of the output.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Shapes: (batch, steps, channels) -> (batch, *output_size, channels).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank.

    Example:
        >>> import torch
        >>> from lamella.layers import AdaptiveAveragePooling1D
        >>> AdaptiveAveragePooling1D(4)(torch.ones(1, 10, 8)).shape
        torch.Size([1, 4, 8])
    """

    rank = 1


@registry.register()
class AdaptiveAveragePooling2D(_AdaptiveAverage):
    """The mean of windows of a picture that are chosen so that the output has size `output_size`.

    Args:
        output_size: (height, width) of the output, or one number for both.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Shapes: (batch, height, width, channels) -> (batch, *output_size, channels).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank.

    Example:
        >>> import torch
        >>> from lamella.layers import AdaptiveAveragePooling2D
        >>> AdaptiveAveragePooling2D((4, 3))(torch.ones(1, 28, 20, 8)).shape
        torch.Size([1, 4, 3, 8])
    """

    rank = 2


@registry.register()
class AdaptiveAveragePooling3D(_AdaptiveAverage):
    """The mean of windows of a volume that are chosen so that the output has size `output_size`.

    Args:
        output_size: (depth, height, width) of the output, or one number for all.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Shapes: (batch, depth, height, width, channels) -> (batch, *output_size, channels).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank.

    Example:
        >>> import torch
        >>> from lamella.layers import AdaptiveAveragePooling3D
        >>> AdaptiveAveragePooling3D(2)(torch.ones(1, 5, 28, 20, 8)).shape
        torch.Size([1, 2, 2, 2, 8])
    """

    rank = 3


@registry.register()
class AdaptiveMaxPooling1D(_AdaptiveMax):
    """The largest number of windows of a sequence that are chosen so that the output has size `output_size`.

    Args:
        output_size: The length of the output.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Shapes: (batch, steps, channels) -> (batch, *output_size, channels).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank.

    Example:
        >>> import torch
        >>> from lamella.layers import AdaptiveMaxPooling1D
        >>> AdaptiveMaxPooling1D(4)(torch.ones(1, 10, 8)).shape
        torch.Size([1, 4, 8])
    """

    rank = 1


@registry.register()
class AdaptiveMaxPooling2D(_AdaptiveMax):
    """The largest number of windows of a picture that are chosen so that the output has size `output_size`.

    Args:
        output_size: (height, width) of the output, or one number for both.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Shapes: (batch, height, width, channels) -> (batch, *output_size, channels).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank.

    Example:
        >>> import torch
        >>> from lamella.layers import AdaptiveMaxPooling2D
        >>> AdaptiveMaxPooling2D((4, 3))(torch.ones(1, 28, 20, 8)).shape
        torch.Size([1, 4, 3, 8])
    """

    rank = 2


@registry.register()
class AdaptiveMaxPooling3D(_AdaptiveMax):
    """The largest number of windows of a volume that are chosen so that the output has size `output_size`.

    Args:
        output_size: (depth, height, width) of the output, or one number for all.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Shapes: (batch, depth, height, width, channels) -> (batch, *output_size, channels).

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An input of another rank.

    Example:
        >>> import torch
        >>> from lamella.layers import AdaptiveMaxPooling3D
        >>> AdaptiveMaxPooling3D(2)(torch.ones(1, 5, 28, 20, 8)).shape
        torch.Size([1, 2, 2, 2, 8])
    """

    rank = 3
