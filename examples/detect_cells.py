"""Finds red cells, white cells and platelets in pictures of blood: a detector trained from scratch in half an hour.

    python examples/detect_cells.py --data FOLDER --model yolo --minutes 30

FOLDER holds BCCD.zip (https://github.com/Shenggan/BCCD_Dataset, 364 pictures in Pascal VOC's format), or what is in it.
The clock decides: the learning rate falls to nothing as the minutes run out, however quick the machine is.
"""

import argparse
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lamella
from lamella.callbacks import LambdaCallback, Pace
from lamella.optimizers import AdamW
from lamella.vision import (
    YOLO,
    Augmentation,
    CalmEnd,
    DetectionDataset,
    FasterRCNN,
    MeanAveragePrecision,
    draw_detections,
)


@dataclass
class Recipe:
    """How one detector is trained."""

    model: Callable[..., Any]
    options: dict[str, Any]
    image_size: tuple[int, int]
    batch_size: int
    learning_rate: float
    augment: Augmentation


CELLS = {"vertical_flip": 0.5, "scale": (0.75, 1.33), "hue": 0.03}  # cells have no up and down, and one colour
RECIPES = {
    "yolo": Recipe(YOLO, {"size": "n"}, (256, 320), 8, 2e-3, Augmentation.for_detection(**CELLS)),
    "faster_rcnn": Recipe(
        FasterRCNN,
        {"backbone": "small", "anchor_sizes": (20, 48, 85, 128)},  # platelets, red cells, white cells, large ones
        (240, 320),
        8,
        1e-3,
        Augmentation.for_detection(**CELLS, mosaic=0.0),
    ),
}


def voc_folder(data: Path) -> Path:
    """The folder with Annotations and JPEGImages; a zip file is unpacked into a new folder."""
    if (data / "BCCD.zip").exists():
        unpacked = Path(tempfile.mkdtemp(prefix="bccd-"))
        zipfile.ZipFile(data / "BCCD.zip").extractall(unpacked)
        data = unpacked
    return data / "BCCD" if (data / "BCCD").exists() else data


def train(name: str, folder: Path, minutes: float, split: str, test_split: str) -> tuple[Any, DetectionDataset]:
    """The model, trained on one part of the pictures, and another part to test it on."""
    recipe = RECIPES[name]
    settings: dict[str, Any] = {"image_size": recipe.image_size, "batch_size": recipe.batch_size}
    data = DetectionDataset.from_voc(folder, split, augment=recipe.augment, drop_last=True, **settings)
    test = DetectionDataset.from_voc(folder, test_split, class_names=data.class_names, **settings)
    model = recipe.model(data.class_names, image_size=recipe.image_size, score_threshold=0.01, **recipe.options)
    optimizer = AdamW(recipe.learning_rate, weight_decay=0.05, use_ema=True, ema_momentum=0.99)
    model.compile(optimizer, metrics=[MeanAveragePrecision()])
    print(f"{name}: {model.count_params():,} weights, {data.num_pictures} pictures to train on, {data.class_names}")
    started = time.perf_counter()

    def tell(epoch: int, logs: dict[str, float]) -> None:
        losses = "  ".join(f"{part} {value:.3f}" for part, value in logs.items())
        print(f"epoch {epoch + 1:3}  {(time.perf_counter() - started) / 60:5.1f} min  {losses}", flush=True)

    pace = Pace(recipe.learning_rate, minutes)
    callbacks = [pace, CalmEnd(pace, recipe.augment), LambdaCallback(on_epoch_end=tell)]
    model.fit(data, epochs=100_000, verbose=0, callbacks=callbacks)
    return model, test


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of BCCD.zip, or of what is in it")
    parser.add_argument("--model", choices=RECIPES, default="yolo")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--train", default="trainval", help="the part to train on; `train` to try things out")
    parser.add_argument("--test", default="test", help="the part to test on; `val` to try things out")
    parser.add_argument("--out", type=Path, default=Path("cells"), help="a folder for the model and drawn predictions")
    options = parser.parse_args()

    lamella.utils.set_random_seed(0)
    model, test = train(options.model, voc_folder(options.data), options.minutes, options.train, options.test)
    found = model.evaluate(test, verbose=0, return_dict=True)
    (metric,) = (each for each in model.metrics if isinstance(each, MeanAveragePrecision))
    for name, precision in zip(model.class_names, metric.per_class(0.5, len(model.class_names)), strict=True):
        print(f"{name:<9} AP@0.5 {precision:.3f}")
    print(f"mAP@0.5 {found['map_50']:.3f}, mAP@[.5:.95] {found['map']:.3f} on {test.num_pictures} pictures")

    options.out.mkdir(parents=True, exist_ok=True)
    images, _ = test[0]
    detections = model.predict(images)
    for i, image in enumerate(images[:6]):
        one = {name: values[i] for name, values in detections.items()}
        draw_detections(image, one, model.class_names, min_score=0.25, zoom=2).save(
            options.out / f"{options.model}-{i}.png"
        )
    model.save(options.out / f"{options.model}.keras")
    print(f"the model and drawn predictions: {options.out}")


if __name__ == "__main__":
    main()
