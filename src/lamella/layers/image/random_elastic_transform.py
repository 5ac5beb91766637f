"""RandomElasticTransform: images as if printed on rubber."""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine.image import FILL_MODES, SAMPLINGS, elastic_transform, size_of
from lamella.errors import ArgumentError
from lamella.layers.base import registry
from lamella.layers.image.base import BaseImageAugmentation, chosen, per_image, uniform


@registry.register()
class RandomElasticTransform(BaseImageAugmentation):
    """While training, moves every pixel of some of the images a little, smoothly. Masks move along.

    Args:
        factor: The probability: drawn from 0 to f, or from a pair (lower, upper).
        scale: How strongly: from 0 to s, or a pair (lower, upper) from 0 to 1; drawn once for a batch.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_mode: What comes in from outside: `"reflect"`, `"wrap"`, `"constant"`, `"nearest"` or `"mirror"`.
        fill_value: The constant of `fill_mode="constant"`.
        value_range: The lowest and the highest value of a pixel; the result is kept within them.
        seed: An integer for a sequence of changes of its own.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Bounding boxes: they would have to bend.

    Source: Simard et al., 2003.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomElasticTransform
        >>> RandomElasticTransform()(torch.ones(2, 32, 32, 3)).shape
        torch.Size([2, 32, 32, 3])
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Any = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = self._range("factor", factor, (0, 1))
        self.scale = self._range("scale", scale, (0, 1))
        self.interpolation = self._checked_choice("interpolation", interpolation, SAMPLINGS)
        self.fill_mode = self._checked_choice("fill_mode", fill_mode, FILL_MODES)
        self.fill_value = fill_value
        self.value_range = self._checked_value_range(value_range)
        self._set_seed(seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        if self.scale[1] == 0 or self.factor[1] == 0:
            return None
        shape = (2, images.shape[0], *size_of(images, self.data_format))
        return {
            "apply_transform": chosen(images, self.factor, source),
            "distortion_factor": uniform(images, (), *self.scale, source),
            "noise": torch.empty(shape, dtype=torch.float32, device=images.device).normal_(generator=source),
        }

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        height, width = size_of(images, self.data_format)
        strength = transformation["distortion_factor"]
        # The kernel is as large as the greatest strength needs: its size cannot wait for a random number.
        moved = elastic_transform(
            images,
            max(height, width) * 0.1 * strength,
            (min(height, width) * 0.05 * strength).clamp(min=1e-3),
            interpolation,
            self.fill_mode,
            self.fill_value,
            self.data_format,
            noise=transformation["noise"],
            kernel_size=int(6 * min(height, width) * 0.05 * self.scale[1]) | 1,
        )
        changed = torch.where(per_image(transformation["apply_transform"]), moved, images)
        return changed.clamp(*self.value_range)

    def transform_segmentation_masks(
        self, segmentation_masks: torch.Tensor, transformation: Any, training: bool = True
    ) -> torch.Tensor:
        if self._leaves_alone(transformation, training):
            return segmentation_masks
        return self.change_images(segmentation_masks, transformation, "nearest")

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        if self._leaves_alone(transformation, training):
            return bounding_boxes
        raise ArgumentError(f"{self._label} cannot move bounding boxes. Give masks instead, or leave the boxes out.")
