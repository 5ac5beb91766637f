"""Layers that bring images to one size, the same way at training and at inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella.engine.image import INTERPOLATIONS, middle_window, resize, size_of
from lamella.errors import ArgumentError
from lamella.layers.base import registry
from lamella.layers.image.base import BaseImageAugmentation
from lamella.layers.image.bounding_boxes import clip_to_image_size, convert_format


class FixedSize(BaseImageAugmentation):
    """The base of layers whose images come out with a given height and width."""

    height: int
    width: int

    def _set_size(self, height: Any, width: Any) -> None:
        for name, value in (("height", height), ("width", width)):
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise ArgumentError(f"{self._label}: `{name}` must be a positive integer; got {value!r}.")
        self.height = height
        self.width = width

    def _output_shape(self, images: torch.Tensor) -> Sequence[int]:
        size = (self.height, self.width)
        if self.data_format == "channels_first":
            return (*images.shape[:-2], *size)
        return (*images.shape[:-3], *size, images.shape[-1])

    def _cut(self, images: torch.Tensor, top: int, left: int, height: int, width: int) -> torch.Tensor:
        if self.data_format == "channels_first":
            return images[..., top : top + height, left : left + width]
        return images[..., top : top + height, left : left + width, :]

    def _boxes_from_window(
        self, boxes: dict[str, Any], size: tuple[int, int], window: tuple[Any, Any, int, int]
    ) -> dict[str, Any]:
        """The boxes of images of `size` after the window (top, left, height, width) became the whole image."""
        top, left, height, width = window
        boxes = convert_format(boxes, self.bounding_box_format, "xyxy", *size)
        x1, y1, x2, y2 = boxes["boxes"].unbind(-1)
        scale_y, scale_x = self.height / height, self.width / width
        moved = [(x1 - left) * scale_x, (y1 - top) * scale_y, (x2 - left) * scale_x, (y2 - top) * scale_y]
        clipped = clip_to_image_size({**boxes, "boxes": torch.stack(moved, -1)}, self.height, self.width)
        return convert_format(clipped, "xyxy", self.bounding_box_format, self.height, self.width)


@registry.register()
class Resizing(FixedSize):
    """Images of a given size. Integer images stay integers.

    Masks are resized by their nearest pixels. Boxes of all 0 or all -1, which mark no box, become 0.

    Args:
        height: The new height.
        width: The new width.
        interpolation: `"bilinear"`, `"nearest"`, `"bicubic"`, `"lanczos3"` or `"lanczos5"`.
        crop_to_aspect_ratio: Whether to keep the proportions by cutting off what is too long.
        pad_to_aspect_ratio: Whether to keep them by adding `fill_value` where it is too short.
        fill_mode: How padding is filled: `"constant"`.
        fill_value: The constant.
        antialias: Whether a smaller image averages over the pixels that it leaves out.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import Resizing
        >>> Resizing(8, 8)(torch.ones(2, 20, 10, 3)).shape
        torch.Size([2, 8, 8, 3])
    """

    random = False
    keeps_integers = True

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_size(height, width)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ArgumentError(
                f"{self._label}: only one of `crop_to_aspect_ratio` and `pad_to_aspect_ratio` can be True."
            )
        self.interpolation = self._checked_choice("interpolation", interpolation, INTERPOLATIONS)
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.fill_mode = self._checked_choice("fill_mode", fill_mode, ("constant",))
        self.fill_value = fill_value
        self.antialias = bool(antialias)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        return size_of(images, self.data_format)

    def transform_images(self, images: torch.Tensor, transformation: Any = None, training: bool = True) -> torch.Tensor:
        return self._resized(images if not images.is_floating_point() else images.to(self._float), self.interpolation)

    def transform_segmentation_masks(
        self, segmentation_masks: torch.Tensor, transformation: Any = None, training: bool = True
    ) -> torch.Tensor:
        return self._resized(segmentation_masks, "nearest")

    def _resized(self, images: torch.Tensor, interpolation: str) -> torch.Tensor:
        return resize(
            images,
            (self.height, self.width),
            interpolation,
            self.antialias,
            self.crop_to_aspect_ratio,
            self.pad_to_aspect_ratio,
            self.fill_mode,
            self.fill_value,
            self.data_format,
        )

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        height, width = transformation
        given = bounding_boxes["boxes"]
        none = ((given == -1).all(-1) | (given == 0).all(-1)).unsqueeze(-1)
        boxes = convert_format(bounding_boxes, self.bounding_box_format, "xyxy", height, width)
        scale_x, scale_y, left, top = self._scales_and_offsets(height, width)
        x1, y1, x2, y2 = boxes["boxes"].unbind(-1)
        moved = [x1 * scale_x + left, y1 * scale_y + top, x2 * scale_x + left, y2 * scale_y + top]
        boxes = clip_to_image_size({**boxes, "boxes": torch.stack(moved, -1)}, self.height, self.width)
        boxes["boxes"] = torch.where(none, 0.0, boxes["boxes"])
        return convert_format(boxes, "xyxy", self.bounding_box_format, self.height, self.width)

    def _scales_and_offsets(self, height: int, width: int) -> tuple[float, float, float, float]:
        scale_x, scale_y = self.width / width, self.height / height
        if self.pad_to_aspect_ratio:
            scale = min(scale_x, scale_y)
        elif self.crop_to_aspect_ratio:
            scale = max(scale_x, scale_y)
        else:
            return scale_x, scale_y, 0.0, 0.0
        left, top = (self.width - width * scale) / 2, (self.height - height * scale) / 2
        if self.pad_to_aspect_ratio:
            return scale, scale, left // 1, top // 1
        return scale, scale, -(-left // 1), -(-top // 1)


@registry.register()
class CenterCrop(FixedSize):
    """The middle of the images. Of smaller ones, the largest window of its proportions, enlarged.

    Args:
        height: The height of the result.
        width: Its width.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import CenterCrop
        >>> CenterCrop(1, 1)(torch.arange(9.0).reshape(3, 3, 1)).flatten()
        tensor([4.])
    """

    random = False

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_size(height, width)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        return {"input_size": size_of(images, self.data_format)}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        top, left, height, width = self._window(*size_of(images, self.data_format))
        window = self._cut(images, top, left, height, width)
        if (height, width) == (self.height, self.width):
            return window
        return resize(window, (self.height, self.width), interpolation, data_format=self.data_format)

    def _window(self, height: int, width: int) -> tuple[int, int, int, int]:
        if height >= self.height and width >= self.width:
            return (height - self.height) // 2, (width - self.width) // 2, self.height, self.width
        return middle_window((height, width), (self.height, self.width))

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        size = transformation["input_size"]
        return self._boxes_from_window(bounding_boxes, size, self._window(*size))

    def transform_segmentation_masks(
        self, segmentation_masks: torch.Tensor, transformation: Any, training: bool = True
    ) -> torch.Tensor:
        return self.change_images(segmentation_masks, transformation, "nearest")
