"""Which format of annotations a folder has, and reading it."""

from __future__ import annotations

import os
from pathlib import Path

from lamella.errors import DataError
from lamella.vision.annotations import Annotations
from lamella.vision.coco import read_coco
from lamella.vision.voc import read_voc
from lamella.vision.yolo_files import read_yolo


def read_directory(
    folder: str | os.PathLike[str],
    split: str | None = None,
    class_names: list[str] | None = None,
    strict: bool = False,
) -> Annotations:
    """Reads the annotations of a folder, in the first of these formats that it has.

    | Format | Found by |
    |---|---|
    | YOLO | `data.yaml`, or a folder `labels` |
    | COCO | `annotations/*<split>*.json`, `<split>/*.json`, or one JSON file |
    | Pascal VOC | a folder `Annotations`, or XML files in the folder or in `<split>` |

    A folder that holds but one folder is taken as that one, as zip files are often packed.

    Args:
        folder: The folder.
        split: The part wanted, as "train", "val" or "test"; all by default.
        class_names: The classes in order; by default as the format says.
        strict: Whether the first problem raises an error.

    Raises:
        DataError: No such folder or split, or no annotations in any of the formats.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder.")
    inside = [each for each in folder.iterdir() if not each.name.startswith(".")]
    names = {each.name for each in inside}
    parts = [folder] if split is None else [folder / split, folder]
    if {"data.yaml", "data.yml", "labels"} & names or any((part / "labels").is_dir() for part in parts):
        return read_yolo(folder, split, class_names, strict)
    file = _coco_file(folder, split)
    if file is not None:
        return read_coco(file, _coco_pictures(folder, file, split), class_names, strict)
    if {"Annotations", "annotations"} & names or any(any(part.glob("*.xml")) for part in parts):
        return read_voc(folder, split, class_names, strict)
    if len(inside) == 1 and inside[0].is_dir():
        return read_directory(inside[0], split, class_names, strict)
    raise DataError(
        f"{folder}: there are no annotations of a known format. Expected data.yaml or a folder `labels` (YOLO), a JSON "
        f"file (COCO) or a folder `Annotations` of XML files (Pascal VOC); it has "
        f"{', '.join(sorted(names)[:8]) or 'nothing'}."
    )


def _coco_file(folder: Path, split: str | None) -> Path | None:
    def files(place: Path) -> list[Path]:
        return sorted(place.glob("*.json"))

    both = [*files(folder / "annotations"), *files(folder)]
    found = files(folder / split) + [each for each in both if split in each.stem] if split else both
    found = [each for each in found if each.stem.startswith("instances")] or found  # beside captions and key points
    if split is None and len(found) > 1:
        raise DataError(f"{folder}: there are several JSON files ({', '.join(f.name for f in found)}): pass `split`.")
    return found[0] if found else None


def _coco_pictures(folder: Path, file: Path, split: str | None) -> Path:
    part = file.stem.removeprefix("instances_")
    usual = [f"images/{part}", part, f"images/{split}", str(split), "images"]
    beside = file.parent if file.parent.name != "annotations" else folder
    return next((folder / each for each in usual if (folder / each).is_dir()), beside)
