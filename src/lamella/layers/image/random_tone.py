"""Layers that change how light and dark pixels are, or how sharp; labels, boxes and masks stay."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.image import gaussian_blur
from lamella.errors import ArgumentError
from lamella.layers.base import registry
from lamella.layers.image.base import BaseImageAugmentation, chosen, per_image, uniform
from lamella.layers.image.random_color import to_value_range


@registry.register()
class RandomInvert(BaseImageAugmentation):
    """While training, turns some of the images into negatives: the highest value minus the pixel.

    Args:
        factor: The probability: drawn from 0 to f, or from a pair (lower, upper).
        value_range: The lowest and the highest value of a pixel.
        seed: An integer for a sequence of choices of its own.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomInvert
        >>> RandomInvert((1.0, 1.0))(torch.tensor([[[0.0, 200.0]]]))
        tensor([[[255.,  55.]]])
    """

    def __init__(
        self,
        factor: Any = 1.0,
        value_range: Any = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = self._range("factor", factor, (0, 1))
        self.value_range = self._checked_value_range(value_range)
        self._set_seed(seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        return {"apply_inversion": chosen(images, self.factor, source)}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        return torch.where(per_image(transformation["apply_inversion"]), self.value_range[1] - images, images)


@registry.register()
class RandomPosterization(BaseImageAugmentation):
    """While training, keeps only the highest bits of each pixel's 8.

    Args:
        factor: How many bits: fewer than f (at least 1), or a pair (lower, upper): lower to upper - 1; if they are
            equal, just as many.
        value_range: The lowest and the highest value of a pixel.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: An integer for a sequence of numbers of its own.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomPosterization
        >>> RandomPosterization((1, 1))(torch.tensor([[[100.0, 127.0, 129.0]]]))
        tensor([[[  0.,   0., 128.]]])
    """

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = self._range("factor", factor, (1, 8))
        self.value_range = self._checked_value_range(value_range)
        self._set_seed(seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        low, high = (int(bits) for bits in self.factor)
        bits = torch.empty(images.shape[:1], dtype=torch.int64, device=images.device)
        bits = bits.random_(low, high, generator=source) if low != high else bits.fill_(low)
        return {"shift_factor": 8 - bits}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        shift = per_image(transformation["shift_factor"]).to(torch.int32)
        bits = to_value_range(images, self.value_range, (0, 255)).to(torch.int32) & 255
        kept = ((bits >> shift) << shift).to(images.dtype)
        return to_value_range(kept, (0, 255), self.value_range)


@registry.register()
class RandomSharpness(BaseImageAugmentation):
    """While training, blurs each image (factors below 0.5) or sharpens it (above).

    Args:
        factor: From 0 to f, or a pair (lower, upper) from 0 to 1. 0.5 changes nothing.
        value_range: The lowest and the highest value of a pixel; the result is kept within them.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: An integer for a sequence of factors of its own.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomSharpness
        >>> RandomSharpness((0.0, 0.0))(torch.full((3, 3, 1), 13.0))[1, 1]
        tensor([13.])
    """

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = self._range("factor", factor, (0, 1))
        self.value_range = self._checked_value_range(value_range)
        self._set_seed(seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        return {"factor": uniform(images, images.shape[:1], *self.factor, source)}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        x = images if self.data_format == "channels_first" else images.permute(0, 3, 1, 2)
        channels = x.shape[1]
        kernel = torch.full((channels, 1, 3, 3), 1 / 13, dtype=x.dtype, device=x.device)
        kernel[:, :, 1, 1] = 5 / 13
        smooth = F.conv2d(x, kernel, padding=1, groups=channels)
        factor = per_image(transformation["factor"]).to(images.dtype) * 2
        x = (x + (1.0 - factor) * (smooth - x)).clamp(*self.value_range)
        return x if self.data_format == "channels_first" else x.permute(0, 2, 3, 1)


@registry.register()
class RandomGaussianBlur(BaseImageAugmentation):
    """While training, blurs some of the images, all of a batch by the same kernel.

    Args:
        factor: The probability: drawn from 0 to f, or from a pair (lower, upper).
        kernel_size: The size of the kernel in pixels, odd: a number or (height, width).
        sigma: The standard deviation in pixels: from 0 to s, or a pair (lower, upper) from 0 to 1; drawn once for
            each axis.
        value_range: The lowest and the highest value of a pixel; the result is kept within them.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: An integer for a sequence of blurs of its own.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomGaussianBlur
        >>> RandomGaussianBlur((1.0, 1.0))(torch.full((3, 3, 1), 9.0))[1, 1].round()
        tensor([9.])
    """

    def __init__(
        self,
        factor: Any = 1.0,
        kernel_size: Any = 3,
        sigma: Any = 1.0,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = self._range("factor", factor, (0, 1))
        sizes = tuple(kernel_size) if isinstance(kernel_size, (tuple, list)) else (kernel_size, kernel_size)
        if len(sizes) != 2 or any(isinstance(s, bool) or int(s) != s or s % 2 != 1 or s < 1 for s in sizes):
            raise ArgumentError(
                f"{self._label}: `kernel_size` must be an odd number or a pair of them; got {kernel_size!r}."
            )
        self.kernel_size = sizes
        self.sigma = self._range("sigma", sigma, (0, 1))
        self.value_range = self._checked_value_range(value_range)
        self._set_seed(seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        return {
            "should_apply_blur": chosen(images, self.factor, source),
            "blur_factor": uniform(images, (2,), *self.sigma, source) + 1e-6,
        }

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        blurred = gaussian_blur(images, self.kernel_size, transformation["blur_factor"], self.data_format)
        return torch.where(per_image(transformation["should_apply_blur"]), blurred, images).clamp(*self.value_range)


@registry.register()
class Solarization(BaseImageAugmentation):
    """While training, adds a number to each image and turns its pixels from a threshold on into their negatives.

    Args:
        addition_factor: The number as a share of the value range: from 0 to f, or a pair (lower, upper); as in Keras
            the lower one counts in 255ths of it.
        threshold_factor: The threshold, in the same way.
        value_range: The lowest and the highest value of a pixel.
        seed: An integer for a sequence of numbers of its own.
        **kwargs: `data_format`, `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import Solarization
        >>> Solarization()(torch.tensor([[[0.0, 100.0, 255.0]]]))
        tensor([[[255., 155.,   0.]]])
    """

    def __init__(
        self,
        addition_factor: Any = 0.0,
        threshold_factor: Any = 0.0,
        value_range: Any = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.addition_factor = self._range("addition_factor", addition_factor, (0, 1), 0, strict=True)
        self.threshold_factor = self._range("threshold_factor", threshold_factor, (0, 1), 0, strict=True)
        self.value_range = self._checked_value_range(value_range)
        self._set_seed(seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        parts = {"additions": self.addition_factor, "thresholds": self.threshold_factor}
        return {
            name: per_image(uniform(images, images.shape[:1], low, max(low, high * 255), source))
            for name, (low, high) in parts.items()
        }

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        x = to_value_range(images, self.value_range, (0, 255))
        x = (x + transformation["additions"].to(x.dtype)).clamp(0, 255)
        x = torch.where(x < transformation["thresholds"].to(x.dtype), x, 255 - x)
        return to_value_range(x, (0, 255), self.value_range)
