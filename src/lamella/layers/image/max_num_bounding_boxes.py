"""MaxNumBoundingBoxes: as many boxes for every image."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import ArgumentError
from lamella.layers.base import registry
from lamella.layers.image.base import BaseImageAugmentation


@registry.register()
class MaxNumBoundingBoxes(BaseImageAugmentation):
    """Cuts the boxes of each image off after a number of them, or fills them up to it. Images stay as they are.

    Args:
        max_number: How many boxes each image has in the end.
        fill_value: The numbers of a box that was added, and its label.
        **kwargs: `bounding_box_format`, `data_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import MaxNumBoundingBoxes
        >>> boxes = {"boxes": torch.ones(1, 1, 4), "labels": torch.ones(1, 1)}
        >>> layer = MaxNumBoundingBoxes(3, bounding_box_format="xyxy")
        >>> layer({"images": torch.ones(1, 8, 8, 3), "bounding_boxes": boxes})["bounding_boxes"]["labels"]
        tensor([[ 1., -1., -1.]])
    """

    random = False
    keeps_integers = True

    def __init__(self, max_number: int, fill_value: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if int(max_number) < 1:
            raise ArgumentError(f"{self._label}: `max_number` must be a positive integer; got {max_number!r}.")
        self.max_number = int(max_number)
        self.fill_value = int(fill_value)

    def transform_images(self, images: torch.Tensor, transformation: Any = None, training: bool = True) -> torch.Tensor:
        return images

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        boxes = bounding_boxes["boxes"][:, : self.max_number]
        labels = bounding_boxes["labels"][:, : self.max_number]
        missing = self.max_number - boxes.shape[1]
        more = [0, 0] * (labels.ndim - 2)
        return {
            **bounding_boxes,
            "boxes": F.pad(boxes, [0, 0, 0, missing], value=self.fill_value),
            "labels": F.pad(labels, [*more, 0, missing], value=self.fill_value),
        }
