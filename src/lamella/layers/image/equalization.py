"""Layers that spread the values of images over their range; labels, boxes and masks stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.layers.base import registry
from lamella.layers.image.base import BaseImageAugmentation
from lamella.layers.image.random_color import to_value_range


@registry.register()
class AutoContrast(BaseImageAugmentation):
    """Each channel of each image stretched over the whole value range. Channels of one value stay.

    Args:
        value_range: The lowest and the highest value of a pixel.
        **kwargs: `data_format`, `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import AutoContrast
        >>> AutoContrast()(torch.tensor([[[10.0], [20.0], [30.0]]])).flatten()
        tensor([  0.0000, 127.5000, 255.0000])
    """

    random = False

    def __init__(self, value_range: Any = (0, 255), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value_range = self._checked_value_range(value_range)

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        space = (-2, -1) if self.data_format == "channels_first" else (-3, -2)
        x = to_value_range(images, self.value_range, (0, 255))
        low, high = x.amin(space, keepdim=True), x.amax(space, keepdim=True)
        scale = 255.0 / (high - low)
        stretched = to_value_range((x * scale - low * scale).clamp(0.0, 255.0), (0, 255), self.value_range)
        return torch.where(high > low, stretched, images)


@registry.register()
class Equalization(BaseImageAugmentation):
    """While training, makes all values of a channel about equally frequent.

    Values are counted over the whole batch, as in Keras; call the layer on single images to treat each by itself.

    Args:
        value_range: The lowest and the highest value of a pixel.
        bins: How many values to tell apart.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import Equalization
        >>> Equalization()(torch.tensor([[[10.0], [10.0], [11.0], [12.0]]])).flatten()
        tensor([  0.,   0., 128., 255.])
    """

    def __init__(
        self, value_range: Any = (0, 255), bins: int = 256, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if isinstance(bins, bool) or not isinstance(bins, int) or bins < 2:
            raise ArgumentError(f"{self._label}: `bins` must be an integer of at least 2; got {bins!r}.")
        self.value_range = self._checked_value_range(value_range)
        self.bins = bins

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        return {}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        axis = 1 if self.data_format == "channels_first" else 3
        channels = images.movedim(axis, 0)
        scale = 255 / (self.value_range[1] - self.value_range[0])
        x = (channels * scale - self.value_range[0] * scale).flatten(1)
        last = self.bins - 1
        counted = (x * last / 255).to(torch.int64).clamp(0, last)
        histogram = torch.zeros((x.shape[0], self.bins), dtype=torch.int64, device=x.device)
        histogram.scatter_add_(1, counted, torch.ones_like(counted))
        total = histogram.cumsum(1)
        first = torch.where(total > 0, total, total[:, -1:]).amin(1, keepdim=True)
        rest = total[:, -1:] - first
        table = ((total - first) * 255 / torch.where(rest == 0, 1, rest)).round().clamp(0, 255).to(x.dtype)
        equal = table.gather(1, (x / 255.0 * last).clamp(0, last).to(torch.int64))
        several = (histogram > 0).sum(1, keepdim=True) > 1
        result = torch.where(several, equal, x) / scale + self.value_range[0]
        return result.reshape(channels.shape).movedim(0, axis)


@registry.register()
class ContrastLimitedAdaptiveHistogramEqualization(BaseImageAugmentation):
    """Equalization of each part of an image by itself, but gently where a part is uniform (CLAHE).

    Each channel is cut into tiles. A tile's histogram is clipped, what was cut off is spread over all values, and
    its cumulative sum maps the values. Between the centres of tiles their maps are mixed. Integer images stay
    integers.

    Args:
        value_range: The lowest and the highest value of a pixel.
        clip_limit: How many times the mean count a value may count; 0 for no limit.
        tile_grid_size: The number of tiles, (vertically, horizontally).
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and as for every layer.

    Source: Zuiderveld, 1994.

    Example:
        >>> import torch
        >>> from lamella.layers import ContrastLimitedAdaptiveHistogramEqualization
        >>> ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))(torch.rand(2, 9, 9, 3)).shape
        torch.Size([2, 9, 9, 3])
    """

    random = False
    keeps_integers = True

    def __init__(
        self,
        value_range: Any = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: Sequence[int] = (8, 8),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range = self._checked_value_range(value_range)
        self.clip_limit = clip_limit
        if len(tile_grid_size) != 2 or min(tile_grid_size) < 1:
            raise ArgumentError(
                f"{self._label}: `tile_grid_size` must be two positive integers; got {tile_grid_size!r}."
            )
        self.tile_grid_size = tuple(tile_grid_size)

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        first = self.data_format == "channels_first"
        x = to_value_range(images if first else images.permute(0, 3, 1, 2), self.value_range, (0, 255))
        x = to_value_range(self._equalized(x.to(torch.float32)), (0, 255), self.value_range).to(images.dtype)
        return x if first else x.permute(0, 2, 3, 1)

    def _equalized(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) from 0 to 255."""
        batch, channels, height, width = x.shape
        tiles_y, tiles_x = self.tile_grid_size
        high, wide = -(-height // tiles_y), -(-width // tiles_x)
        rows, columns = _mirrored(height, high * tiles_y, x), _mirrored(width, wide * tiles_x, x)
        values = x[:, :, rows][:, :, :, columns].clamp(0, 255).to(torch.int64)
        tiles = values.reshape(batch * channels, tiles_y, high, tiles_x, wide).permute(0, 1, 3, 2, 4)
        maps = self._maps(tiles.reshape(-1, high * wide)).reshape(batch * channels, tiles_y, tiles_x, 256)
        above, below, share_y = _between(tiles_y, high, x)
        left, right, share_x = _between(tiles_x, wide, x)
        values = values.reshape(batch * channels, *values.shape[2:])
        image = torch.arange(batch * channels, device=x.device)[:, None, None]

        def mapped(row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
            return maps[image, row[:, None], column, values]

        upper = mapped(above, left) * (1 - share_x) + mapped(above, right) * share_x
        lower = mapped(below, left) * (1 - share_x) + mapped(below, right) * share_x
        mixed = upper * (1 - share_y[:, None]) + lower * share_y[:, None]
        return mixed.reshape(batch, channels, *mixed.shape[1:])[:, :, :height, :width]

    def _maps(self, tiles: torch.Tensor) -> torch.Tensor:
        """(tiles, 256): what each value becomes, for the values of each tile."""
        count = tiles.shape[1]
        histogram = torch.zeros((tiles.shape[0], 256), device=tiles.device)
        histogram.scatter_add_(1, tiles, torch.ones(tiles.shape, device=tiles.device))
        if self.clip_limit > 0:
            clipped = histogram.clamp(max=self.clip_limit * count / 256.0)
            histogram = clipped + (histogram - clipped).sum(1, keepdim=True) / 256.0
        total = histogram.cumsum(1)
        least = total.amin(1, keepdim=True)
        rest = count - least
        return ((total - least) * 255.0 / torch.where(rest == 0, 1.0, rest)).clamp(0, 255)


def _mirrored(length: int, wanted: int, like: torch.Tensor) -> torch.Tensor:
    """The indices 0 to `wanted` - 1, those from `length` on going back: the last one twice, as NumPy's 'symmetric'."""
    index = torch.arange(wanted, device=like.device) % (2 * length)
    return torch.where(index < length, index, 2 * length - 1 - index)


def _between(tiles: int, length: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For each pixel of an axis: the tiles with centres before and after it, and the share of the second."""
    place = (torch.arange(tiles * length, dtype=torch.float32, device=like.device) - length / 2.0) / length
    before = place.floor()
    share = place - before
    before = before.to(torch.int64)
    return before.clamp(0, tiles - 1), (before + 1).clamp(0, tiles - 1), share
