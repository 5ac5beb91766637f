"""`Augmentation`: pictures, their boxes and their masks, changed together at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError
from lamella.vision.pictures import FILL
from lamella.vision.warp import Region, about, colour_matrix, linear, smooth_field, warp, warp_boxes

Sample = dict[str, Any]

_KEEP = 0.1
"""A box that loses more than all but this share of its area at an edge is dropped: one would not know what it is."""


@dataclass
class Augmentation:
    """Moves, turns, scales and recolours a picture with its boxes and its mask, at random.

    All moves of a picture are one affine map, so it is sampled once. A box becomes the box around its moved corners,
    cut at the edges; if less than a tenth of its area is left, it is dropped. Masks take the nearest pixel.

    Attributes may be changed between epochs: `data.augment.mosaic = 0.0` ends mosaics for the last epochs.

    Args:
        flip: The chance that left and right are swapped.
        vertical_flip: The chance that top and bottom are swapped.
        rotate: The most that a picture is turned either way, in degrees.
        rotate90: Whether it is also turned by quarters, each alike often (one that is not square: by halves,
            unless `crop` is given).
        scale: The (least, most) that it is scaled; small and large factors are equally frequent.
        translate: The most that it is moved, as a share of its size.
        shear: The most that each axis leans, in degrees.
        crop: The (height, width) of the result, cut out at a random place; None for the picture's own size.
        elastic: The standard deviation in pixels of a smooth random displacement: drawn at `elastic_grid` x
            `elastic_grid` points and interpolated. For masks only, since boxes do not bend.
        elastic_grid: See `elastic`.
        hue: The most that colours are turned about the axis of greys, in turns: 0.5 is all colours.
        saturation: The most that saturation changes: 0.5 is by a factor from 0.5 to 1.5.
        brightness: The same for brightness.
        contrast: The same for contrast.
        mosaic: The chance that a picture is put together from parts of four, half to full size.
        mixup: The chance that it is blended with another (Zhang et al., 2018), for boxes only; all boxes count.
        fill: What is outside the picture: a value, or "reflect" to mirror picture and mask.

    References:
        Simard et al., 2003, and Ronneberger et al., 2015 (3 x 3 points, 10 pixels), for elastic deformation;
        Bochkovskiy et al., 2020, for mosaics.

    Raises:
        ArgumentError: An argument out of range.

    Example:
        >>> sample = {"image": np.zeros((20, 30, 3), "uint8"), "boxes": np.array([[0.0, 5, 10, 20]]),
        ...           "classes": np.array([1])}
        >>> Augmentation(flip=1.0)(sample)["boxes"].tolist()
        [[20.0, 5.0, 30.0, 20.0]]
    """

    flip: float = 0.5
    vertical_flip: float = 0.0
    rotate: float = 0.0
    rotate90: bool = False
    scale: tuple[float, float] = (1.0, 1.0)
    translate: float = 0.0
    shear: float = 0.0
    crop: tuple[int, int] | None = None
    elastic: float = 0.0
    elastic_grid: int = 3
    hue: float = 0.0
    saturation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    mosaic: float = 0.0
    mixup: float = 0.0
    fill: int | str = FILL

    def __post_init__(self) -> None:
        highest = {
            **dict.fromkeys(("flip", "vertical_flip", "mosaic", "mixup", "saturation", "brightness", "contrast"), 1.0),
            **{"rotate": 180.0, "translate": 1.0, "shear": 80.0, "hue": 0.5, "elastic": float("inf")},
        }
        for name, most in highest.items():
            if not 0 <= getattr(self, name) <= most:
                raise ArgumentError(f"Augmentation: `{name}` must be from 0 to {most}; got {getattr(self, name)!r}.")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise ArgumentError(f"Augmentation: `scale` must be (least, most), both above 0; got {self.scale!r}.")
        if self.crop is not None and (len(self.crop) != 2 or min(self.crop) < 1):
            raise ArgumentError(f"Augmentation: `crop` must be (height, width) or None; got {self.crop!r}.")
        if self.elastic_grid < 2:
            raise ArgumentError(f"Augmentation: `elastic_grid` must be 2 or more; got {self.elastic_grid!r}.")
        if self.fill != "reflect" and not (isinstance(self.fill, int) and 0 <= self.fill <= 255):
            raise ArgumentError(f"Augmentation: `fill` must be from 0 to 255, or 'reflect'; got {self.fill!r}.")

    @classmethod
    def for_detection(cls, **changes: Any) -> Augmentation:
        """What serves most detectors: flips, scales, moves, colours and mosaics; `changes` are other arguments.

        Example:
            >>> Augmentation.for_detection(mosaic=0.0).mosaic
            0.0
        """
        usual = {"scale": (0.7, 1.4), "translate": 0.1, "hue": 0.02, "saturation": 0.5, "brightness": 0.3}
        return cls(**{**usual, "contrast": 0.2, "mosaic": 0.5, **changes})

    @classmethod
    def for_segmentation(cls, **changes: Any) -> Augmentation:
        """What serves pictures without an up and down, as of cells: all turns and flips, elastic deformation, mirrored.

        Example:
            >>> Augmentation.for_segmentation(elastic=0.0).elastic
            0.0
        """
        usual = {"vertical_flip": 0.5, "rotate": 15.0, "rotate90": True, "scale": (0.8, 1.25), "elastic": 10.0}
        return cls(**{**usual, "brightness": 0.2, "contrast": 0.2, "fill": "reflect", **changes})

    def __call__(
        self,
        sample: Sample,
        random: np.random.Generator | None = None,
        another: Callable[[], Sample] | None = None,
    ) -> Sample:
        """A changed sample; the given one stays as it is.

        Args:
            sample: `"image"`, bytes (height, width, 1 or 3); and `"boxes"` (n, 4), xyxy in pixels, with `"classes"`
                (n,); or `"mask"` (height, width), whole numbers, with `"mask_fill"`, what is outside it; or neither.
            random: A generator; by default one that follows from `lamella.utils.set_random_seed`.
            another: Gives another sample of the same size, for mosaics and mixup; by default the same.

        Raises:
            ArgumentError: Boxes where `elastic` is on, or a mask where `mixup` is.
        """
        if "boxes" in sample and self.elastic:
            raise ArgumentError("Augmentation: boxes do not bend. Use elastic=0 for pictures with boxes.")
        if "mask" in sample and self.mixup:
            raise ArgumentError("Augmentation: masks are not blended. Use mixup=0 for pictures with masks.")
        random = np.random.default_rng(int(torch.randint(1 << 62, ()))) if random is None else random
        another = another or (lambda: sample)
        found = self._one(sample, random, another)
        if self.mixup and random.random() < self.mixup:
            found = _blended(found, self._one(another(), random, another), random.beta(32, 32))
        return found

    def _one(self, sample: Sample, random: np.random.Generator, another: Callable[[], Sample]) -> Sample:
        height, width = self.crop or sample["image"].shape[:2]
        if not self.mosaic or random.random() >= self.mosaic:
            return self._moved(sample, random, (height, width), (0, 0, height, width))
        y, x = (round(side * random.uniform(0.25, 0.75)) for side in (height, width))
        regions = ((0, 0, y, x), (0, x, y, width), (y, 0, height, x), (y, x, height, width))
        parts = [
            self._moved(each, random, (height, width), region, corner=(x, y))
            for each, region in zip((sample, another(), another(), another()), regions, strict=True)
        ]
        return _put_together(parts)

    def _moved(
        self,
        sample: Sample,
        random: np.random.Generator,
        size: tuple[int, int],
        region: Region,
        corner: tuple[int, int] | None = None,
    ) -> Sample:
        """The part of a changed sample that lies in a region; `corner`, of a mosaic, is where four pictures meet."""
        image = sample["image"]
        forward = self._map(random, image.shape[:2], size, region, corner)
        colours, displacement = self._colours(image, random), None
        if self.elastic:
            points = random.normal(0, self.elastic, (2, self.elastic_grid, self.elastic_grid))
            displacement = smooth_field(points, (region[2] - region[0], region[3] - region[1]))
        fill = None if self.fill == "reflect" else int(self.fill)
        picture, mask = warp(
            image, sample.get("mask"), forward, region, fill, sample.get("mask_fill", 0), colours, displacement
        )
        found = {**sample, "image": picture}
        if mask is not None:
            found["mask"] = mask
        if "boxes" in sample:
            boxes, kept = warp_boxes(sample["boxes"], forward, region, _KEEP)
            found["boxes"], found["classes"] = boxes[kept], np.asarray(sample["classes"])[kept]
        return found

    def _map(
        self,
        random: np.random.Generator,
        shape: tuple[int, int],
        size: tuple[int, int],
        region: Region,
        corner: tuple[int, int] | None,
    ) -> np.ndarray:
        angle = random.uniform(-self.rotate, self.rotate)
        if self.rotate90:
            angle += random.choice((0, 90, 180, 270) if self.crop or shape[0] == shape[1] else (0, 180))
        scale = float(np.exp(random.uniform(*np.log(self.scale))))
        shear = tuple(random.uniform(-self.shear, self.shear, 2))
        flips = (random.random() < self.flip, random.random() < self.vertical_flip)
        shift = random.uniform(-self.translate, self.translate, 2) * shape[::-1]
        own = np.array(shape[::-1], float)
        if corner is not None:
            scale *= random.uniform(0.5, 1.0)
        matrix = linear(angle, scale, shear, flips)
        if corner is not None:  # the box around the moved picture touches it, less half a pixel that would be blended
            extent = np.abs(matrix) @ own - scale
            side = np.array([1 if region[1] == corner[0] else -1, 1 if region[0] == corner[1] else -1])
            return about(matrix, own / 2 + shift, np.array(corner) + side * extent / 2)
        target = np.array(size[::-1], float) / 2
        if self.crop is not None:
            needed = np.abs(np.linalg.inv(matrix)) @ np.array(size[::-1], float)
            room = np.maximum(own - needed, 0) / 2
            shift = shift + random.uniform(-room, room)
        found = about(matrix, own / 2 + shift, target)
        whole = np.allclose(matrix, matrix.round())  # flips, quarter turns and crops keep every pixel as it is
        return found.round() if whole else found

    def _colours(self, image: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
        most = (self.hue, self.saturation, self.brightness, self.contrast)
        if not any(most):
            return None
        hue, *factors = random.uniform(-1, 1, 4) * most
        return colour_matrix(image, hue, *(1 + each for each in factors))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _put_together(parts: list[Sample]) -> Sample:
    """Four parts of a mosaic, in reading order, as one sample."""

    def joined(name: str) -> np.ndarray:
        rows = (np.concatenate([parts[i][name], parts[i + 1][name]], 1) for i in (0, 2))
        return np.concatenate(list(rows))

    found = dict(parts[0])
    for name in ("image", "mask"):
        if name in parts[0]:
            found[name] = joined(name)
    for name in ("boxes", "classes"):
        if name in parts[0]:
            found[name] = np.concatenate([part[name] for part in parts])
    return found


def _blended(one: Sample, two: Sample, share: float) -> Sample:
    image = one["image"] * np.float32(share) + two["image"] * np.float32(1 - share)
    found = {**one, "image": np.rint(image).astype("uint8")}
    for name in ("boxes", "classes"):
        if name in one:
            found[name] = np.concatenate([one[name], two[name]])
    return found
