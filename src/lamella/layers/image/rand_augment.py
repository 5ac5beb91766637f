"""RandAugment: a few changes picked out of eleven."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.layers.base import registry
from lamella.layers.image.base import BaseImageAugmentation, Pair
from lamella.layers.image.equalization import AutoContrast, Equalization
from lamella.layers.image.random_color import RandomBrightness, RandomColorDegeneration, RandomContrast
from lamella.layers.image.random_geometry import RandomRotation, RandomShear, RandomTranslation
from lamella.layers.image.random_tone import RandomPosterization, RandomSharpness, Solarization


def augmentations(layer: BaseImageAugmentation, factor: Pair, value_range: Pair, interpolation: str) -> dict[str, Any]:
    """One layer of each kind that `RandAugment` and `AugMix` pick from, by Keras's name for it."""
    shared: dict[str, Any] = {
        "data_format": layer.data_format,
        "bounding_box_format": layer.bounding_box_format,
        "dtype": layer.dtype,
    }
    moving = {"interpolation": interpolation, **shared}
    toned = {"value_range": value_range, **shared}
    return {
        "random_shear": RandomShear(x_factor=factor, y_factor=factor, **moving),
        "random_translation": RandomTranslation(height_factor=factor, width_factor=factor, **moving),
        "random_rotation": RandomRotation(factor=factor, **moving),
        "random_brightness": RandomBrightness(factor=factor, **toned),
        "random_color_degeneration": RandomColorDegeneration(factor=factor, **toned),
        "random_contrast": RandomContrast(factor=factor, **toned),
        "random_sharpness": RandomSharpness(factor=factor, **toned),
        "random_posterization": RandomPosterization(factor=max(1, int(8 * factor[1])), **toned),
        "solarization": Solarization(addition_factor=factor, threshold_factor=factor, **toned),
        "auto_contrast": AutoContrast(**toned),
        "equalization": Equalization(**toned),
    }


def picked(names: Sequence[str], count: int, images: torch.Tensor, source: torch.Generator | None) -> list[str]:
    """`count` random names.

    The numbers are read from the device, once for a batch: to run only the layers that were picked is worth more
    than not to wait.
    """
    indices = torch.empty(count, dtype=torch.int64, device=images.device).random_(0, len(names), generator=source)
    return [names[int(index)] for index in indices]


@registry.register()
class RandAugment(BaseImageAugmentation):
    """While training, changes a batch by a few layers picked at random: shears, shifts, colours, tones.

    Boxes and masks move along.

    Args:
        value_range: The lowest and the highest value of a pixel.
        num_ops: How many layers are picked, one after the other.
        factor: How strongly they change the images: from 0 to f, or a pair (lower, upper) from 0 to 1.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: An integer for a sequence of changes of its own.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and as for every layer.

    Source: Cubuk et al., 2019.

    Example:
        >>> import torch
        >>> from lamella.layers import RandAugment
        >>> RandAugment(value_range=(0, 1), seed=1)(torch.rand(2, 8, 8, 3)).shape
        torch.Size([2, 8, 8, 3])
    """

    def __init__(
        self,
        value_range: Any = (0, 255),
        num_ops: int = 2,
        factor: Any = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range = self._checked_value_range(value_range)
        if isinstance(num_ops, bool) or not isinstance(num_ops, int) or num_ops < 0:
            raise ArgumentError(f"{self._label}: `num_ops` must be a number of layers; got {num_ops!r}.")
        self.num_ops = num_ops
        self.factor = self._range("factor", factor, (0, 1))
        self.interpolation = interpolation
        self._set_seed(seed)
        made = augmentations(self, self.factor, self.value_range, interpolation)
        self._names = tuple(made)
        for name, layer in made.items():
            setattr(self, name, layer)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        names = picked(self._names, self.num_ops, images, source)
        return {"names": names, "transforms": {name: getattr(self, name).draw(images, source) for name in names}}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        for name in transformation["names"]:
            images = getattr(self, name).change_images(images, transformation["transforms"][name], interpolation)
        return images

    def transform_segmentation_masks(
        self, segmentation_masks: torch.Tensor, transformation: Any, training: bool = True
    ) -> torch.Tensor:
        for name in transformation["names"] if training else ():
            drawn = transformation["transforms"][name]
            segmentation_masks = getattr(self, name).transform_segmentation_masks(segmentation_masks, drawn)
        return segmentation_masks

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        for name in transformation["names"] if training else ():
            drawn = transformation["transforms"][name]
            bounding_boxes = getattr(self, name).transform_bounding_boxes(bounding_boxes, drawn)
        return bounding_boxes
