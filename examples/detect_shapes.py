"""YOLO finds circles, squares and triangles that cover one another; a few minutes on a CPU.

python examples/detect_shapes.py
"""

import argparse
import time
from pathlib import Path

import lamella as keras
from lamella.datasets import shapes
from lamella.vision import YOLO, MeanAveragePrecision, draw_detections

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--pictures", type=int, default=4000, help="how many to train on")
parser.add_argument("--epochs", type=int, default=6)
parser.add_argument("--draw", type=Path, help="a folder for pictures with predictions")
options = parser.parse_args()

keras.utils.set_random_seed(0)
(x_train, y_train), (x_test, y_test) = shapes.load_data("detection", num_train=options.pictures, num_test=200)

model = YOLO(shapes.CLASS_NAMES, size="n", image_size=x_train.shape[1:3], score_threshold=0.01)
model.compile(keras.optimizers.AdamW(2e-3, weight_decay=0.05), metrics=[MeanAveragePrecision()])

started = time.perf_counter()
model.fit(x_train, y_train, batch_size=16, epochs=options.epochs, callbacks=[keras.callbacks.Pace(2e-3)], verbose=2)
seconds = time.perf_counter() - started

scores = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
(metric,) = (each for each in model.metrics if isinstance(each, MeanAveragePrecision))
for name, precision in zip(shapes.CLASS_NAMES, metric.per_class(0.5, len(shapes.CLASS_NAMES)), strict=True):
    print(f"{name:<9} AP@0.5 {precision:.3f}")
print(f"mAP@0.5 {scores['map_50']:.3f} on {len(x_test)} pictures, after {seconds:.0f} seconds of training")

if options.draw:
    options.draw.mkdir(parents=True, exist_ok=True)
    found = model.predict(x_test[:8])
    for i, picture in enumerate(x_test[:8]):
        one = {name: values[i] for name, values in found.items()}
        draw_detections(picture, one, shapes.CLASS_NAMES).save(options.draw / f"{i}.png")
    print(f"pictures with predictions: {options.draw}")
