"""MixUp: weighted means of pairs of images."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.layers.base import registry
from lamella.layers.image.base import BaseImageAugmentation


@registry.register()
class MixUp(BaseImageAugmentation):
    """While training, mixes each image with another of the batch, and their labels (one-hot) and masks alike.

    An image has the boxes of both that it was mixed of.

    Args:
        alpha: The share of the first comes from Beta(alpha, alpha): the smaller, the nearer to 0 or 1.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: An integer for a sequence of mixtures of its own.
        **kwargs: `bounding_box_format`, and as for every layer.

    Source: Zhang et al., 2017.

    Example:
        >>> import torch
        >>> from lamella.layers import MixUp
        >>> mixed = MixUp(seed=1)({"images": torch.rand(4, 8, 8, 3), "labels": torch.eye(4)})
        >>> mixed["labels"].sum(1)
        tensor([1., 1., 1., 1.])
    """

    def __init__(
        self, alpha: float = 0.2, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or alpha <= 0:
            raise ArgumentError(f"{self._label}: `alpha` must be a number above 0; got {alpha!r}.")
        self.alpha = alpha
        self._set_seed(seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        alpha = torch.full(images.shape[:1], float(self.alpha), device=images.device)
        return {"mix_weight": beta(alpha, source), "permutation_order": shuffled(images, source)}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        return mixed(images, transformation)

    def transform_labels(self, labels: torch.Tensor, transformation: Any, training: bool = True) -> torch.Tensor:
        return labels if transformation is None else mixed(labels, transformation)

    def transform_segmentation_masks(
        self, segmentation_masks: torch.Tensor, transformation: Any, training: bool = True
    ) -> torch.Tensor:
        return segmentation_masks if transformation is None else mixed(segmentation_masks, transformation)

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any, training: bool = True
    ) -> dict[str, Any]:
        if transformation is None:
            return bounding_boxes
        order = transformation["permutation_order"]
        return {key: torch.cat([bounding_boxes[key], bounding_boxes[key][order]], 1) for key in ("boxes", "labels")}


def mixed(values: torch.Tensor, transformation: Any) -> torch.Tensor:
    """The weighted mean of each sample and the one that the permutation gives it."""
    values = values if values.is_floating_point() else values.to(torch.float32)
    weight = transformation["mix_weight"].to(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
    return weight * values + (1.0 - weight) * values[transformation["permutation_order"]]


def beta(alpha: torch.Tensor, source: torch.Generator | None) -> torch.Tensor:
    """A random number from Beta(alpha, alpha) for each `alpha`."""
    return torch._sample_dirichlet(torch.stack([alpha, alpha], -1), source)[..., 0]


def shuffled(images: torch.Tensor, source: torch.Generator | None) -> torch.Tensor:
    """The images' indices in a random order."""
    return torch.randperm(images.shape[0], generator=source, device=images.device)
