"""`SegmentationDataset`: pictures and their masks, batch by batch."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamella.errors import ArgumentError, DataError
from lamella.vision.annotations import Problems
from lamella.vision.masks import letterbox_mask, read_mask, to_classes
from lamella.vision.picture_dataset import PictureDataset, Sample
from lamella.vision.pictures import SUFFIXES, letterbox, read_image


class SegmentationDataset(PictureDataset):
    """Pictures with the class of each pixel, for a segmentation model's `fit`, `evaluate` and `predict`.

    Batch i is `(images, masks)`: images (batch, height, width, channels) of bytes, masks (batch, height, width), int64.
    A file that cannot be read, or a mask that does not fit its picture, is left out, reported once, and listed in
    `skipped`: `report()` tells all.

    Make it with `from_folders` or `from_arrays`, which take all the arguments below.

    Args:
        pairs: (picture, mask) each: paths, arrays, or anything that `read_image` and `read_mask` take.
        class_names: The classes in order; by default "class_0", "class_1", ..., one for each of `values`.
        values: For each class its grey in the masks (the nearest counts), or its colour; None where masks hold class
            numbers. If neither this nor more than two classes are given, and the first mask has but 0 and 255, that is
            (0, 255).
        ignore_class: A number in the masks for pixels without a class; also what is outside a picture.
        image_size: The (height, width) that picture and mask are fitted into, without distortion; None for their own.
        channels: 3 for colour, 1 for grey.
        batch_size: Pictures in a batch.
        augment: An `Augmentation`, or another function `(sample, random, another) -> sample`; see `PictureDataset`.
        shuffle: Whether each epoch has a new order; by default only with `augment`.
        drop_last: Whether a last batch that is not full is left out.
        cache: Whether pictures are kept in memory; "auto" if they take up to 2 GiB.
        strict: Whether the first problem raises a DataError.
        workers: How many processes make batches; 0 and 1 make them in the training process.

    Attributes:
        class_names: The classes in order.
        skipped: (file, reason) of each file that is not used.

    Raises:
        DataError: No picture is left.
        ArgumentError: Arguments out of range, or classes that nothing tells.

    Example:
        >>> pictures, masks = np.zeros((3, 32, 32, 3), "uint8"), np.zeros((3, 32, 32), "uint8")
        >>> data = SegmentationDataset.from_arrays(pictures, masks, class_names=["sky", "sea"], batch_size=2)
        >>> images, classes = data[0]
        >>> images.shape, classes.shape, str(classes.dtype)
        ((2, 32, 32, 3), (2, 32, 32), 'int64')
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Any, Any]],
        class_names: Sequence[str] | None = None,
        values: Sequence[Any] | None = None,
        ignore_class: int | None = None,
        image_size: tuple[int, int] | None = None,
        channels: int = 3,
        batch_size: int = 8,
        augment: Any = None,
        shuffle: bool | None = None,
        drop_last: bool = False,
        cache: bool | str = "auto",
        strict: bool = False,
        workers: int = 1,
        problems: Problems | None = None,
    ) -> None:
        problems = problems or Problems(strict)
        self.pairs = list(pairs)
        first = self._first(problems)
        if values is None and first is not None and len(class_names or "ab") == 2 and ignore_class is None:
            values = (0, 255) if set(np.unique(first[1])) <= {0, 255} and first[1].max(initial=0) == 255 else None
        if class_names is None and values is None:
            raise ArgumentError(
                "SegmentationDataset: what are the classes? Pass `class_names`, or `values`, the grey of each class."
            )
        names = class_names or [f"class_{i}" for i in range(len(values or ()))]
        if values is not None and len(values) != len(names):
            raise ArgumentError(f"SegmentationDataset: {len(names)} class_names do not fit {len(values)} values.")
        self.class_names = [str(name) for name in names]
        self.values = values
        self.ignore_class = ignore_class
        self.image_size = image_size
        self.channels = channels
        height, width = image_size or (first[0].shape[:2] if first else (0, 0))
        super().__init__(
            count=len(self.pairs),
            batch_size=batch_size,
            augment=augment,
            shuffle=bool(augment) if shuffle is None else shuffle,
            drop_last=drop_last,
            cache=cache,
            picture_bytes=height * width * (channels + 1),
            problems=problems,
            workers=workers,
        )

    @classmethod
    def from_folders(
        cls,
        images: str | os.PathLike[str] | Sequence[Any],
        masks: str | os.PathLike[str] | Sequence[Any],
        **kwargs: Any,
    ) -> SegmentationDataset:
        """Pictures in one folder and masks of the same names (or with `_mask` added) in another; in natural order.

        Args:
            images: The folder, or a list of files.
            masks: The same.
            **kwargs: As for the class.

        Raises:
            DataError: A folder that is not there or has no pictures.
        """
        problems = Problems(kwargs.get("strict", False))
        by_name = {file.stem: file for file in _files(masks)}
        pairs = []
        for file in _files(images):
            mask = by_name.get(file.stem) or by_name.get(f"{file.stem}_mask")
            if mask is None:
                problems.skip(file, f"{file}: there is no mask of that name.")
            else:
                pairs.append((file, mask))
        return cls(pairs, problems=problems, **kwargs)

    @classmethod
    def from_arrays(cls, images: Any, masks: Any, **kwargs: Any) -> SegmentationDataset:
        """Pictures in memory: (pictures, height, width, channels) and (pictures, height, width), or lists.

        Raises:
            DataError: Not as many pictures as masks.
        """
        if len(images) != len(masks):
            raise DataError(f"from_arrays: got {len(images)} pictures and {len(masks)} masks.")
        return cls(list(zip(images, masks, strict=True)), **kwargs)

    # -- samples --------------------------------------------------------------------------------------------

    def file(self, index: int) -> str:
        picture = self.pairs[index][0]
        return str(picture) if isinstance(picture, (str, Path)) else f"picture {index}"

    def load(self, index: int) -> Sample:
        picture, source = self.pairs[index]
        image = read_image(picture, self.channels)
        name = source if isinstance(source, (str, Path)) else f"the mask of picture {index}"
        mask = read_mask(source)
        if mask.shape[:2] != image.shape[:2]:
            raise DataError(
                f"{name}: the mask is {mask.shape[0]} x {mask.shape[1]}, but its picture {image.shape[0]} x "
                f"{image.shape[1]}."
            )
        try:
            mask = to_classes(mask, self.values, len(self.class_names), self.ignore_class)
        except DataError as error:
            raise DataError(f"{name}: {error}.") from None
        fill = self.ignore_class or 0
        if self.image_size is not None:
            image, mask = letterbox(image, self.image_size)[0], letterbox_mask(mask, self.image_size, fill)
        return {"image": image, "mask": mask, "mask_fill": fill}

    def collate(self, samples: list[Sample]) -> tuple[np.ndarray, np.ndarray]:
        sizes = sorted({sample["image"].shape[:2] for sample in samples})
        if len(sizes) > 1:
            raise DataError(
                f"Pictures of one batch have different sizes, as {sizes[0]} and {sizes[-1]}: pass image_size=(height, "
                f"width), or an Augmentation with `crop`, or batch_size=1."
            )
        images = np.stack([sample["image"] for sample in samples])
        return images, np.stack([sample["mask"] for sample in samples]).astype("int64")

    def _first(self, problems: Problems) -> tuple[np.ndarray, np.ndarray] | None:
        """The first picture and mask that can be read, as they are."""
        for picture, mask in self.pairs:
            try:
                return read_image(picture, 3), read_mask(mask)
            except DataError:
                if problems.strict:
                    raise
        return None


def _files(source: Any) -> list[Path]:
    if not isinstance(source, (str, os.PathLike)):
        return [Path(file) for file in source]
    folder = Path(source)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder.")
    found = [file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES]
    if not found:
        raise DataError(f"{folder}: there are no pictures in it.")
    return sorted(found, key=_natural)


def _natural(file: Path) -> list[tuple[bool, int, str]]:
    """A key by which 2.png comes before 10.png."""
    parts = re.split(r"(\d+)", file.name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
