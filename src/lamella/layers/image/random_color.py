"""Layers that change the colours of images at random; labels, boxes and masks stay."""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine.image import channel_axis, hsv_to_rgb, rgb_to_grayscale, rgb_to_hsv
from lamella.errors import ArgumentError
from lamella.layers.base import registry
from lamella.layers.image.base import BaseImageAugmentation, per_image, uniform


@registry.register()
class RandomBrightness(BaseImageAugmentation):
    """While training, adds a random number to all pixels of each image. Integer images stay integers.

    Args:
        factor: The number as a share of the value range: from -f to f, or a pair (lower, upper) from -1 to 1.
        value_range: The lowest and the highest value of a pixel; the result is kept within them.
        seed: An integer for a sequence of numbers of its own.
        **kwargs: `data_format`, `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomBrightness
        >>> RandomBrightness((0.5, 0.5), value_range=(0, 1))(torch.tensor([[[0.25, 0.75]]])).flatten()
        tensor([0.7500, 1.0000])
    """

    keeps_integers = True

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = self._range("factor", factor, (-1, 1))
        self.value_range = self._checked_value_range(value_range)
        self._set_seed(seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        low, high = self.value_range
        return {"rgb_delta": per_image(uniform(images, images.shape[:1], *self.factor, source)) * (high - low)}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        return (images + transformation["rgb_delta"].to(images.dtype)).clamp(*self.value_range)


@registry.register()
class RandomContrast(BaseImageAugmentation):
    """While training, moves each channel of each image away from its mean, or towards it.

    Args:
        factor: A pair (lower, upper) from 0 to 1: distances to the mean are multiplied by a number from 1 - lower to
            1 + upper. A number f is the pair (0, f), as in Keras: it only strengthens the contrast.
        value_range: The lowest and the highest value of a pixel; the result is kept within them.
        seed: An integer for a sequence of numbers of its own.
        **kwargs: `data_format`, `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomContrast
        >>> RandomContrast((0.5, 0.5), seed=1)(torch.ones(2, 8, 8, 3)).unique()
        tensor([1.])
    """

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = self._range("factor", factor, (0, 1))
        self.value_range = self._checked_value_range(value_range)
        self._set_seed(seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        low, high = self.factor
        return {"contrast_factor": per_image(uniform(images, images.shape[:1], 1.0 - low, 1.0 + high, source))}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        mean = images.mean((-2, -1) if self.data_format == "channels_first" else (-3, -2), keepdim=True)
        factor = transformation["contrast_factor"].to(images.dtype)
        return ((images - mean) * factor + mean).clamp(*self.value_range)


@registry.register()
class RandomHue(BaseImageAugmentation):
    """While training, turns the colours of each image round the colour circle, either way.

    Args:
        factor: How far, as a share of half the circle: from 0 to f, or a pair (lower, upper) from 0 to 1.
        value_range: The lowest and the highest value of a pixel.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: An integer for a sequence of turns of its own.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomHue
        >>> RandomHue((1.0, 1.0), value_range=(0, 1))(torch.tensor([[[1.0, 0.0, 0.0]]]))  # red to cyan
        tensor([[[0., 1., 1.]]])
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
        sign = torch.where(uniform(images, images.shape[:1], 0.0, 1.0, source) > 0.5, -1.0, 1.0)
        return {"factor": sign * uniform(images, images.shape[:1], *self.factor, source) * 0.5}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        axis = channel_axis(self.data_format)
        unit = to_value_range(images, self.value_range, (0, 1))
        hue, saturation, value = rgb_to_hsv(unit, self.data_format).unbind(axis)
        hue = hue + transformation["factor"].to(images.dtype).reshape(-1, 1, 1)  # hsv_to_rgb takes it modulo 1
        unit = hsv_to_rgb(torch.stack([hue, saturation, value], axis), self.data_format).clamp(0, 1)
        return to_value_range(unit, (0, 1), self.value_range)


@registry.register()
class RandomSaturation(BaseImageAugmentation):
    """While training, multiplies the saturation of each image by f / (1 - f): 0.5 leaves it, 0 makes grey.

    Args:
        factor: f: from -f to f (below 0 is grey), or a pair (lower, upper).
        value_range: The saturation is kept within it, as in Keras: with (0, 255) it may pass 1, and colours 0.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: An integer for a sequence of factors of its own.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomSaturation
        >>> RandomSaturation((0.0, 0.0))(torch.tensor([[[0.5, 0.25, 0.125]]]))
        tensor([[[0.5000, 0.5000, 0.5000]]])
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
        self.factor = self._range("factor", factor, (-1, 1))
        self.value_range = self._checked_value_range(value_range)
        self._set_seed(seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        factor = uniform(images, images.shape[:1], *self.factor, source)
        return {"factor": factor / (1 - factor + 1e-7)}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        axis = channel_axis(self.data_format)
        hue, saturation, value = rgb_to_hsv(images, self.data_format).unbind(axis)
        factor = transformation["factor"].to(images.dtype).reshape(-1, 1, 1)
        saturation = (saturation * factor).clamp(*self.value_range)
        return hsv_to_rgb(torch.stack([hue, saturation, value], axis), self.data_format)


@registry.register()
class RandomGrayscale(BaseImageAugmentation):
    """While training, takes the colour out of some of the images; they keep three channels. Integers stay integers.

    Args:
        factor: The probability, from 0 to 1.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: An integer for a sequence of choices of its own.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomGrayscale
        >>> RandomGrayscale(1.0)(torch.tensor([[[100.0, 0.0, 0.0]]]))
        tensor([[[29.8900, 29.8900, 29.8900]]])
    """

    keeps_integers = True

    def __init__(
        self, factor: float = 0.5, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 <= factor <= 1:
            raise ArgumentError(f"{self._label}: `factor` is a probability, from 0 to 1; got {factor!r}.")
        self.factor = factor
        self._set_seed(seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        return per_image(uniform(images, images.shape[:1], 0.0, 1.0, source) < self.factor)

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        return torch.where(transformation, rgb_to_grayscale(images, self.data_format), images)


@registry.register()
class RandomColorDegeneration(BaseImageAugmentation):
    """While training, mixes each image with its grey self.

    Args:
        factor: The share of grey: from -f to f, or a pair (lower, upper); below 0 the colours grow stronger.
        value_range: The lowest and the highest value of a pixel; the result is kept within them.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: An integer for a sequence of shares of its own.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomColorDegeneration
        >>> RandomColorDegeneration((0.5, 0.5))(torch.tensor([[[100.0, 0.0, 0.0]]]))
        tensor([[[64.9450, 14.9450, 14.9450]]])
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
        self.factor = self._range("factor", factor, (-1, 1))
        self.value_range = self._checked_value_range(value_range)
        self._set_seed(seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        return {"factor": per_image(uniform(images, images.shape[:1], *self.factor, source))}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        factor = transformation["factor"].to(images.dtype)
        grey = rgb_to_grayscale(images, self.data_format)
        return (images + factor * (grey - images)).clamp(*self.value_range)


@registry.register()
class RandomColorJitter(BaseImageAugmentation):
    """While training, changes brightness, contrast, saturation and hue, in this order, each by its own layer.

    Args:
        value_range: The lowest and the highest value of a pixel.
        brightness_factor: As for `RandomBrightness`; None leaves the brightness.
        contrast_factor: As for `RandomContrast`.
        saturation_factor: As for `RandomSaturation`.
        hue_factor: As for `RandomHue`.
        seed: An integer for a sequence of changes of its own.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomColorJitter
        >>> RandomColorJitter(brightness_factor=0.2, hue_factor=0.1)(torch.ones(2, 8, 8, 3)).shape
        torch.Size([2, 8, 8, 3])
    """

    def __init__(
        self,
        value_range: Any = (0, 255),
        brightness_factor: Any = None,
        contrast_factor: Any = None,
        saturation_factor: Any = None,
        hue_factor: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range = self._checked_value_range(value_range)
        self.brightness_factor = brightness_factor
        self.contrast_factor = contrast_factor
        self.saturation_factor = saturation_factor
        self.hue_factor = hue_factor
        self._set_seed(seed)
        shared = {"value_range": value_range, "data_format": self.data_format, "dtype": self.dtype}
        self.random_brightness = None if brightness_factor is None else RandomBrightness(brightness_factor, **shared)
        self.random_contrast = None if contrast_factor is None else RandomContrast(contrast_factor, **shared)
        self.random_saturation = None if saturation_factor is None else RandomSaturation(saturation_factor, **shared)
        self.random_hue = None if hue_factor is None else RandomHue(hue_factor, **shared)

    def _steps(self) -> dict[str, BaseImageAugmentation]:
        names = ("random_brightness", "random_contrast", "random_saturation", "random_hue")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        return {name: layer.draw(images, source) for name, layer in self._steps().items()}

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        for name, layer in self._steps().items():
            images = layer.change_images(images, transformation[name], interpolation)
        return images


def to_value_range(images: torch.Tensor, before: tuple[float, float], after: tuple[float, float]) -> torch.Tensor:
    """Pixels from `before[0]` to `before[1]` as ones from `after[0]` to `after[1]`."""
    if tuple(before) == tuple(after):
        return images
    return (images - before[0]) / (before[1] - before[0]) * (after[1] - after[0]) + after[0]
