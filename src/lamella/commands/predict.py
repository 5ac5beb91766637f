"""`lamella predict MODEL IMAGES`: what a saved model sees in pictures, as lines, as JSON and drawn on them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import lamella
from lamella.errors import ArgumentError, DataError
from lamella.utils.bounding_boxes import convert_format
from lamella.vision.detector import Detector
from lamella.vision.drawing import draw_detections, draw_mask
from lamella.vision.pictures import read_image

PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclass
class Use:
    """What `lamella predict` was asked for."""

    model: str
    images: Sequence[str] = ()
    draw: str | None = None
    json: str | None = None
    threshold: float = 0.25
    batch_size: int = 8
    strict: bool = False


def predict(options: Use) -> list[dict[str, Any]]:
    """Predicts, prints a line a picture, draws and writes what was asked for; the predictions.

    Raises:
        ArgumentError: No picture was found.
        DataError: A picture that cannot be read, with `strict`, or none that can.
    """
    paths = find_pictures(options.images)
    names = drawn_names(paths)
    model = lamella.models.load_model(options.model)
    found: list[dict[str, Any]] = []
    for chunk, pictures in _readable(paths, options.batch_size, options.strict):
        for path, picture, answer in zip(chunk, pictures, _answers(model, pictures, options.threshold), strict=True):
            print(f"{path}: {_in_words(answer)}")
            if options.draw is not None:
                _draw(Path(options.draw) / names[path], picture, answer, getattr(model, "class_names", ()))
            answer.pop("mask", None)
            found.append({"image": str(path), **answer})
    if not found:
        raise DataError(f"None of the {len(paths)} pictures could be read.")
    if options.json is not None:
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if options.draw is not None:
        print(f"{len(found)} pictures drawn in {options.draw}")
    return found


def find_pictures(names: Sequence[str]) -> list[Path]:
    """The files named, and all pictures in the folders named.

    Raises:
        ArgumentError: A path that is not there, or no picture in them.
    """
    paths: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            paths += sorted(each for each in path.rglob("*") if each.suffix.lower() in PICTURES)
        elif path.is_file():
            paths.append(path)
        else:
            raise ArgumentError(f"There is no file or folder {name}.")
    if not paths:
        raise ArgumentError(f"There is no picture ({', '.join(PICTURES)}) in {', '.join(map(str, names))}.")
    return paths


def _readable(paths: Sequence[Path], size: int, strict: bool) -> Iterator[tuple[list[Path], list[np.ndarray]]]:
    """The pictures in chunks; what cannot be read is told of and left out."""
    for start in range(0, len(paths), size):
        pictures = {}
        for path in paths[start : start + size]:
            try:
                pictures[path] = read_image(path)
            except DataError as error:
                if strict:
                    raise
                print(f"skipped: {error}", file=sys.stderr)
        if pictures:
            yield list(pictures), list(pictures.values())


def _answers(model: Any, pictures: list[np.ndarray], threshold: float) -> list[dict[str, Any]]:
    if isinstance(model, Detector):
        return _boxes(model, pictures, threshold)
    rank = len(model.output_shape)
    if rank not in (2, 4):
        raise ArgumentError(f"{model.name!r} gives outputs of shape {model.output_shape}: neither classes nor masks.")
    return [_class_or_mask(model, picture, rank) for picture in pictures]


def _boxes(model: Detector, pictures: list[np.ndarray], threshold: float) -> list[dict[str, Any]]:
    found = model.predict(pictures)
    answers = []
    for picture, boxes, scores, classes in zip(
        pictures, found["boxes"], found["scores"], found["classes"], strict=True
    ):
        kept = (classes >= 0) & (scores >= threshold)
        height, width = picture.shape[:2]
        corners = convert_format(boxes[kept], model.bounding_box_format, "xyxy", height=height, width=width).numpy()
        answers.append(
            {
                "boxes": corners.round(2).tolist(),  # left, top, right, bottom, in pixels
                "scores": scores[kept].round(4).tolist(),
                "classes": [model.class_names[c] for c in classes[kept]],
            }
        )
    return answers


def _class_or_mask(model: Any, picture: np.ndarray, rank: int) -> dict[str, Any]:
    height, width, channels = model.input_shape[1:]
    if channels == 1:
        picture = picture.mean(-1, keepdims=True).round().astype(picture.dtype)
    fitted = picture
    if height is not None and width is not None:
        fitted = lamella.utils.img_to_array(
            lamella.utils.array_to_img(picture, scale=False).resize((width, height)), dtype="float32"
        )
    output = model.predict(fitted[None].astype("float32"), verbose=0)[0]
    if rank == 2:
        scores = output if len(output) > 1 else np.array([1 - output[0], output[0]])
        return {"class": int(scores.argmax()), "score": float(scores.max())}
    mask = output.argmax(-1) if output.shape[-1] > 1 else (output[..., 0] > 0.5).astype("int64")
    shares = np.bincount(mask.reshape(-1), minlength=max(2, output.shape[-1])) / mask.size
    return {"shares": shares.round(4).tolist(), "mask": mask}


def _in_words(answer: dict[str, Any]) -> str:
    if "boxes" in answer:
        counts = Counter(answer["classes"])
        return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"
    if "mask" in answer:
        return ", ".join(f"class {i}: {share:.1%}" for i, share in enumerate(answer["shares"]))
    return f"class {answer['class']} ({answer['score']:.1%})"


def drawn_names(paths: Sequence[Path]) -> dict[Path, str]:
    """The name of each drawn picture: its own as PNG, or with its folders where two would be the same."""
    counts = Counter(path.stem for path in paths)
    return {p: f"{p.stem if counts[p.stem] == 1 else '-'.join(p.parts).strip('-/')}.png" for p in paths}


def _draw(target: Path, picture: np.ndarray, answer: dict[str, Any], class_names: Sequence[str]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if "boxes" in answer:
        numbers = [class_names.index(name) for name in answer["classes"]]
        boxes = np.array(answer["boxes"]).reshape(-1, 4)  # also where there are none
        draw_detections(picture, {**answer, "boxes": boxes, "classes": numbers}, class_names).save(target)
    elif "mask" in answer:
        draw_mask(picture, answer["mask"]).save(target)
    else:
        lamella.utils.save_img(target, picture, scale=False)
