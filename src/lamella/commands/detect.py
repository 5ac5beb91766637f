"""`lamella train --task detect`: a detector from a folder of pictures and labels, and pictures with boxes."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import lamella
from lamella.callbacks import Pace, SwapEMAWeights
from lamella.commands.run_folder import new_folder, observers, print_history, tell_what_is_left
from lamella.errors import DataError
from lamella.vision import (
    YOLO,
    Augmentation,
    CalmEnd,
    DetectionDataset,
    FasterRCNN,
    MeanAveragePrecision,
    draw_detections,
)
from lamella.vision.annotations import Annotations
from lamella.vision.directory import read_directory

MODELS = ("yolo-n", "yolo-s", "yolo-m", "faster-rcnn")
DATA = "a folder with pictures and labels"
UNENDING = 1_000_000  # epochs: the clock ends the training


@dataclass
class Options:
    """What `lamella train --task detect` was asked for."""

    data: str
    model: str = "yolo-n"
    epochs: int = 100
    minutes: float | None = None
    batch_size: int = 16
    image_size: tuple[int, int] = (320, 320)
    optimizer: str = "adamw"
    learning_rate: float | None = None
    seed: int = 0
    strict: bool = False
    out: str | None = None
    verbose: int = 1
    doctor: bool = True


def train(options: Options) -> dict[str, float]:
    """Trains, evaluates on pictures kept aside, and writes the model, its history and drawn pictures; the scores."""
    lamella.utils.set_random_seed(options.seed)
    augment = Augmentation.for_detection()
    training, validation, test = load(options, augment)
    model, rate = build(options, training.class_names)
    folder = new_folder(f"detect-{options.model}", options.out)
    print(
        f"{model.count_params():,} weights; {training.num_pictures} pictures to train on, classes {model.class_names}"
    )
    pace = Pace(rate, options.minutes)
    start = time.perf_counter()
    history = model.fit(
        training,
        validation_data=validation,
        epochs=options.epochs if options.minutes is None else UNENDING,
        callbacks=[pace, CalmEnd(pace, augment), SwapEMAWeights(), *observers(folder, options.doctor)],
        verbose=options.verbose,
    )
    seconds = time.perf_counter() - start
    scores = model.evaluate(test, verbose=0, return_dict=True)
    by_class = _print_scores(model, history.history, scores, seconds)
    _leave_behind(folder, model, test)
    told = {**scores, "AP@0.5": by_class}
    tell_what_is_left(folder, model, asdict(options), history.history, told, seconds, ["model.keras", "pictures/"])
    print(f"Try it: lamella predict {folder / 'model.keras'} PICTURES --draw FOLDER")
    return scores


def load(options: Options, augment: Augmentation) -> tuple[DetectionDataset, DetectionDataset, DetectionDataset]:
    """The pictures to train on, to validate on, and to test on.

    A folder without a part for validation gets one, drawn at random; one without a part for tests is tested on that.
    """
    parts = splits(options.data)
    training = read_directory(options.data, parts.get("train"), strict=options.strict)
    names = training.class_names

    def read(part: str) -> Annotations:
        return read_directory(options.data, parts[part], names, options.strict)

    validation = read("val") if "val" in parts else held_out(training, options.seed)
    test = read("test") if "test" in parts else validation
    settings: Any = {"image_size": options.image_size, "batch_size": options.batch_size}
    return (
        DetectionDataset(training, augment=augment, **settings),
        DetectionDataset(validation, **settings),
        DetectionDataset(test, **settings),
    )


def splits(folder: str) -> dict[str, str]:
    """The parts that a folder's own names tell of: {"train": "train", "val": "valid", ...}."""
    root = Path(folder)
    inside = [each for each in root.iterdir() if not each.name.startswith(".")] if root.is_dir() else []
    if len(inside) == 1 and inside[0].is_dir():  # a zip file packed with its folder
        return splits(str(inside[0]))
    names = {path.stem for path in root.glob("ImageSets/Main/*.txt")}
    names |= {path.stem.removeprefix("instances_") for path in (*root.glob("*.json"), *root.glob("annotations/*.json"))}
    names |= {path.name for pattern in ("*", "images/*", "labels/*") for path in root.glob(pattern) if path.is_dir()}
    spelt = {"train": ("train", "train2017"), "val": ("val", "valid", "validation", "val2017"), "test": ("test",)}
    return {part: name for part, ways in spelt.items() for name in ways if name in names}


def held_out(annotations: Annotations, seed: int, share: float = 0.15) -> Annotations:
    """A share of the pictures, drawn at random, as a set of its own; they are taken out of the given one."""
    order = np.random.default_rng(seed).permutation(len(annotations.pictures)).tolist()
    count = max(1, round(share * len(order)))
    if len(order) < 2:
        raise DataError("One picture is not enough: one to train on and one to validate on are needed.")
    drawn = [annotations.pictures[i] for i in order[:count]]
    annotations.pictures = [annotations.pictures[i] for i in sorted(order[count:])]
    return Annotations(drawn, annotations.class_names, annotations.problems)


def build(options: Options, classes: list[str]) -> tuple[Any, float]:
    """The compiled model, and the highest learning rate of its training."""
    if options.model == "faster-rcnn":
        model: Any = FasterRCNN(classes, "small", image_size=options.image_size, score_threshold=0.01)
        rate = 1e-3
    else:
        model = YOLO(classes, options.model[-1], image_size=options.image_size, score_threshold=0.01)
        rate = 2e-3
    optimizer = lamella.optimizers.get(
        {
            "class_name": options.optimizer,
            "config": {"weight_decay": 0.05, "clipnorm": 10.0, "use_ema": True, "ema_momentum": 0.99},
        }
    )
    model.compile(optimizer, metrics=[MeanAveragePrecision()])
    return model, options.learning_rate or rate


def _print_scores(model: Any, history: Any, scores: dict[str, float], seconds: float) -> dict[str, float]:
    print_history(history, scores)
    (metric,) = (each for each in model.metrics if isinstance(each, MeanAveragePrecision))
    names = model.class_names
    by_class = dict(zip(names, metric.per_class(0.5, len(names)).tolist(), strict=True))
    print()
    for name, precision in by_class.items():
        print(f"AP@0.5 of {name:<24} {precision:.3f}")
    print(f"\nTest mAP@0.5: {scores['map_50']:.3f}, mAP@[.5:.95]: {scores['map']:.3f} ({seconds:.0f} s of training)")
    return by_class


def _leave_behind(folder: Path, model: Any, test: DetectionDataset) -> None:
    model.save(folder / "model.keras")
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    images, _ = test[0]
    found = model.predict(images)
    for i, image in enumerate(images[:8]):
        one = {name: values[i] for name, values in found.items()}
        draw_detections(image, one, model.class_names).save(pictures / f"{i + 1}.png")
