"""RandomFlip: left to right, upside down."""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine.image import size_of
from lamella.layers.base import registry
from lamella.layers.image.base import BaseImageAugmentation, per_image, uniform
from lamella.layers.image.bounding_boxes import clip_to_image_size, convert_format

_MODES = ("horizontal", "vertical", "horizontal_and_vertical")


@registry.register()
class RandomFlip(BaseImageAugmentation):
    """While training, half of the images are mirrored.

    Args:
        mode: `"horizontal"` (left to right), `"vertical"` (upside down), or `"horizontal_and_vertical"` (both, in
            the same images).
        seed: An integer for a sequence of choices of its own.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomFlip
        >>> flipped = RandomFlip("horizontal", seed=1)(torch.tensor([[[[1.0], [2.0]]]] * 4), training=True)
        >>> sorted(set(map(tuple, flipped.flatten(1).tolist())))
        [(1.0, 2.0), (2.0, 1.0)]
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_seed(seed)
        self.mode = self._checked_choice("mode", mode, _MODES)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        flips = per_image(uniform(images, images.shape[:1], 0.0, 1.0, source) <= 0.5)
        return {"flips": flips, "input_size": size_of(images, self.data_format)}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        rows, columns = (-2, -1) if self.data_format == "channels_first" else (-3, -2)
        axes = {"horizontal": (columns,), "vertical": (rows,)}.get(self.mode, (rows, columns))
        return torch.where(transformation["flips"], images.flip(axes), images)

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        if transformation is None:
            return bounding_boxes
        height, width = transformation["input_size"]
        boxes = convert_format(bounding_boxes, self.bounding_box_format, "rel_xyxy", height, width)
        x1, y1, x2, y2 = boxes["boxes"].unbind(-1)
        if self.mode != "vertical":
            x1, x2 = 1 - x2, 1 - x1
        if self.mode != "horizontal":
            y1, y2 = 1 - y2, 1 - y1
        flips = transformation["flips"].reshape(-1, 1, 1)
        moved = torch.where(flips, torch.stack([x1, y1, x2, y2], -1), boxes["boxes"])
        boxes = clip_to_image_size({**boxes, "boxes": moved}, bounding_box_format="rel_xyxy")
        return convert_format(boxes, "rel_xyxy", self.bounding_box_format, height, width)

    def transform_segmentation_masks(
        self, segmentation_masks: torch.Tensor, transformation: Any, training: bool = True
    ) -> torch.Tensor:
        if self._leaves_alone(transformation, training):
            return segmentation_masks
        return self.change_images(segmentation_masks, transformation, "nearest")
