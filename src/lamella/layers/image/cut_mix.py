"""CutMix: a rectangle of another image."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.layers.base import registry
from lamella.layers.image.base import BaseImageAugmentation, uniform
from lamella.layers.image.mix_up import beta, mixed, shuffled
from lamella.layers.image.random_erasing import rectangles


@registry.register()
class CutMix(BaseImageAugmentation):
    """While training, puts a rectangle of another image of the batch into each, and mixes the labels by area.

    A single image stays as it is.

    Args:
        factor: The area that stays comes from Beta(a, a), where a is drawn from 0 to f or from a pair (lower, upper).
        seed: An integer for a sequence of rectangles of its own.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Bounding boxes: a box of which a part was overwritten has no clear meaning.

    Source: Yun et al., 2019.

    Example:
        >>> import torch
        >>> from lamella.layers import CutMix
        >>> mixed = CutMix(seed=1)({"images": torch.rand(4, 8, 8, 3), "labels": torch.eye(4)})
        >>> mixed["labels"].sum(1)
        tensor([1., 1., 1., 1.])
    """

    def __init__(
        self, factor: Any = 1.0, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = self._range("factor", factor, (0, 1))
        self._set_seed(seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        alpha = uniform(images, (), *self.factor, source) + 1e-6
        side = (1.0 - beta(alpha.expand(images.shape[0]), source)).sqrt()
        masks, share = rectangles(images, self.data_format, side, side, source)
        return {"permutation_order": shuffled(images, source), "batch_masks": masks, "mix_weight": 1.0 - share}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        return torch.where(transformation["batch_masks"], images[transformation["permutation_order"]], images)

    def transform_labels(self, labels: torch.Tensor, transformation: Any, training: bool = True) -> torch.Tensor:
        return labels if transformation is None else mixed(labels, transformation)

    def transform_segmentation_masks(
        self, segmentation_masks: torch.Tensor, transformation: Any, training: bool = True
    ) -> torch.Tensor:
        if self._leaves_alone(transformation, training):
            return segmentation_masks
        return self.change_images(segmentation_masks, transformation, "nearest")

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        if not training:
            return bounding_boxes
        raise ArgumentError(f"{self._label} cannot move bounding boxes. Use MixUp, or leave the boxes out.")
