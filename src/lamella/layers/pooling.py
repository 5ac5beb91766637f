"""Pooling: one number of each window, or of the whole picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import ShapeError
from lamella.layers.base import InputSpec, Layer, registry
from lamella.layers.convolution import both_sides, check_padding, same_padding, sizes
from lamella.layers.reshaping import check_data_format


class Pooling2D(Layer):
    """The base of poolings over windows of a picture."""

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.pool_size = sizes(self, "pool_size", pool_size, 2)
        self.strides = sizes(self, "strides", pool_size if strides is None else strides, 2)
        self.padding = check_padding(self, padding)
        self.data_format = check_data_format(self, data_format)
        self.input_spec = InputSpec(ndim=4)
        self.channels_last = self.data_format == "channels_last"

    def build(self, input_shape: Any) -> None:
        space = input_shape[1:3] if self.channels_last else input_shape[2:]
        if self.padding == "valid" and any(
            size is not None and size < window for size, window in zip(space, self.pool_size, strict=True)
        ):
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: a window of {self.pool_size} does not fit in an input of size "
                f"{tuple(space)}. Use padding='same', a smaller window or fewer poolings before it."
            )

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        """The formula, on (batch, channels, height, width)."""
        raise NotImplementedError

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.channels_last:
            return self.pool(inputs.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.pool(inputs)


@registry.register("MaxPool2D")
class MaxPooling2D(Pooling2D):
    """The largest number of each window.

    Args:
        pool_size: The window, (height, width) or one number.
        strides: Its step; the window's size by default.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        name: A unique name.
        **kwargs: As for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import MaxPooling2D
        >>> MaxPooling2D()(torch.ones(1, 28, 28, 8)).shape
        torch.Size([1, 14, 14, 8])
    """

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        if self.padding == "same":
            x = _padded_with(x, float("-inf"), self.pool_size, self.strides)
        return F.max_pool2d(x, self.pool_size, self.strides)


@registry.register("AvgPool2D")
class AveragePooling2D(Pooling2D):
    """The mean of each window (of the part of it that lies in the picture).

    Args:
        pool_size: The window, (height, width) or one number.
        strides: Its step; the window's size by default.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        name: A unique name.
        **kwargs: As for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import AveragePooling2D
        >>> AveragePooling2D(2)(torch.ones(1, 28, 28, 8)).shape
        torch.Size([1, 14, 14, 8])
    """

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        if self.padding == "valid":
            return F.avg_pool2d(x, self.pool_size, self.strides)
        total = F.avg_pool2d(_padded_with(x, 0.0, self.pool_size, self.strides), self.pool_size, self.strides)
        inside = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
        share = F.avg_pool2d(_padded_with(inside, 0.0, self.pool_size, self.strides), self.pool_size, self.strides)
        return total / share


def _padded_with(x: torch.Tensor, value: float, window: Sequence[int], strides: Sequence[int]) -> torch.Tensor:
    before, after = same_padding(x.shape[2:], window, strides, (1, 1))
    return F.pad(x, both_sides(before, after), value=value) if any(after) else x


class _Global(Layer):
    """The base of poolings over the whole picture."""

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = check_data_format(self, data_format)
        self.keepdims = keepdims
        self.input_spec = InputSpec(ndim=4)
        self._axes = (1, 2) if self.data_format == "channels_last" else (2, 3)
        self._mark_built()


@registry.register("GlobalAvgPool2D")
class GlobalAveragePooling2D(_Global):
    """The mean of each channel.

    Example:
        >>> import torch
        >>> from lamella.layers import GlobalAveragePooling2D
        >>> GlobalAveragePooling2D()(torch.ones(2, 7, 7, 16)).shape
        torch.Size([2, 16])
    """

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.mean(dim=self._axes, keepdim=self.keepdims)


@registry.register("GlobalMaxPool2D")
class GlobalMaxPooling2D(_Global):
    """The largest number of each channel.

    Example:
        >>> import torch
        >>> from lamella.layers import GlobalMaxPooling2D
        >>> GlobalMaxPooling2D()(torch.ones(2, 7, 7, 16)).shape
        torch.Size([2, 16])
    """

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.amax(dim=self._axes, keepdim=self.keepdims)


MaxPool2D = MaxPooling2D
AvgPool2D = AveragePooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D
