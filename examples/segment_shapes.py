"""U-Net finds circles, squares and triangles that cover one another; a few minutes on a CPU.

python examples/segment_shapes.py
"""

import argparse
import time

import numpy as np

import lamella as keras
from lamella.datasets import shapes
from lamella.vision.segmentation_loss import DiceCrossEntropy
from lamella.vision.unet import UNet

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--pictures", type=int, default=1000, help="how many to train on")
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--draw", help="a PNG file for some predictions beside the truth")
options = parser.parse_args()

keras.utils.set_random_seed(0)
(x_train, y_train), (x_test, y_test) = shapes.load_data(num_train=options.pictures, num_test=100)
classes = ("ground", *shapes.CLASS_NAMES)

model = UNet(len(classes), x_train.shape[1:], filters=16, classifier_activation=None)
batch = 10
steps = options.epochs * len(x_train) // batch
rate = keras.optimizers.schedules.CosineDecay(2e-4, steps, warmup_target=2e-3, warmup_steps=steps // 10)
iou = keras.metrics.MeanIoU(len(classes), sparse_y_pred=False, name="mean_iou")
model.compile(keras.optimizers.Adam(rate), DiceCrossEntropy(from_logits=True), metrics=[iou])

started = time.perf_counter()
model.fit(x_train, y_train, batch_size=batch, epochs=options.epochs, validation_data=(x_test, y_test), verbose=2)
seconds = time.perf_counter() - started

found = model.predict(x_test, verbose=0).argmax(-1)
for i, name in enumerate(classes):
    both, either = ((found == i) & (y_test == i)).sum(), ((found == i) | (y_test == i)).sum()
    print(f"{name:<9} IoU {both / either:.3f}")
loss, mean_iou = model.evaluate(x_test, y_test, verbose=0)
print(f"mean IoU {mean_iou:.3f} on {len(x_test)} pictures, after {seconds:.0f} seconds of training")

if options.draw:
    from PIL import Image

    colours = np.array([(0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115)], "uint8")
    rows = [np.hstack([x_test[i], colours[y_test[i]], colours[found[i]]]) for i in range(8)]
    Image.fromarray(np.vstack(rows)).save(options.draw)
    print(f"picture, truth and prediction: {options.draw}")
