"""`DetectionDataset`: pictures and the boxes in them, batch by batch, from the usual formats."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella.errors import ArgumentError, DataError
from lamella.vision.annotations import Annotation, Annotations, Problems, without_empty
from lamella.vision.coco import read_coco
from lamella.vision.directory import read_directory
from lamella.vision.picture_dataset import PictureDataset, Sample
from lamella.vision.pictures import letterbox, read_image
from lamella.vision.voc import read_voc
from lamella.vision.yolo_files import read_yolo

_TRAINING = ("train", "trainval")


class DetectionDataset(PictureDataset):
    """Pictures of one size with their boxes, for a detector's `fit`, `evaluate` and `predict`.

    Batch i is `(images, targets)`: images (batch, height, width, 3) of bytes, and targets a dict of `"boxes"` (batch,
    most, 4), float32, xyxy in pixels of `image_size`, and `"classes"` (batch, most), int64, -1 where there is no box.
    `most` is what the batch needs, rounded up to a multiple of 8.

    Pictures keep their aspect (`lamella.vision.pictures.letterbox`). Boxes are cut at the picture's edges; those
    outside or without an area are left out and counted. A picture without objects is a picture like others. A file
    that cannot be read is left out, reported once, and listed in `skipped`: `report()` tells all.

    Make it with `from_voc`, `from_coco`, `from_yolo`, `from_directory` or `from_arrays`, which take all the arguments
    below.

    Args:
        annotations: What a reader found.
        image_size: (height, width) of the pictures in a batch.
        batch_size: Pictures in a batch.
        augment: An `Augmentation`, or another function `(sample, random, another) -> sample`; see `PictureDataset`.
        shuffle: Whether each epoch has a new order; by default only with `augment`, or for the splits "train" and
            "trainval".
        drop_last: Whether a last batch that is not full is left out.
        cache: Whether fitted pictures are kept in memory; "auto" if they take up to 2 GiB.
        workers: How many processes make batches; 0 and 1 make them in the training process.

    Attributes:
        class_names: The classes in order.
        skipped: (file, reason) of each file that is not used.

    Raises:
        DataError: No picture is left.
        ArgumentError: Arguments out of range.

    Example:
        >>> pictures = np.zeros((3, 64, 64, 3), "uint8")
        >>> boxes = [[[8, 8, 24, 40]], [], [[0, 0, 10, 10], [30, 30, 64, 64]]]
        >>> data = DetectionDataset.from_arrays(pictures, boxes, [[0], [], [1, 0]], ["cat", "dog"], batch_size=2)
        >>> images, targets = data[0]
        >>> images.shape, targets["boxes"].shape, targets["classes"][0, :2].tolist()
        ((2, 64, 64, 3), (2, 8, 4), [0, -1])
    """

    def __init__(
        self,
        annotations: Annotations,
        image_size: tuple[int, int] = (640, 640),
        batch_size: int = 16,
        augment: Any = None,
        shuffle: bool | None = None,
        drop_last: bool = False,
        cache: bool | str = "auto",
        workers: int = 1,
    ) -> None:
        self.class_names = [str(name) for name in annotations.class_names]
        some = bool(self.class_names) or not annotations.pictures
        if len(set(self.class_names)) != len(self.class_names) or not some:
            raise ArgumentError(f"DetectionDataset: `class_names` must be different names; got {self.class_names}.")
        self.image_size = _size(image_size)
        self.annotations = annotations.pictures
        self._classes = [self._numbers(each, annotations.problems) for each in self.annotations]
        super().__init__(
            count=len(self.annotations),
            batch_size=batch_size,
            augment=augment,
            shuffle=bool(augment) if shuffle is None else shuffle,
            drop_last=drop_last,
            cache=cache,
            picture_bytes=self.image_size[0] * self.image_size[1] * 3,
            problems=annotations.problems,
            workers=workers,
        )

    @classmethod
    def from_voc(
        cls,
        folder: str | os.PathLike[str],
        split: str | None = None,
        class_names: Sequence[str] | None = None,
        strict: bool = False,
        **kwargs: Any,
    ) -> DetectionDataset:
        """Pictures with annotations in Pascal VOC's XML files; see `lamella.vision.voc.read_voc` for what is read.

        Args:
            folder: The folder with `Annotations`, `JPEGImages` and `ImageSets`, or one of XML files and pictures.
            split: The name of a list in `ImageSets/Main`; all pictures by default.
            class_names: The classes in order; by default the names in all XML files (of all splits), sorted.
            strict: Whether a file that is broken, and a box outside or without an area, raises a DataError.
            **kwargs: As for the class.
        """
        found = read_voc(folder, split, None if class_names is None else list(class_names), strict)
        return cls(found, **_shuffled(split, kwargs))

    @classmethod
    def from_coco(
        cls,
        file: str | os.PathLike[str],
        images: str | os.PathLike[str] | None = None,
        class_names: Sequence[str] | None = None,
        strict: bool = False,
        **kwargs: Any,
    ) -> DetectionDataset:
        """Pictures with annotations in COCO's JSON; see `lamella.vision.coco.read_coco` for what is read.

        Args:
            file: The JSON file.
            images: The folder of the pictures; by default that of the file.
            class_names: The classes in order; by default the categories in the order of their ids.
            strict: As for `from_voc`.
            **kwargs: As for the class.
        """
        return cls(read_coco(file, images, None if class_names is None else list(class_names), strict), **kwargs)

    @classmethod
    def from_yolo(
        cls,
        source: str | os.PathLike[str],
        split: str | None = None,
        class_names: Sequence[str] | None = None,
        strict: bool = False,
        **kwargs: Any,
    ) -> DetectionDataset:
        """Pictures with annotations in YOLO's text files; see `lamella.vision.yolo_files.read_yolo` for what is read.

        Args:
            source: `data.yaml`, or the folder with `images` and `labels`.
            split: The part wanted: "train", "val" or "test"; all pictures by default.
            class_names: The classes in order; by default those of `data.yaml` or `classes.txt`.
            strict: As for `from_voc`.
            **kwargs: As for the class.
        """
        found = read_yolo(source, split, None if class_names is None else list(class_names), strict)
        return cls(found, **_shuffled(split, kwargs))

    @classmethod
    def from_directory(
        cls,
        folder: str | os.PathLike[str],
        split: str | None = None,
        class_names: Sequence[str] | None = None,
        strict: bool = False,
        **kwargs: Any,
    ) -> DetectionDataset:
        """Pictures with annotations of whichever of the three formats is found; see `read_directory`.

        Args:
            folder: The folder.
            split: "train", "val" or "test"; all pictures by default.
            class_names: The classes in order; by default as the format says.
            strict: As for `from_voc`.
            **kwargs: As for the class.
        """
        found = read_directory(folder, split, None if class_names is None else list(class_names), strict)
        return cls(found, **_shuffled(split, kwargs))

    @classmethod
    def from_arrays(
        cls,
        images: Any,
        boxes: Sequence[Any],
        classes: Sequence[Any],
        class_names: Sequence[str] | None = None,
        strict: bool = False,
        **kwargs: Any,
    ) -> DetectionDataset:
        """Pictures in memory.

        Args:
            images: (pictures, height, width, 3), or a list of whatever `read_image` takes, of any sizes.
            boxes: For each picture its boxes (objects, 4), xyxy in pixels; padded rows may follow, see `classes`.
            classes: For each picture the classes of its boxes: numbers, or names; -1 is no box.
            class_names: The classes in order; needed for names. By default "class_0", "class_1", ...
            strict: As for `from_voc`.
            **kwargs: As for the class; `image_size` is that of the first picture by default.

        Raises:
            DataError: Not as many pictures as lists of boxes and of classes.
        """
        if not len(images) == len(boxes) == len(classes):
            raise DataError(
                f"from_arrays: each picture needs boxes and classes; got {len(images)} pictures, {len(boxes)} lists of "
                f"boxes and {len(classes)} of classes."
            )
        if not len(images):
            raise DataError("from_arrays: there are no pictures.")
        if class_names is None:
            most = max((int(each) for row in classes for each in row), default=0)
            class_names = [f"class_{i}" for i in range(most + 1)]
        names = list(class_names)
        problems = Problems(strict)
        pictures = []
        for i, (picture, rows, numbers) in enumerate(zip(images, boxes, classes, strict=True)):
            rows = np.asarray(rows, "float32").reshape(-1, 4)
            named = [each if isinstance(each, str) else int(each) for each in numbers]
            if len(rows) != len(named):
                raise DataError(f"from_arrays: picture {i} has {len(rows)} boxes and {len(named)} classes.")
            keep = [k for k, each in enumerate(named) if each != -1]
            labels = [_name(named[k], names) for k in keep]
            pictures.append(without_empty(Annotation(picture, rows[keep], labels, source=f"picture {i}"), problems))
        kwargs.setdefault("image_size", read_image(images[0]).shape[:2])
        return cls(Annotations(pictures, names, problems), **kwargs)

    # -- samples --------------------------------------------------------------------------------------------

    def file(self, index: int) -> str:
        return self.annotations[index].file

    def load(self, index: int) -> Sample:
        annotation = self.annotations[index]
        picture = read_image(annotation.picture)
        height, width = picture.shape[:2]
        boxes, classes = annotation.boxes, self._classes[index]
        limits = np.array([width, height] * 2, "float32")
        boxes = boxes * limits if annotation.relative else boxes
        inside = np.clip(boxes, 0, limits)
        there = (inside[:, 2:] > inside[:, :2]).all(1) & (classes >= 0)
        outside = int(((classes >= 0) & ~there).sum())
        cut = int((np.abs(inside - boxes).max(1, initial=0) > 1)[there].sum())  # by one: counted from 0 or from 1
        if outside and self.problems.strict:
            raise DataError(f"{annotation.source}: {outside} boxes lie outside the picture ({width} x {height}).")
        self._found[index, 1:] = self._found.new_tensor([cut, outside])
        image, scale, (top, left) = letterbox(picture, self.image_size)
        moved = inside[there] * np.float32(scale) + np.array([left, top] * 2, "float32")
        return {"image": image, "boxes": moved, "classes": classes[there]}

    def collate(self, samples: list[Sample]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        most = max(8, -(-max(len(sample["classes"]) for sample in samples) // 8) * 8)
        boxes = np.zeros((len(samples), most, 4), "float32")
        classes = np.full((len(samples), most), -1, "int64")
        for i, sample in enumerate(samples):
            boxes[i, : len(sample["boxes"])] = sample["boxes"]
            classes[i, : len(sample["classes"])] = sample["classes"]
        return np.stack([sample["image"] for sample in samples]), {"boxes": boxes, "classes": classes}

    def _numbers(self, annotation: Annotation, problems: Problems) -> np.ndarray:
        """The number of each box's class; -1 for a class that is not in the list."""
        numbers = []
        for name in annotation.names:
            if name not in self.class_names:
                problems.leave_out(annotation.source or annotation.file, name, self.class_names)
            numbers.append(self.class_names.index(name) if name in self.class_names else -1)
        return np.array(numbers, "int64")


def _size(image_size: Any) -> tuple[int, int]:
    try:
        height, width = (int(side) for side in image_size)
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        raise ArgumentError(f"DetectionDataset: `image_size` must be (height, width); got {image_size!r}.")
    return height, width


def _shuffled(split: str | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    if kwargs.get("shuffle") is None and split in _TRAINING:
        return {**kwargs, "shuffle": True}
    return kwargs


def _name(number: int | str, names: list[str]) -> str:
    if isinstance(number, str):
        return number
    return names[number] if 0 <= number < len(names) else f"number {number}"
