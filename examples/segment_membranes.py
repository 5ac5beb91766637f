"""U-Net finds the membranes between nerve cells in electron microscope pictures; ten minutes on two cores.

    python examples/segment_membranes.py --data FOLDER --draw membranes.png

FOLDER holds the 30 training pictures of the ISBI challenge of 2012, image/0.png and on, and their masks, label/0.png
and on (https://github.com/zhixuhao/unet, data/membrane/train). The last six are kept for the test.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import lamella as keras
from lamella.vision import Augmentation, DiceCrossEntropy, SegmentationDataset, UNet

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--epochs", type=int, default=14)
parser.add_argument("--filters", type=int, default=16)
parser.add_argument("--draw", help="a PNG file for pictures, truth and predictions")
options = parser.parse_args()

keras.utils.set_random_seed(0)


def pictures(numbers, times=1, **kwargs):
    images, masks = ([options.data / part / f"{i}.png" for i in numbers] * times for part in ("image", "label"))
    return SegmentationDataset.from_folders(
        images, masks, class_names=("cell", "membrane"), values=(255, 0), channels=1, **kwargs
    )


augment = Augmentation.for_segmentation(crop=(192, 192))
train = pictures(range(24), times=8, augment=augment, batch_size=8)
test = pictures(range(24, 30), batch_size=1)

model = UNet(1, (None, None, 1), filters=options.filters, classifier_activation=None)
steps = options.epochs * len(train)
rate = keras.optimizers.schedules.CosineDecay(3e-4, steps, warmup_target=3e-3, warmup_steps=steps // 10)
iou = keras.metrics.BinaryIoU(threshold=0.0, name="mean_iou")  # of logits: 0 is a probability of one half
model.compile(keras.optimizers.Adam(rate), DiceCrossEntropy(from_logits=True), metrics=[iou])

started = time.perf_counter()
model.fit(train, epochs=options.epochs, verbose=2)
seconds = time.perf_counter() - started

images, masks = (np.concatenate(parts) for parts in zip(*test, strict=True))
found = model.predict(images, batch_size=1, verbose=0)[..., 0] > 0
ious = []
for i, name in enumerate(test.class_names):
    both, either = ((found == i) & (masks == i)).sum(), ((found == i) | (masks == i)).sum()
    ious.append(both / either)
    print(f"{name:<9} IoU {ious[-1]:.3f}")
print(
    f"mean IoU {np.mean(ious):.3f}, pixel error {(found != masks).mean():.3f}, after {seconds:.0f} seconds of training"
)

if options.draw:
    from PIL import Image

    rows = [np.hstack([images[i, ..., 0], 255 - 255 * masks[i], 255 - 255 * found[i]]) for i in range(3)]
    Image.fromarray(np.vstack(rows).astype("uint8")).save(options.draw)
    print(f"picture, truth and prediction: {options.draw}")
