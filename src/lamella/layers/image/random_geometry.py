"""Layers that turn, shift, stretch, slant and tilt images: all of them are one sampling at moved coordinates."""

from __future__ import annotations

import math
from typing import Any

import torch

from lamella.engine.image import affine_transform, compute_homography_matrix, size_of
from lamella.layers.base import registry
from lamella.layers.image.base import BaseImageAugmentation, chosen, per_image, uniform
from lamella.layers.image.bounding_boxes import clip_to_image_size, convert_format, moved_boxes

_FILLS = ("reflect", "wrap", "constant", "nearest")
_READS = ("nearest", "bilinear")


class Movement(BaseImageAugmentation):
    """The base of layers that move pixels along straight lines.

    A subclass gives the `matrix` of each image: the 8 numbers that `engine.image.affine_transform` takes, from a
    pixel of the result to a place in the input.
    """

    fill_mode: str = "constant"
    fill_value: float = 0.0

    def _set_sampling(self, fill_mode: Any, interpolation: Any, fill_value: float, seed: Any) -> None:
        self.fill_mode = self._checked_choice("fill_mode", fill_mode, _FILLS)
        self.interpolation = self._checked_choice("interpolation", interpolation, _READS)
        self.fill_value = fill_value
        self._set_seed(seed)

    def matrix(self, transformation: Any, height: int, width: int) -> torch.Tensor:
        """(batch, 8) for images of this size."""
        raise NotImplementedError(f"{type(self).__name__} has no matrix(): write it, in torch.")

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        matrix = self.matrix(transformation, *size_of(images, self.data_format))
        return affine_transform(images, matrix, interpolation, self.fill_mode, self.fill_value, self.data_format)

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
        height, width = transformation["input_size"]
        boxes = convert_format(bounding_boxes, self.bounding_box_format, "xyxy", height, width)
        moved = moved_boxes(boxes["boxes"], self.matrix(transformation, height, width))
        boxes = clip_to_image_size({**boxes, "boxes": moved}, height, width)
        return convert_format(boxes, "xyxy", self.bounding_box_format, height, width)


def _rows(*numbers: torch.Tensor) -> torch.Tensor:
    return torch.stack(torch.broadcast_tensors(*numbers), -1)


