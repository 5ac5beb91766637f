"""RandomCrop: a window at a random place."""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine.image import middle_window, resize, size_of
from lamella.layers.base import registry
from lamella.layers.image.base import uniform
from lamella.layers.image.resizing import FixedSize


@registry.register()
class RandomCrop(FixedSize):
    """A window of the images, at a random place while training: the same place for the whole batch.

    At inference, and where an image is not larger than the window, it is the largest window in the middle with the
    same proportions, brought to the size.

    Args:
        height: The height of the result.
        width: Its width.
        seed: An integer for a sequence of places of its own.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        name: A unique name.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomCrop
        >>> RandomCrop(4, 4)(torch.ones(2, 9, 9, 3)).shape
        torch.Size([2, 4, 4, 3])
    """

    random = False  # nothing is drawn at inference, but the size changes

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, name=name, **kwargs)
        self._set_size(height, width)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        if training:
            return super().get_random_transformation(data, training, seed)
        return {"input_size": size_of(data["images"] if isinstance(data, dict) else data, self.data_format)}

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        height, width = size_of(images, self.data_format)
        if not self._fits(height, width):
            return {"input_size": (height, width)}
        return {
            "input_size": (height, width),
            "top": uniform(images, (), 0.0, height - self.height + 1, source).long(),
            "left": uniform(images, (), 0.0, width - self.width + 1, source).long(),
        }

    def _fits(self, height: int, width: int) -> bool:
        return height > self.height and width > self.width

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        if "top" not in transformation:
            window = middle_window(size_of(images, self.data_format), (self.height, self.width))
            return resize(
                self._cut(images, *window), (self.height, self.width), interpolation, data_format=self.data_format
            )
        rows, columns = (-2, -1) if self.data_format == "channels_first" else (-3, -2)
        # An index that stays on the device: slicing would have to wait for the number.
        for axis, start, length in ((rows, "top", self.height), (columns, "left", self.width)):
            place = torch.arange(length, device=images.device) + transformation[start]
            images = images.index_select(axis, place)
        return images

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        size = transformation["input_size"]
        if "top" in transformation:
            window = (transformation["top"], transformation["left"], self.height, self.width)
        else:
            window = middle_window(size, (self.height, self.width))
        return self._boxes_from_window(bounding_boxes, size, window)

    def transform_segmentation_masks(
        self, segmentation_masks: torch.Tensor, transformation: Any, training: bool = True
    ) -> torch.Tensor:
        return self.change_images(segmentation_masks, transformation, "nearest")
