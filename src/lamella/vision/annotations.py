"""What is said about pictures: boxes and their classes; and what was found wrong while it was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lamella.errors import DataError

Problem = tuple[str, str]


@dataclass
class Annotation:
    """The objects in one picture.

    Attributes:
        picture: The picture: a path, or an array (height, width, channels).
        boxes: (objects, 4), xyxy; in pixels, or with `relative` as shares of the upright picture's width and height.
        names: The class of each box.
        relative: Whether boxes are shares.
        source: The file that says so.
    """

    picture: Any
    boxes: Any
    names: Sequence[str]
    relative: bool = False
    source: str = ""

    def __post_init__(self) -> None:
        self.boxes = np.asarray(self.boxes, "float32").reshape(-1, 4)

    @property
    def file(self) -> str:
        """The picture's file, for messages."""
        return str(self.picture) if isinstance(self.picture, (str, Path)) else self.source


@dataclass
class Problems:
    """What is wrong with the files of a data set: they are skipped or mended, and counted; or with `strict` refused.

    Attributes:
        strict: Whether the first problem raises a DataError.
        skipped: (file, reason) of each file that is not used.
        mended: How often something else was put right.
        unknown: How many objects were left out of each class that is not in the list.

    Example:
        >>> problems = Problems()
        >>> problems.skip("a.png", "it is empty")
        >>> problems.skipped
        [('a.png', 'it is empty')]
    """

    strict: bool = False
    skipped: list[Problem] = field(default_factory=list)
    mended: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)

    def skip(self, file: Any, reason: str) -> None:
        """A file that is not used."""
        if self.strict:
            raise DataError(reason if str(file) in reason else f"{file}: {reason}")
        self.skipped.append((str(file), reason))

    def mend(self, file: Any, what: str, count: int = 1) -> None:
        """Something that was put right."""
        if self.strict:
            raise DataError(f"{file}: {count} {what}. With strict=False they would be left out.")
        self.mended[what] += count

    def leave_out(self, file: Any, name: str, known: Sequence[str]) -> None:
        """An object of a class that is not in the list."""
        if self.strict:
            raise DataError(f"{file}: the class {name!r} is not one of {', '.join(known)}.")
        self.unknown[name] += 1

    def summary(self) -> str:
        """The skipped files and unknown classes in a sentence each; nothing where all is well."""
        parts = []
        if self.skipped:
            parts.append(f"{len(self.skipped)} files are skipped, the first: {self.skipped[0][1]}")
        if self.unknown:
            names = ", ".join(f"{name!r} ({count})" for name, count in self.unknown.most_common(5))
            parts.append(f"Objects of classes that are not in the list are left out: {names}.")
        return " ".join(parts)


@dataclass
class Annotations:
    """What a reader found: the pictures, the names of the classes in order, and what was wrong."""

    pictures: list[Annotation]
    class_names: list[str]
    problems: Problems


def without_empty(annotation: Annotation, problems: Problems) -> Annotation:
    """The annotation without boxes of no area, and without those that are no numbers.

    Example:
        >>> found = without_empty(Annotation("a.png", [[1, 1, 3, 3], [5, 5, 5, 9]], ["cat", "dog"]), Problems())
        >>> found.names
        ['cat']
    """
    boxes = annotation.boxes
    with np.errstate(invalid="ignore"):  # infinities of both signs
        good = np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    if good.all():
        return annotation
    problems.mend(annotation.source or annotation.file, "boxes without an area", int((~good).sum()))
    names = [name for name, keep in zip(annotation.names, good, strict=True) if keep]
    return Annotation(annotation.picture, boxes[good], names, annotation.relative, annotation.source)
