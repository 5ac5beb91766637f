"""Annotations in text files as YOLO has them (Redmon et al., 2016): `class x y width height` on each line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lamella.errors import DataError
from lamella.vision.annotations import Annotation, Annotations, Problems, without_empty
from lamella.vision.pictures import SUFFIXES

_PARTS = [("train",), ("val", "valid"), ("test",)]


def read_yolo(
    source: str | os.PathLike[str],
    split: str | None = None,
    class_names: list[str] | None = None,
    strict: bool = False,
) -> Annotations:
    """Reads text files in `labels/`, one for each picture of `images/` and of the same name.

    A line is the class's number and the box's centre and size as shares of the picture; a longer line is an outline,
    of which the box around it is taken. An empty file, or none, is a picture without objects.

    Args:
        source: `data.yaml`, or a folder; with `data.yaml` in it, that is read, and otherwise `images/<split>` or
            `<split>/images` is taken.
        split: The part wanted; "val" and "valid" are the same. All pictures by default.
        class_names: The classes in order; by default those of `data.yaml` or `classes.txt`.
        strict: Whether the first problem raises an error.

    Raises:
        DataError: No such folder, no pictures, no names of classes, or none of the pictures has a file of labels.
    """
    source, problems = Path(source), Problems(strict)
    folder = source.parent if source.suffix in (".yaml", ".yml") else source
    settings = _settings(source if folder is not source else None, folder)
    pictures = _pictures(folder, settings, split)
    names = class_names or _names(folder, settings)
    labels = [_label_file(picture) for picture in pictures]
    if not any(file.is_file() for file in labels):
        raise DataError(f"{folder}: none of {len(pictures)} pictures has a file of labels, as {labels[0]}.")
    found = []
    for picture, file in zip(pictures, labels, strict=True):
        if not picture.is_file():
            problems.skip(picture, f"{picture}: there is no such file.")
            continue
        try:
            boxes, numbers = _lines(file) if file.is_file() else ([], [])
        except DataError as error:
            problems.skip(picture, str(error))
            continue
        classes = [names[number] if 0 <= number < len(names) else f"number {number}" for number in numbers]
        found.append(without_empty(Annotation(picture, boxes, classes, True, str(file)), problems))
    return Annotations(found, names, problems)


def _settings(file: Path | None, folder: Path) -> dict[str, Any]:
    if file is None:
        file = next((folder / name for name in ("data.yaml", "data.yml") if (folder / name).is_file()), None)
        if file is None:
            return {}
    try:
        import yaml
    except ImportError as error:
        raise ImportError(f"{file} needs the package PyYAML: pip install pyyaml (or lamella[vision]).") from error
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"{file} cannot be read as YAML: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{file} has no entries such as `train:` and `names:`.")
    return found


def _names(folder: Path, settings: dict[str, Any]) -> list[str]:
    names = settings.get("names")
    if isinstance(names, dict):
        wanted = sorted(names)
        if wanted != list(range(len(wanted))):
            raise DataError(f"{folder}/data.yaml: `names` must number the classes from 0 without gaps; got {wanted}.")
        return [str(names[number]) for number in wanted]
    if isinstance(names, list):
        return [str(name) for name in names]
    for place in (folder, folder / "labels"):
        if (place / "classes.txt").is_file():
            lines = (place / "classes.txt").read_text(encoding="utf-8").splitlines()
            return [line.strip() for line in lines if line.strip()]
    raise DataError(f"{folder}: there are no names of classes. Pass `class_names`, or write data.yaml or classes.txt.")


def _pictures(folder: Path, settings: dict[str, Any], split: str | None) -> list[Path]:
    splits = next((names for names in _PARTS if split in names), (split,) if split else ())
    parts = _PARTS if split is None else [splits]
    entries: list[Any] = [next((settings[name] for name in names if settings.get(name)), []) for names in parts]
    told = [each for entry in entries for each in (entry if isinstance(entry, list) else [entry])]
    places = [_place(folder, settings.get("path"), str(each)) for each in told]
    if not places:
        usual = [folder / each for name in splits for each in (f"images/{name}", f"{name}/images", str(name))]
        usual += [folder / "images", folder] if split is None else []
        places = [each for each in usual if each.is_dir()][:1]
    found = list(dict.fromkeys(picture for each in places for picture in _listed(each)))
    if not found:
        raise DataError(f"{folder}: there are no pictures of the split {split!r}.")
    return found


def _place(folder: Path, path: Any, entry: str) -> Path:
    """What an entry means: from `path`, which is often that of another machine, or from the folder of data.yaml.

    Files made by Roboflow say "../train/images", and mean "train/images".
    """
    base = folder / str(path or "")
    places = (base / entry, folder / entry, folder / entry.removeprefix("../"))
    return next((each for each in places if each.exists()), places[0])


def _listed(place: Path) -> list[Path]:
    """The pictures in a folder, or those that a text file lists."""
    if place.is_file():
        lines = place.read_text(encoding="utf-8").splitlines()
        return [place.parent / line.strip() for line in lines if line.strip()]
    if not place.is_dir():
        raise DataError(f"{place}: there is no such folder.")
    return sorted(file for file in place.rglob("*") if file.suffix.lower() in SUFFIXES)


def _label_file(picture: Path) -> Path:
    """`labels` in place of the last `images` in the path; or beside the picture."""
    parts = list(picture.with_suffix(".txt").parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts)


def _lines(file: Path) -> tuple[list[list[float]], list[int]]:
    boxes, numbers = [], []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as text: {error}.") from error
    for row, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            number, values = int(line.split()[0]), [float(word) for word in line.split()[1:]]
        except ValueError:
            number, values = 0, []
        if len(values) < 4 or len(values) % 2:
            raise DataError(
                f"{file}, line {row}: expected a class's number and 4 shares (or an outline of 3 points or more); got "
                f"{line.strip()[:60]!r}."
            )
        if len(values) == 4:
            x, y, width, height = values
            boxes.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
        else:
            boxes.append([min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])])
        numbers.append(number)
    return boxes, numbers
