"""RandomErasing: a rectangle of the image is lost."""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine.image import channel_axis, size_of
from lamella.errors import ArgumentError
from lamella.layers.base import registry
from lamella.layers.image.base import BaseImageAugmentation, chosen, per_image, uniform


@registry.register()
class RandomErasing(BaseImageAugmentation):
    """While training, overwrites a rectangle of some of the images. Boxes and masks stay.

    Args:
        factor: The probability: drawn from 0 to f, or from a pair (lower, upper).
        scale: The square of each side's share of the image's: from 0 to s, or a pair (lower, upper) from 0 to 1.
        fill_value: What the rectangle is filled with: a number, one for each channel, or None for random noise.
        value_range: The lowest and the highest value of a pixel; the filling is kept within them.
        seed: An integer for a sequence of rectangles of its own.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and as for every layer.

    Source: Zhong et al., 2017.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomErasing
        >>> erased = RandomErasing((1.0, 1.0), scale=(0.25, 0.25), fill_value=0, seed=1)(torch.ones(8, 8, 1))
        >>> int((erased == 0).sum())
        16
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = (0.02, 0.33),
        fill_value: Any = None,
        value_range: Any = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = self._range("factor", factor, (0, 1))
        self.scale = self._range("scale", scale, (0, 1))
        if not (fill_value is None or isinstance(fill_value, (int, float, tuple, list))):
            raise ArgumentError(
                f"{self._label}: `fill_value` must be a number or one for each channel; got {fill_value!r}."
            )
        self.fill_value = tuple(fill_value) if isinstance(fill_value, list) else fill_value
        self.value_range = self._checked_value_range(value_range)
        self._set_seed(seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        low, high = self.scale
        sides = uniform(images, (images.shape[0], 2), low, high, source).sqrt()
        return {
            "batch_masks": rectangles(images, self.data_format, sides[:, 0], sides[:, 1], source)[0],
            "apply_erasing": chosen(images, self.factor, source),
            "fill_value": self._filling(images, source),
        }

    def _filling(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        low, high = self.value_range
        if self.fill_value is None:
            noise = torch.empty(images.shape, dtype=self._float, device=images.device).normal_(generator=source)
            return (noise * high).clamp(low, high)
        filling = torch.as_tensor(self.fill_value, dtype=self._float, device=images.device).clamp(low, high)
        if filling.ndim == 0:
            return filling
        if filling.shape[0] != images.shape[channel_axis(self.data_format)]:
            raise ArgumentError(
                f"{self._label}: `fill_value` has {filling.shape[0]} numbers for images of shape {tuple(images.shape)}."
            )
        return filling[:, None, None] if self.data_format == "channels_first" else filling

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        lost = transformation["batch_masks"] & per_image(transformation["apply_erasing"])
        return torch.where(lost, transformation["fill_value"], images)


def rectangles(
    images: torch.Tensor,
    data_format: str,
    wide: torch.Tensor,
    high: torch.Tensor,
    source: torch.Generator | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A rectangle at a random place of each image.

    Args:
        images: The images.
        data_format: Their axes.
        wide: The width of each image's rectangle, as a share of the image's.
        high: The height, likewise.
        source: The generator of the places.

    Returns:
        A boolean mask with one channel, and the share of the image that each rectangle covers.
    """
    height, width = size_of(images, data_format)
    inside_x, share_x = _stretches(images, width, wide, source)
    inside_y, share_y = _stretches(images, height, high, source)
    masks = inside_y[:, :, None] & inside_x[:, None, :]
    return masks.unsqueeze(channel_axis(data_format)), share_x * share_y


def _stretches(
    images: torch.Tensor, length: int, share: torch.Tensor, source: torch.Generator | None
) -> tuple[torch.Tensor, torch.Tensor]:
    size = share * length
    start = uniform(images, share.shape, 0.0, 1.0, source) * (length - size)
    place = torch.arange(length, device=images.device)
    return (place >= start[:, None]) & (place < (start + size)[:, None]), share
