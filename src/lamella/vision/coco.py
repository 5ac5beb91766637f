"""Annotations in the JSON files of COCO (Lin et al., 2014)."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from lamella.errors import DataError
from lamella.vision.annotations import Annotation, Annotations, Problems, without_empty


def read_coco(
    file: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    class_names: list[str] | None = None,
    strict: bool = False,
) -> Annotations:
    """Reads a JSON file with `"images"`, `"annotations"` and `"categories"`.

    Boxes are (left, top, width, height) in pixels counted from 0. Crowds (`iscrowd`) are no single object: they are
    left out and counted. Outlines are not read.

    Args:
        file: The JSON file.
        images: The folder of the pictures; by default that of the file.
        class_names: The classes in order; by default the categories in the order of their ids, which may have gaps.
        strict: Whether the first problem raises an error.

    Raises:
        DataError: No such file, or one that is no COCO file.
    """
    file, problems = Path(file), Problems(strict)
    content = _content(file)
    folder = Path(images) if images is not None else file.parent
    try:
        pictures = {each["id"]: folder / each["file_name"] for each in content["images"]}
        categories = {each["id"]: str(each["name"]) for each in content["categories"]}
        objects = _by_picture(content["annotations"], pictures, categories, file, problems)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file}: an entry is not as COCO has it: {type(error).__name__} {error}.") from error
    found = []
    for number, picture in pictures.items():
        if not picture.is_file():
            problems.skip(picture, f"{picture}: there is no such file, but {file.name} names it.")
            continue
        boxes, names = objects[number]
        annotation = Annotation(picture, boxes, names, source=f"{file} ({picture.name})")
        found.append(without_empty(annotation, problems))
    return Annotations(found, class_names or [categories[key] for key in sorted(categories)], problems)


def _content(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is no JSON, or it is cut off: {error}.") from error
    missing = {"images", "annotations", "categories"} - set(content if isinstance(content, dict) else ())
    if missing:
        raise DataError(f"{file} is no file of COCO annotations: it has no {', '.join(sorted(missing))}.")
    return content


def _by_picture(
    annotations: list[dict[str, Any]],
    pictures: dict[Any, Path],
    categories: dict[Any, str],
    file: Path,
    problems: Problems,
) -> dict[Any, tuple[list[list[float]], list[str]]]:
    found: dict[Any, tuple[list[list[float]], list[str]]] = defaultdict(lambda: ([], []))
    crowds = 0
    for each in annotations:
        if each["image_id"] not in pictures:
            problems.mend(file, "objects of pictures that are not listed")
        elif each.get("iscrowd"):
            crowds += 1
        else:
            boxes, names = found[each["image_id"]]
            boxes.append(_corners(each.get("bbox")))
            names.append(categories.get(each["category_id"], f"id {each['category_id']}"))
    if crowds:  # as they should be: no problem even where one is strict
        problems.mended["crowds"] += crowds
    return found


def _corners(box: Any) -> list[float]:
    try:
        left, top, width, height = (float(side) for side in box)
    except (TypeError, ValueError):
        return [float("nan")] * 4  # left out and counted, as boxes without an area are
    return [left, top, left + width, top + height]
