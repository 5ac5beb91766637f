"""AugMix: a mean of several chains of changes."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.layers.base import registry
from lamella.layers.image.base import BaseImageAugmentation
from lamella.layers.image.mix_up import beta
from lamella.layers.image.rand_augment import augmentations, picked

_ONLY_IN_ALL = ("random_brightness", "random_color_degeneration", "random_contrast", "random_sharpness")


@registry.register()
class AugMix(BaseImageAugmentation):
    """While training, mixes a batch with what several random chains of changes make of it.

    Masks are changed and mixed likewise; boxes stay.

    Args:
        value_range: The lowest and the highest value of a pixel; the result is kept within them.
        num_chains: How many chains are mixed, with weights from Dirichlet(alpha, ...).
        chain_depth: How many changes are in a chain, at most.
        factor: How strong they are: from 0 to f, or a pair (lower, upper) from 0 to 1.
        alpha: The share of the unchanged images comes from Beta(alpha, alpha).
        all_ops: Whether brightness, colour, contrast and sharpness are among the changes.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: An integer for a sequence of changes of its own.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Source: Hendrycks et al., 2019.

    Example:
        >>> import torch
        >>> from lamella.layers import AugMix
        >>> AugMix(value_range=(0, 1), seed=1)(torch.rand(2, 8, 8, 3)).shape
        torch.Size([2, 8, 8, 3])
    """

    def __init__(
        self,
        value_range: Any = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: Any = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range = self._checked_value_range(value_range)
        for name, value in (("num_chains", num_chains), ("chain_depth", chain_depth)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(f"{self._label}: `{name}` must be a positive integer; got {value!r}.")
        if alpha <= 0:
            raise ArgumentError(f"{self._label}: `alpha` must be a number above 0; got {alpha!r}.")
        self.num_chains = num_chains
        self.chain_depth = chain_depth
        self.factor = self._range("factor", factor, (0, 1))
        self.alpha = alpha
        self.all_ops = all_ops
        self.interpolation = interpolation
        self._set_seed(seed)
        made = augmentations(self, self.factor, self.value_range, interpolation)
        self._names = tuple(name for name in made if all_ops or name not in _ONLY_IN_ALL)
        for name in self._names:
            setattr(self, name, made[name])

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        alpha = torch.full((self.num_chains,), float(self.alpha), device=images.device)
        weights, sample = torch._sample_dirichlet(alpha, source), beta(alpha[:1], source)[0]
        names = picked((*self._names, ""), self.num_chains * self.chain_depth, images, source)
        steps = [
            {"layer_name": name, "transformation": getattr(self, name).draw(images, source)} if name else None
            for name in names
        ]
        depth = self.chain_depth
        chains = [[step for step in steps[i : i + depth] if step] for i in range(0, len(steps), depth)]
        return {"chain_mixing_weights": weights, "weight_sample": sample, "chain_transforms": chains}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        def step(values: torch.Tensor, layer: BaseImageAugmentation, drawn: Any) -> torch.Tensor:
            return layer.change_images(values, drawn, interpolation)

        return self._mixed(images, transformation, step).clamp(*self.value_range)

    def transform_segmentation_masks(
        self, segmentation_masks: torch.Tensor, transformation: Any, training: bool = True
    ) -> torch.Tensor:
        if not training:
            return segmentation_masks

        def step(values: torch.Tensor, layer: BaseImageAugmentation, drawn: Any) -> torch.Tensor:
            return layer.transform_segmentation_masks(values, drawn)

        return self._mixed(segmentation_masks.to(self._float), transformation, step)

    def _mixed(self, values: torch.Tensor, transformation: Any, step: Any) -> torch.Tensor:
        total = torch.zeros_like(values)
        weights = transformation["chain_mixing_weights"].to(values.dtype)
        for weight, chain in zip(weights, transformation["chain_transforms"], strict=True):
            changed = values
            for link in chain:
                changed = step(changed, getattr(self, link["layer_name"]), link["transformation"])
            total = total + changed * weight
        own = transformation["weight_sample"].to(values.dtype)
        return own * values + (1 - own) * total