@registry.register()
class RandomRotation(Movement):
    """While training, turns each image by a random angle about its centre.

    Args:
        factor: The angle as a share of a full turn, from -f to f, or a pair (lower, upper). Positive turns
            counter-clockwise.
        fill_mode: What comes in from outside: `"reflect"`, `"wrap"`, `"constant"` or `"nearest"`.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: An integer for a sequence of angles of its own.
        fill_value: The constant of `fill_mode="constant"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomRotation
        >>> RandomRotation((0.25, 0.25))(torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]])).round().flatten()
        tensor([2., 4., 1., 3.])
    """

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = self._range("factor", factor, (-1, 1))
        self._set_sampling(fill_mode, interpolation, fill_value, seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        low, high = (360.0 * factor for factor in self.factor)
        angle = uniform(images, images.shape[:1], low, high, source)
        return {"angle": angle, "input_size": size_of(images, self.data_format)}

    def matrix(self, transformation: Any, height: int, width: int) -> torch.Tensor:
        angle = transformation["angle"] * (math.pi / 180.0)
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        x, y = 0.5 * (width - 1), 0.5 * (height - 1)
        return _rows(cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos, zero, zero)


@registry.register()
class RandomTranslation(Movement):
    """While training, shifts each image.

    Args:
        height_factor: How far down, as a share of the height: from -f to f, or a pair (lower, upper).
        width_factor: How far to the right, as a share of the width.
        fill_mode: What comes in from outside: `"reflect"`, `"wrap"`, `"constant"` or `"nearest"`.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: An integer for a sequence of shifts of its own.
        fill_value: The constant of `fill_mode="constant"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomTranslation
        >>> right = RandomTranslation(0.0, (0.5, 0.5), fill_mode="constant")
        >>> right(torch.tensor([[[1.0], [2.0]]])).flatten()
        tensor([0., 1.])
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.height_factor = height_factor
        self.width_factor = width_factor
        self._down = self._range("height_factor", height_factor, (-1, 1), -math.inf, strict=True)
        self._right = self._range("width_factor", width_factor, (-1, 1), -math.inf, strict=True)
        self._set_sampling(fill_mode, interpolation, fill_value, seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        height, width = size_of(images, self.data_format)
        down = uniform(images, images.shape[:1], *self._down, source) * height
        right = uniform(images, images.shape[:1], *self._right, source) * width
        return {"translations": torch.stack([right, down], 1), "input_size": (height, width)}

    def matrix(self, transformation: Any, height: int, width: int) -> torch.Tensor:
        right, down = transformation["translations"].unbind(1)
        one, zero = torch.ones_like(right), torch.zeros_like(right)
        return _rows(one, zero, -right, zero, one, -down, zero, zero)


@registry.register()
class RandomZoom(Movement):
    """While training, shrinks (positive factors) or enlarges (negative ones) each image about its centre.

    Args:
        height_factor: By how much more of the height is seen: 0.2 is a fifth more, -0.2 a fifth less. From -f to f,
            or a pair (lower, upper).
        width_factor: The same for the width; by default the image keeps its proportions.
        fill_mode: What comes in from outside: `"reflect"`, `"wrap"`, `"constant"` or `"nearest"`.
        interpolation: `"bilinear"` or `"nearest"`.
        seed: An integer for a sequence of zooms of its own.
        fill_value: The constant of `fill_mode="constant"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomZoom
        >>> closer = RandomZoom((-0.5, -0.5), interpolation="nearest")
        >>> closer(torch.tensor([[[1.0], [2.0], [3.0], [4.0]]])).flatten()
        tensor([2., 2., 3., 3.])
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.height_factor = height_factor
        self.width_factor = width_factor
        above_minus_one = (math.nextafter(-1.0, 0.0), 1.0)
        self._high = self._range("height_factor", height_factor, above_minus_one, -math.inf, strict=True)
        if width_factor is not None:
            self._wide = self._range("width_factor", width_factor, above_minus_one, -math.inf, strict=True)
        self._set_sampling(fill_mode, interpolation, fill_value, seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        shape = (images.shape[0], 1)
        high = uniform(images, shape, 1.0 + self._high[0], 1.0 + self._high[1], source)
        wide = high
        if self.width_factor is not None:
            wide = uniform(images, shape, 1.0 + self._wide[0], 1.0 + self._wide[1], source)
        return {"height_zoom": high, "width_zoom": wide, "input_size": size_of(images, self.data_format)}

    def matrix(self, transformation: Any, height: int, width: int) -> torch.Tensor:
        high, wide = transformation["height_zoom"][:, 0], transformation["width_zoom"][:, 0]
        zero = torch.zeros_like(high)
        x, y = (width - 1.0) / 2.0 * (1.0 - wide), (height - 1.0) / 2.0 * (1.0 - high)
        return _rows(wide, zero, x, zero, high, y, zero, zero)


@registry.register()
class RandomShear(Movement):
    """While training, slants each image: rows shift in proportion to their height, columns to their place.

    Args:
        x_factor: How many pixels a row shifts against the one above it: from -f to f, or a pair (lower, upper) of
            sizes, with either sign.
        y_factor: The same for columns.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_mode: What comes in from outside: `"reflect"`, `"wrap"`, `"constant"` or `"nearest"`.
        fill_value: The constant of `fill_mode="constant"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        seed: An integer for a sequence of slants of its own.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomShear
        >>> RandomShear(0.3)(torch.ones(2, 8, 8, 3)).shape
        torch.Size([2, 8, 8, 3])
    """

    def __init__(
        self,
        x_factor: Any = 0.0,
        y_factor: Any = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.x_factor = self._slant("x_factor", x_factor)
        self.y_factor = self._slant("y_factor", y_factor)
        self._set_sampling(fill_mode, interpolation, fill_value, seed)

    def _slant(self, name: str, value: Any) -> tuple[float, float]:
        # A number f is kept as (-f, f), and so stands in configs: pairs may be negative, numbers may not.
        pair = isinstance(value, (tuple, list))
        return self._range(name, value, (-1 if pair else 0, 1), -math.inf, strict=True)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        shape = (images.shape[0], 1)
        sign = torch.where(uniform(images, shape, 0.0, 1.0, source) > 0.5, -1.0, 1.0)
        y = uniform(images, shape, *self.y_factor, source)
        x = uniform(images, shape, *self.x_factor, source)
        return {"shear_factor": torch.cat([x, y], 1) * sign, "input_size": size_of(images, self.data_format)}

    def matrix(self, transformation: Any, height: int, width: int) -> torch.Tensor:
        x, y = transformation["shear_factor"].unbind(1)
        one, zero = torch.ones_like(x), torch.zeros_like(x)
        return _rows(one, x, zero, y, one, zero, zero, zero)


@registry.register()
class RandomPerspective(Movement):
    """While training, looks at some of the images from aside: their corners move by random shares of their place.

    The upper left corner, at (0, 0), stays.

    Args:
        factor: The probability that an image changes; a number f draws it from 0 to f.
        scale: How far corners move, from 0 to 1.
        interpolation: `"bilinear"` or `"nearest"`.
        fill_value: What comes in from outside.
        seed: An integer for a sequence of changes of its own.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: `bounding_box_format`, and as for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import RandomPerspective
        >>> RandomPerspective(scale=0.5)(torch.ones(2, 8, 8, 3)).shape
        torch.Size([2, 8, 8, 3])
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = self._range("factor", factor, (0, 1))
        self._range("scale", scale, (0, 1))
        self.scale = scale
        self._set_sampling("constant", interpolation, fill_value, seed)

    def draw(self, images: torch.Tensor, source: torch.Generator | None) -> Any:
        apply = chosen(images, self.factor, source)
        height, width = size_of(images, self.data_format)
        share = uniform(images, (images.shape[0], 4, 2), -0.5 * self.scale, 0.5 * self.scale, source)
        x = torch.arange(2, dtype=torch.float32, device=images.device).repeat(2) * (width - 1)
        y = torch.arange(2, dtype=torch.float32, device=images.device).repeat_interleave(2) * (height - 1)
        start = torch.stack([x, y], -1).expand_as(share)
        return {
            "apply_perspective": apply,
            "start_points": start,
            "end_points": start + start * share,
            "input_size": (height, width),
        }

    def matrix(self, transformation: Any, height: int, width: int) -> torch.Tensor:
        moved = compute_homography_matrix(transformation["start_points"], transformation["end_points"])
        still = torch.zeros_like(moved)
        still[:, 0::4] = 1.0
        return torch.where(transformation["apply_perspective"][:, None], moved, still)

    def change_images(self, images: torch.Tensor, transformation: Any, interpolation: str) -> torch.Tensor:
        moved = super().change_images(images, transformation, interpolation)
        return torch.where(per_image(transformation["apply_perspective"]), moved, images)  # the others to the bit
