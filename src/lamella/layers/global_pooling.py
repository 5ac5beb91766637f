"""Global pooling: one number of each channel, over all of space."""

from __future__ import annotations

from typing import Any

import torch

from lamella.layers.base import InputSpec, registry
from lamella.layers.windows import SpatialLayer


class GlobalPooling(SpatialLayer):
    """The base of poolings over all of space."""

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_data_format(data_format)
        self.keepdims = keepdims
        self.input_spec = InputSpec(ndim=self.rank + 2)
        first = 1 if self.channels_last else 2
        self._axes = tuple(range(first, first + self.rank))
        self._build_at_init()


class _GlobalAverage(GlobalPooling):
    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        self.check_rank(inputs)
        inputs = self._in_floats(inputs)
        if inputs.is_meta:  # torch would load its compiler, most of a second, for the shape of a mean
            return inputs.amax(dim=self._axes, keepdim=self.keepdims)
        return inputs.mean(dim=self._axes, keepdim=self.keepdims)


class _GlobalMax(GlobalPooling):
    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        self.check_rank(inputs)
        return inputs.amax(dim=self._axes, keepdim=self.keepdims)


@registry.register("GlobalAvgPool1D")
class GlobalAveragePooling1D(_GlobalAverage):
    """The mean of each channel over time; with a mask, over the steps that are real.

    Args:
        data_format: `"channels_last"` (the default), (batch, steps, channels), or `"channels_first"`.
        keepdims: Whether time stays, as an axis of size 1.
        **kwargs: As for every layer.

    Shapes: (batch, steps, channels) -> (batch, channels).

    Example:
        >>> import torch
        >>> from lamella.layers import GlobalAveragePooling1D
        >>> x = torch.tensor([[[1.0], [3.0], [50.0]]])
        >>> GlobalAveragePooling1D()(x, mask=torch.tensor([[True, True, False]]))
        tensor([[2.]])
    """

    rank = 1

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if mask is None or inputs.is_meta:
            return super().call(inputs)
        inputs = self._in_floats(inputs)
        real = mask.to(torch.bool).unsqueeze(2 if self.channels_last else 1)
        total = inputs.masked_fill(~real, 0).sum(dim=self._axes, keepdim=self.keepdims)
        return total / real.sum(dim=self._axes, keepdim=self.keepdims).to(inputs.dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None  # time is gone, and its mask with it

    def _can_be_quick(self) -> bool:
        return self.activity_regularizer is None  # the mask that it makes is always None


@registry.register("GlobalAvgPool2D")
class GlobalAveragePooling2D(_GlobalAverage):
    """The mean of each channel.

    Args:
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        keepdims: Whether height and width stay, as axes of size 1.
        **kwargs: As for every layer.

    Shapes: (batch, height, width, channels) -> (batch, channels).

    Source: Lin et al., Network in network, 2014.

    Example:
        >>> import torch
        >>> from lamella.layers import GlobalAveragePooling2D
        >>> GlobalAveragePooling2D()(torch.ones(2, 7, 7, 16)).shape
        torch.Size([2, 16])
    """

    rank = 2


@registry.register("GlobalAvgPool3D")
class GlobalAveragePooling3D(_GlobalAverage):
    """The mean of each channel.

    Args:
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        keepdims: Whether the axes of space stay, with size 1.
        **kwargs: As for every layer.

    Shapes: (batch, depth, height, width, channels) -> (batch, channels).

    Example:
        >>> import torch
        >>> from lamella.layers import GlobalAveragePooling3D
        >>> GlobalAveragePooling3D()(torch.ones(2, 4, 7, 7, 16)).shape
        torch.Size([2, 16])
    """

    rank = 3


@registry.register("GlobalMaxPool1D")
class GlobalMaxPooling1D(_GlobalMax):
    """The largest number of each channel over time.

    Args:
        data_format: `"channels_last"` (the default), (batch, steps, channels), or `"channels_first"`.
        keepdims: Whether time stays, as an axis of size 1.
        **kwargs: As for every layer.

    Shapes: (batch, steps, channels) -> (batch, channels).

    Example:
        >>> import torch
        >>> from lamella.layers import GlobalMaxPooling1D
        >>> GlobalMaxPooling1D()(torch.tensor([[[1.0], [3.0]]]))
        tensor([[3.]])
    """

    rank = 1


@registry.register("GlobalMaxPool2D")
class GlobalMaxPooling2D(_GlobalMax):
    """The largest number of each channel.

    Args:
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        keepdims: Whether height and width stay, as axes of size 1.
        **kwargs: As for every layer.

    Shapes: (batch, height, width, channels) -> (batch, channels).

    Example:
        >>> import torch
        >>> from lamella.layers import GlobalMaxPooling2D
        >>> GlobalMaxPooling2D()(torch.ones(2, 7, 7, 16)).shape
        torch.Size([2, 16])
    """

    rank = 2


@registry.register("GlobalMaxPool3D")
class GlobalMaxPooling3D(_GlobalMax):
    """The largest number of each channel.

    Args:
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        keepdims: Whether the axes of space stay, with size 1.
        **kwargs: As for every layer.

    Shapes: (batch, depth, height, width, channels) -> (batch, channels).

    Example:
        >>> import torch
        >>> from lamella.layers import GlobalMaxPooling3D
        >>> GlobalMaxPooling3D()(torch.ones(2, 4, 7, 7, 16)).shape
        torch.Size([2, 16])
    """

    rank = 3


GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
