"""Annotations in the XML files of Pascal VOC (Everingham et al., 2010)."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from lamella.errors import DataError
from lamella.vision.annotations import Annotation, Annotations, Problems, without_empty
from lamella.vision.pictures import SUFFIXES


def read_voc(
    folder: str | os.PathLike[str],
    split: str | None = None,
    class_names: list[str] | None = None,
    strict: bool = False,
) -> Annotations:
    """Reads `Annotations/*.xml`, `JPEGImages/` and `ImageSets/Main/<split>.txt`; or XML files beside their pictures.

    VOC counts pixels from 1, and `xmax` is the last pixel of the object: xmin=1, xmax=10 is a box from 0 to 10. So 1 is
    taken from `xmin` and `ymin` alone. Boxes written with xmax <= xmin are taken as without an area, and left out.
    Objects marked difficult or truncated are objects like others.

    Args:
        folder: The folder, as `VOC2012`.
        split: The name of a list in `ImageSets/Main`; None for all annotations. Without such lists, a folder of that
            name.
        class_names: The classes in order; by default the names in all XML files (of all splits), sorted.
        strict: Whether the first problem raises an error.

    Raises:
        DataError: No such folder, split or annotations.
    """
    folder = Path(folder)
    problems = Problems(strict)
    root, names = _files(folder, split)
    parsed = {}
    every = sorted(root.glob("*.xml"))
    wanted = [root / f"{name}.xml" for name in names] if names is not None else every
    if not wanted:
        raise DataError(f"{root}: there are no annotations (*.xml) in it.")
    for file in wanted if class_names is not None else dict.fromkeys([*wanted, *every]):
        try:
            parsed[file] = _objects(_parse(file))
        except DataError as error:
            if file in wanted:
                problems.skip(file, str(error))
    pictures = {file.stem: file for file in sorted(_pictures(root)) if file.suffix.lower() in SUFFIXES}
    found = []
    for file in wanted:
        if file not in parsed:
            continue
        filename, boxes, classes = parsed[file]
        picture = pictures.get(file.stem) or pictures.get(Path(filename).stem)
        if picture is None:
            problems.skip(file, f"{file}: there is no picture {file.stem} ({filename}) in {_picture_folder(root)}.")
            continue
        annotation = without_empty(Annotation(picture, boxes, classes, source=str(file)), problems)
        annotation.boxes[:, :2] -= 1
        found.append(annotation)
    if class_names is None:
        class_names = sorted({name for _, _, classes in parsed.values() for name in classes})
    return Annotations(found, class_names, problems)


def _files(folder: Path, split: str | None) -> tuple[Path, list[str] | None]:
    """The folder of XML files, and the names that the split lists."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder.")
    root = next((folder / name for name in ("Annotations", "annotations") if (folder / name).is_dir()), folder)
    if split is None:
        return root, None
    lists = folder / "ImageSets" / "Main"
    file = lists / f"{split}.txt"
    if file.is_file():
        lines = file.read_text(encoding="utf-8").splitlines()
        return root, [line.split()[0] for line in lines if line.strip()]
    if not lists.is_dir() and (folder / split).is_dir():
        return _files(folder / split, None)
    known = sorted(each.stem for each in lists.glob("*.txt"))
    raise DataError(f"{folder}: there is no split {split!r} in ImageSets/Main; it has {', '.join(known) or 'none'}.")


def _picture_folder(root: Path) -> Path:
    beside = (root.parent / name for name in ("JPEGImages", "images", "Images"))
    return next((folder for folder in beside if folder.is_dir()), root)


def _pictures(root: Path) -> list[Path]:
    return list(_picture_folder(root).iterdir())


def _parse(file: Path) -> Element:
    """The root of an XML file, which may declare no entities: a few of them can be made to fill the memory."""
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data

    def refuse(*_: object) -> None:
        raise DataError(f"{file} declares a document type, which an annotation does not need and could do harm.")

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(file.read_bytes(), True)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error
    except (expat.ExpatError, LookupError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{file} is no XML, or it is cut off: {error}.") from error
    return builder.close()


def _objects(root: Element) -> tuple[str, list[list[float]], list[str]]:
    boxes, names = [], []
    for each in root.iter("object"):
        try:
            boxes.append([float(each.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")])
        except ValueError:
            boxes.append([float("nan")] * 4)  # left out and counted, as boxes without an area are
        names.append((each.findtext("name") or "").strip())
    return root.findtext("filename") or "", boxes, names
